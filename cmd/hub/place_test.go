package main

import (
	"strings"
	"testing"
)

// What is no URL of PostgreSQL is refused without being repeated: it may hold a password.
func TestCheckStoreRefuses(t *testing.T) {
	for _, url := range []string{"", "data", "host=db user=hub password=s3cret", "mysql://hub:s3cret@db/twins", "POSTGRES://hub:s3cret@db/twins"} {
		if err := checkStore(url); err == nil || strings.Contains(err.Error(), "s3cr") {
			t.Errorf("checkStore(%q) = %v, want an error without a password", url, err)
		}
	}
}

func TestPlaceIsShownWithoutItsPassword(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://db.example/twins":                                       "postgres://db.example/twins",
		"postgres://hub:s3cret@a:5432,b:5433/twins":                         "postgres://a:5432,b:5433/twins",
		"postgresql://hub:s3cret@db.example:5433/twins?sslmode=verify-full": "postgres://db.example:5433/twins",
		"postgres://hub@[::1]:5433/twins?password=s3cret":                   "postgres://[::1]:5433/twins",
		"postgres:///twins?host=/run/postgresql&user=hub&password=s3cret":   "postgres:///twins?host=%2Frun%2Fpostgresql",
		"postgres://hub:s3cret@db.example?dbname=twins":                     "postgres://db.example/?dbname=twins",
	} {
		p := place{Store: url}
		if err := p.check(); err != nil || p.String() != want {
			t.Errorf("%q: shown as %q, error %v; want %q", url, p, err, want)
		}
	}
	if p := (place{Store: "postgres://hub:s3cr%et@db/twins"}); strings.Contains(p.String(), "s3cr") {
		t.Errorf("a URL that can't be read is shown as %q", p)
	}
}
