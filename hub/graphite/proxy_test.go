package graphite_test

import (
	"net/http/httptest"
	"os"
	"testing"

	"github.com/twinpanel/twinpanel/hub/graphite"
)

// proxy stands in the environment, which net/http reads once. So it also stands in the way of
// every test that has a Dial of its own, and must not be used there.
var proxy = &ingest{}

func TestMain(m *testing.M) {
	server := httptest.NewServer(proxy)
	os.Setenv("HTTP_PROXY", server.URL)
	os.Setenv("NO_PROXY", "")
	os.Setenv("no_proxy", "")
	code := m.Run()
	server.Close()
	os.Exit(code)
}

func TestIngestThroughTheProxyOfTheEnvironment(t *testing.T) {
	l := &log{}
	p, err := graphite.New(graphite.Config{URI: metrics, Logger: l.logger()})
	if err != nil {
		t.Fatal(err)
	}
	p.Push(points(0, 2))
	p.Close()
	checkEqual(t, "accepted", proxy.accepted(), names(0, 2))
	if r, _ := proxy.request(0); r.URL.Host != "graphs.example" {
		t.Errorf("the proxy was asked for %s", r.URL)
	}
	if l.text() != "" {
		t.Errorf("logged %s", l.text())
	}
}
