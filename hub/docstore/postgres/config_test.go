package postgres

import (
	"strings"
	"testing"
)

// A password whose signs weren't escaped would make a part of itself a host, a database or a parameter. Such a URL is
// refused before anything of it is looked up, and nothing of it is said.
func TestURLWithAPasswordCutInTwoIsRefused(t *testing.T) {
	const first, second = "GEHEIM", "secret"
	for _, sign := range []string{"@", "/", "?", "#", "%", ":@", ":/", "/@", "@/", "?@", "@?", "#@", "@#", "//", "[", "]", " ", "\\", "/?", "?x=", "@h/?x="} {
		for _, user := range []string{"hub:", "hub:12", "hub:p", ":", ""} {
			for _, rest := range []string{"@127.0.0.1:21432/twins", "@127.0.0.1", "@a,b/twins?sslmode=disable", "@/twins?host=/run/postgresql"} {
				for _, scheme := range []string{"postgres://", "postgresql://"} {
					raw := scheme + user + first + sign + second + rest
					err := CheckURL(raw)
					if err == nil {
						t.Errorf("%s is taken", raw)
						continue
					}
					_, opened := Open(t.Context(), raw, Options{})
					_, placed := Place(raw)
					for _, err := range []error{err, opened, placed} {
						if err == nil || err.Error() != "the store's URL can't be read" || !strings.Contains(hintOf(err), "@ / : % ? # in a password as %40 %2F %3A %25 %3F %23") {
							t.Errorf("%s: %v; hint: %s", raw, err, hintOf(err))
						}
					}
				}
			}
		}
	}
	for _, raw := range []string{
		"postgres://hub:12/GEHEIM@127.0.0.1:21432/twins",
		"postgres://hub:12?GEHEIM@127.0.0.1:21432/twins",
		"postgres://hub:12#GEHEIM@127.0.0.1:21432/twins",
		"postgres://hub@127.0.0.1/twins?password=GE#HEIM",
		"postgres://hub@127.0.0.1/twins?password=GE@HEIM",
		"postgres://127.0.0.1/twins@GEHEIM",
	} {
		if err := CheckURL(raw); err == nil || strings.Contains(err.Error()+hintOf(err), "HEIM") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestPlaceShowsADatabaseWithoutItsPassword(t *testing.T) {
	t.Setenv("PGUSER", "somebody")
	for raw, want := range map[string]string{
		"postgres://db.example/twins":                                             "postgres://somebody@db.example:5432/twins",
		"postgres://hub:s3cret@a:5432,b:5433/twins":                               "postgres://hub@a:5432,b:5433/twins",
		"postgres://hub:s3cret@a,b/twins?sslmode=prefer":                          "postgres://hub@a:5432,b:5432/twins",
		"postgresql://hub:s3cret@db.example:5433/twins?sslmode=require":           "postgres://hub@db.example:5433/twins",
		"postgres://hub@[::1]:5433/twins?password=s3cret":                         "postgres://hub@[::1]:5433/twins",
		"postgres:///twins?host=/run/postgresql&user=hub&password=s3cret":         "postgres://hub@/twins?host=%2Frun%2Fpostgresql&port=5432",
		"postgres://hub:s3cret@/twins?host=/run/postgresql,db.example&port=1,2":   "postgres://hub@/twins?host=%2Frun%2Fpostgresql%2Cdb.example&port=1%2C2",
		"postgres://hub:s3cret@db.example?dbname=twins":                           "postgres://hub@db.example:5432/twins",
		"postgres://hub:s3cret@db.example:5433/":                                  "postgres://hub@db.example:5433/hub",
		"postgres://ada%40home:s3cr%40%2F%3A%25%3F%23et@db.example/tw%20ins":      "postgres://ada%40home@db.example:5432/tw%20ins",
		"postgres://hub@db.example/twins?options=-c%20search_path%3Dx&user=other": "postgres://other@db.example:5432/twins",
	} {
		got, err := Place(raw)
		if err != nil || got != want {
			t.Errorf("%s: shown as %q, error %v; want %q", raw, got, err, want)
			continue
		}
		if again, err := Place(got); err != nil || again != want {
			t.Errorf("%s: shown as %s, which is %q, error %v", raw, got, again, err)
		}
	}
}
