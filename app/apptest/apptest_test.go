package apptest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/app/apptest"
)

func TestThereIsASceneOfEachRow(t *testing.T) {
	seen := map[app.Row]bool{}
	for _, s := range apptest.Scenes() {
		seen[s.View.Row] = true
	}
	for _, row := range app.Rows {
		if !seen[row] {
			t.Errorf("no scene of %s", row)
		}
	}
}

func TestEachSceneAnswersThePage(t *testing.T) {
	handler, err := apptest.Handler(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	for _, s := range apptest.Scenes() {
		for path, want := range map[string]int{"/": 200, "/app.js": 200, "/api/session": 200, "/api/phones": 200, "/api/nothing": 404} {
			answer, err := http.Get(server.URL + "/" + s.Name + path)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("GET /%s%s: got %d, want %d", s.Name, path, answer.StatusCode, want)
			}
		}
		want := http.StatusOK
		if s.View.Hub != nil {
			want = http.StatusBadGateway
		}
		answer, err := http.Post(server.URL+"/"+s.Name+"/api/wish", "application/json", strings.NewReader(`{"armed":true}`))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: a wish: got %d, want %d", s.Name, answer.StatusCode, want)
		}
	}
}
