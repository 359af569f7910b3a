package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

func TestNewAPIRefuses(t *testing.T) {
	good := Options{URL: "https://hub.example", Device: testDevice, Token: "secret"}
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   string // in the error
	}{
		{"no address", func(o *Options) { o.URL = "" }, "--api is no address"},
		{"an address without scheme", func(o *Options) { o.URL = "hub.example:8081" }, "--api is no address"},
		{"MQTT", func(o *Options) { o.URL = "mqtts://hub.example" }, "--api is no address"},
		{"no host", func(o *Options) { o.URL = "https:///iot" }, "--api is no address"},
		{"a password", func(o *Options) { o.URL = "https://me:hunter2@hub.example" }, "leave them out"},
		{"a query", func(o *Options) { o.URL = "https://hub.example/?x=y" }, "more than a path"},
		{"plain HTTP to another computer", func(o *Options) { o.URL = "http://hub.example" }, "write https://, or add --insecure"},
		{"plain HTTP to all computers", func(o *Options) { o.URL = "http://0.0.0.0:8081" }, "write https://, or add --insecure"},
		{"no device", func(o *Options) { o.Device = "" }, "hub device list"},
		{"a name for a device", func(o *Options) { o.Device = "panel" }, "hub device list"},
		{"no token", func(o *Options) { o.Token = "" }, "hub token add"},
		{"a token with its line end", func(o *Options) { o.Token = "secret\n" }, "hub token add"},
		{"an authority that is none", func(o *Options) { o.CA = []byte("hello") }, "hub ca export"},
		{"an empty file for an authority", func(o *Options) { o.CA = []byte{} }, "hub ca export"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			_, err := NewAPI(o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want …%s…", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "secret\n") {
				t.Errorf("the error tells secrets: %v", err)
			}
		})
	}
}

func TestNewAPIFindsTheDocuments(t *testing.T) {
	for _, tt := range []struct {
		url      string
		insecure bool
		want     string
	}{
		{"http://127.0.0.1:8081/iot/v1/regions/fr-par", false, "http://127.0.0.1:8081/iot/v1/regions/fr-par"},
		{"http://LOCALHOST:8081/iot/v1/regions/fr-par/", false, "http://LOCALHOST:8081/iot/v1/regions/fr-par"},
		{"http://[::1]:8081/iot//v1/regions/./fr-par//", false, "http://[::1]:8081/iot/v1/regions/fr-par"},
		{"http://192.0.2.7/behind/a/proxy", true, "http://192.0.2.7/behind/a/proxy"},
		{"https://api.scaleway.com", false, "https://api.scaleway.com/iot/v1/regions/fr-par"},
		{"https://api.scaleway.com/", false, "https://api.scaleway.com/iot/v1/regions/fr-par"},
	} {
		a, err := NewAPI(Options{URL: tt.url, Device: "6CA0DF05-1234-4abc-8def-0123456789ab", Token: "secret", Insecure: tt.insecure})
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if want := tt.want + "/twins/" + string(testDevice) + "/documents/"; a.documents != want {
			t.Errorf("%s: got %s, want %s", tt.url, a.documents, want)
		}
	}
}

// rawAPI is an API whose hub writes what it wants to each connection.
func rawAPI(t *testing.T, serve func(net.Conn, *http.Request)) *API {
	t.Helper()
	transport := newTransport(nil)
	transport.Proxy = nil
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		client, hub := net.Pipe()
		go func() {
			defer hub.Close()
			r, err := http.ReadRequest(bufio.NewReader(hub))
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err == nil {
				serve(hub, r)
			}
		}()
		return client, nil
	}
	t.Cleanup(transport.CloseIdleConnections)
	a, err := NewAPI(Options{URL: "http://127.0.0.1:8081", Device: testDevice, Token: "secret", Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// writes answers with these bytes, and then the connection ends.
func writes(raw string) func(net.Conn, *http.Request) {
	return func(c net.Conn, _ *http.Request) { _, _ = io.WriteString(c, raw) }
}

func http1(status, headers, body string) string {
	return "HTTP/1.1 " + status + "\r\n" + headers + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

const jsonType = "Content-Type: application/json\r\n"

func TestAPIBadAnswers(t *testing.T) {
	const (
		aDocument = `{"version":7,"data":{"alarm_armed":true}}`
		notFound  = `{"message":"resource is not found","resource":"twin","resource_id":"x","type":"not_found"}`
	)
	for _, tt := range []struct {
		name  string
		serve func(net.Conn, *http.Request)
		why   string // of the trouble
		text  string // in it
		maybe bool   // a put may have been done
	}{
		{"closes at once", writes(""), WhyUnreachable, "look whether it runs", true},
		{"speaks another protocol", writes("\x20\x02\x00\x05"), WhyUnreachable, "check --api", true},
		{"half a header", writes("HTTP/1.1 200 OK\r\nContent-Ty"), WhyUnreachable, "can't be reached", true},
		{"half a body", writes("HTTP/1.1 200 OK\r\n" + jsonType + "Content-Length: 1000\r\n\r\n" + aDocument), WhyUnreachable, "can't be reached", true},
		{"a header without end", func(c net.Conn, _ *http.Request) {
			for _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n"); err == nil; {
				_, err = io.WriteString(c, "X-More: "+strings.Repeat("x", 1000)+"\r\n")
			}
		}, WhyUnreachable, "can't be reached", true},
		{"says nothing", func(net.Conn, *http.Request) { time.Sleep(time.Hour) }, WhySlow, "no whole answer of the hub in 5s", true},
		{"drips", func(c net.Conn, _ *http.Request) {
			for b := range strings.SplitSeq(http1("200 OK", jsonType, aDocument), "") {
				if _, err := io.WriteString(c, b); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, WhySlow, "no whole answer of the hub in 5s", true},
		{"drips its body", func(c net.Conn, _ *http.Request) {
			for _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err == nil; time.Sleep(time.Second) {
				_, err = io.WriteString(c, " ")
			}
		}, WhySlow, "no whole answer of the hub in 5s", true},
		{"pours without end", func(c net.Conn, _ *http.Request) {
			for _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err == nil; {
				_, err = c.Write(bytes.Repeat([]byte(" "), 64<<10))
			}
		}, WhyNonsense, "more than 1048576 bytes", true},
		{"pours a refusal", func(c net.Conn, _ *http.Request) {
			for _, err := io.WriteString(c, "HTTP/1.1 403 Forbidden\r\n\r\n"); err == nil; {
				_, err = c.Write(bytes.Repeat([]byte(" "), 64<<10))
			}
		}, WhyDenied, "hub token add", false},

		{"a page", writes(http1("200 OK", "Content-Type: text/html\r\n", "<title>Sign in</title>")), WhyNonsense, `"text/html"); check --api`, true},
		{"a hostile type", writes(http1("200 OK", "Content-Type: \xff<b>\r\n", "{}")), WhyNonsense, "check --api", true},
		{"nothing", writes(http1("200 OK", jsonType, "")), WhyNonsense, "no document", true},
		{"no content", writes("HTTP/1.1 204 No Content\r\n\r\n"), WhyNonsense, "no document", true},
		{"null", writes(http1("200 OK", jsonType, "null")), WhyNonsense, "no document", true},
		{"an array", writes(http1("200 OK", jsonType, "[]")), WhyNonsense, "no document", true},
		{"an empty object", writes(http1("200 OK", jsonType, "{}")), WhyNonsense, "version", true},
		{"data alone", writes(http1("200 OK", jsonType, `{"data":{}}`)), WhyNonsense, "version", true},
		{"version 0", writes(http1("200 OK", jsonType, `{"version":0,"data":{}}`)), WhyNonsense, "version", true},
		{"a version in quotes", writes(http1("200 OK", jsonType, `{"version":"7","data":{}}`)), WhyNonsense, "version", true},
		{"a version that is too great", writes(http1("200 OK", jsonType, `{"version":4294967296,"data":{}}`)), WhyNonsense, "version", true},
		{"data that is no object", writes(http1("200 OK", jsonType, `{"version":7,"data":"armed"}`)), WhyNonsense, "data", true},
		{"half an object", writes(http1("200 OK", jsonType, `{"version":7,"data":{"alarm_armed":tr`)), WhyNonsense, "not JSON", true},
		{"not Unicode", writes(http1("200 OK", jsonType, "{\"version\":7,\"data\":{\"a\":\"\xff\"}}")), WhyNonsense, "UTF-8", true},
		{"much too deep", writes(http1("200 OK", jsonType, `{"version":7,"data":`+strings.Repeat(`{"a":`, 20000)+"1"+strings.Repeat("}", 20000)+"}")), WhyNonsense, "no document", true},
		{"another twin's document", writes(http1("200 OK", jsonType, `{"twin_id":"11111111-2222-4333-8444-555555555555","version":7,"data":{}}`)), WhyNonsense, "another document", true},
		{"another document", writes(http1("200 OK", jsonType, `{"document_name":"events","version":7,"data":{}}`)), WhyNonsense, "another document", true},

		{"a redirect", writes(http1("307 Temporary Redirect", "Location: https://elsewhere.example/\r\n", "")), WhyNonsense, `a redirect to "https://elsewhere.example/"`, true},
		{"another path's 404", writes(http1("404 Not Found", jsonType, `{"message":"Not Found"}`)), WhyNonsense, "check --api", true},
		{"a web server's 404", writes(http1("404 Not Found", "Content-Type: text/html\r\n", "<h1>Not Found</h1>")), WhyNonsense, "check --api", true},
		{"401", writes(http1("401 Unauthorized", jsonType, `{"message":"authentication is denied","method":"api_key","reason":"not_found","type":"denied_authentication"}`)),
			WhyDenied, `hub token add makes one`, false},
		{"403", writes(http1("403 Forbidden", jsonType, `{"details":[{"action":"read","resource":"twin"}],"message":"insufficient permissions","type":"permissions_denied"}`)),
			WhyDenied, "read and write the documents of device " + string(testDevice) + "; " + aToken + `. It says: "insufficient permissions"`, false},
		{"400", writes(http1("400 Bad Request", jsonType, `{"details":[{"argument_name":"region","help_message":"this hub serves region fr-par","reason":"unknown"}],"message":"invalid argument(s)","type":"invalid_arguments"}`)),
			WhyRefused, "region: this hub serves region fr-par", false},
		{"405 with a hostile text", writes(http1("405 Method Not Allowed", jsonType, `{"message":"<b>\u001b[31m\u202e`+strings.Repeat("x", 1000)+`"}`)), WhyRefused, `It says: "<b>�[31m�xxx`, false},
		{"429", writes(http1("429 Too Many Requests", jsonType, `{"help_message":"","message":"too many requests","type":"too_many_requests"}`)), WhyRefused, "a greater --poll", false},
		{"500", writes(http1("500 Internal Server Error", jsonType, `{"message":"internal error: nothing was written"}`)), WhyUnreachable, "nothing was written", true},
		{"a proxy's 502", writes(http1("502 Bad Gateway", "Content-Type: text/html\r\n", "<html>")), WhyUnreachable, "a proxy before it", true},
		{"503", writes(http1("503 Service Unavailable", jsonType, `{"message":"outcome unknown"}`)), WhyUnreachable, "outcome unknown", true},
		{"999", writes(http1("999 Hello", jsonType, "")), WhyUnreachable, "in trouble (999)", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := rawAPI(t, tt.serve)
				start := time.Now()
				_, err := a.Get(t.Context(), currentName)
				checkTrouble(t, err, tt.why, tt.text, false)
				_, err = a.Put(t.Context(), desiredName, 0, []byte("{}"))
				checkTrouble(t, err, tt.why, tt.text, tt.maybe)
				if took := time.Since(start); took > 2*requestTimeout {
					t.Errorf("two requests took %v", took)
				}
				time.Sleep(2 * time.Hour) // all servers end
			})
		})
	}
}

func checkTrouble(t *testing.T, err error, why, text string, maybe bool) {
	t.Helper()
	e, ok := errors.AsType[*HubError](err)
	if !ok {
		t.Fatalf("got %v, want a HubError", err)
	}
	if e.Why != why || !strings.Contains(e.Text, text) {
		t.Errorf("got %s: %s; want %s: …%s…", e.Why, e.Text, why, text)
	}
	if e.MaybeDone != maybe {
		t.Errorf("it may have been done: got %t, want %t", e.MaybeDone, maybe)
	}
	if len(e.Text) > 1000 || strings.ContainsAny(e.Text, "\x1b\n\u202e") || strings.Contains(e.Text, "secret\"") {
		t.Errorf("not a text to be shown: %q", e.Text)
	}
}

func TestAPIUnknownDeviceIsTroubleOnlyForAPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := rawAPI(t, writes(http1("404 Not Found", jsonType, `{"message":"resource is not found","resource":"twin","resource_id":"x","type":"not_found"}`)))
		if _, err := a.Get(t.Context(), currentName); !errors.Is(err, twin.ErrDocumentNotFound) {
			t.Errorf("get: %v", err)
		}
		_, err := a.Put(t.Context(), desiredName, 0, []byte("{}"))
		checkTrouble(t, err, WhyRefused, "check --device-id", false)
	})
}

func TestAPISendsWhatTheVendorKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := rawAPI(t, func(c net.Conn, r *http.Request) {
			want := "/iot/v1/regions/fr-par/twins/" + string(testDevice) + "/documents/desired"
			if r.Method != http.MethodPut || r.URL.String() != want || r.Header.Get("X-Auth-Token") != "secret" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got %s %s %v, want PUT %s", r.Method, r.URL, r.Header, want)
			}
			writes(http1("200 OK", jsonType, "{ \"twin_id\": \"6CA0DF05-1234-4ABC-8DEF-0123456789AB\", \"document_name\": \"desired\",\n \"version\": 8, \"data\": { \"alarm_armed\": true }, \"more\": [] }"))(c, r)
		})
		doc, err := a.Put(t.Context(), desiredName, 7, []byte(`{"alarm_armed":true}`))
		if err != nil || doc.Version != 8 || string(doc.Data) != `{"alarm_armed":true}` {
			t.Errorf("got %v, %v", doc, err)
		}
	})
}

func TestAPIEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := rawAPI(t, func(net.Conn, *http.Request) { time.Sleep(time.Minute) })
		over := errors.New("over")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(over) })
		if _, err := a.Get(ctx, currentName); err != over {
			t.Errorf("got %v, want %v", err, over)
		}
		time.Sleep(time.Hour)
	})
}

func TestRetryAfterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		for _, tt := range []struct {
			header string
			want   time.Duration
		}{
			{"", 0}, {"soon", 0}, {"-5", 0}, {"1.5", 0}, {"99999999999999999999", 0},
			{"0", 0}, {"7", 7 * time.Second}, {"3600", longestRetry},
			{now.Add(9 * time.Second).Format(http.TimeFormat), 9 * time.Second},
			{now.Add(-time.Hour).Format(http.TimeFormat), 0},
			{now.Add(time.Hour).Format(http.TimeFormat), longestRetry},
		} {
			a := rawAPI(t, writes(http1("503 Service Unavailable", "Retry-After: "+tt.header+"\r\n", "")))
			_, err := a.Get(t.Context(), currentName)
			if e, ok := errors.AsType[*HubError](err); !ok || e.Wait != tt.want {
				t.Errorf("%q: got %+v, want %v", tt.header, err, tt.want)
			}
		}
	})
}

func TestAPITrustsOnlyWhatItIsTold(t *testing.T) {
	quiet := log.New(io.Discard, "", 0)
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"version":1,"data":{}}`)
	})
	hub := httptest.NewUnstartedServer(serve)
	hub.Config.ErrorLog = quiet
	hub.StartTLS()
	defer hub.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hub.Certificate().Raw})
	for _, tt := range []struct {
		name string
		url  string
		ca   []byte
		want string // in the error; "" = none
	}{
		{"nobody vouches", hub.URL, nil, "name the file of the authority that signed it with --ca"},
		{"another host", strings.Replace(hub.URL, "127.0.0.1", "localhost", 1), ca, "isn't trusted"},
		{"plain HTTP to a TLS port", strings.Replace(hub.URL, "https", "http", 1), nil, "refuses"},
		{"the authority vouches", hub.URL, ca, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := NewAPI(Options{URL: tt.url, Device: testDevice, Token: "secret", CA: tt.ca})
			if err != nil {
				t.Fatal(err)
			}
			defer a.http.CloseIdleConnections()
			_, err = a.Put(t.Context(), desiredName, 0, []byte("{}"))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*HubError](err)
			if !ok || !strings.Contains(e.Text, tt.want) || e.MaybeDone {
				t.Errorf("got %+v, want …%s…", err, tt.want)
			}
		})
	}
}

func TestAPIWithoutAHub(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	a, err := NewAPI(Options{URL: "http://" + l.Addr().String(), Device: testDevice, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Put(t.Context(), desiredName, 0, []byte("{}"))
	checkTrouble(t, err, WhyUnreachable, "connection refused", false)
}

// FuzzAnswers: whatever the hub answers, there is a document that can be shown, or trouble that can be told.
func FuzzAnswers(f *testing.F) {
	f.Add(200, "application/json", "", `{"version":7,"data":{"alarm_armed":true,"siren_ringing":false,"door_open":false}}`, uint32(0))
	f.Add(200, "text/html", "", "<title>Sign in</title>", uint32(3))
	f.Add(400, "application/json", "", `{"details":[{"argument_name":"version","help_message":"","reason":"constraint"}],"type":"invalid_arguments"}`, uint32(3))
	f.Add(404, "application/json", "", `{"type":"not_found","message":"resource is not found"}`, uint32(0))
	f.Add(503, "", "120", `{"message":"outcome unknown"}`, uint32(1))
	f.Add(302, "", "Sun, 22 Nov 2026 12:00:00 GMT", `{"details":[{}],"message":"\u202e"}`, uint32(1))
	whys := []string{WhyUnreachable, WhySlow, WhyDenied, WhyRefused, WhyNonsense}
	f.Fuzz(func(t *testing.T, status int, kind, retry, body string, version uint32) {
		a, err := NewAPI(Options{URL: "http://127.0.0.1", Device: testDevice, Token: "secret", Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Header: http.Header{"Content-Type": {kind}, "Retry-After": {retry}},
				Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		for _, put := range []bool{false, true} {
			var doc twin.Document
			if put {
				doc, err = a.Put(t.Context(), desiredName, version, []byte("{}"))
			} else {
				doc, err = a.Get(t.Context(), currentName)
			}
			if err == nil {
				keys, bad := object(doc.Data)
				if doc.Version == 0 || bad != nil || status < 200 || status > 299 {
					t.Errorf("took %d %q for document %v with %d keys", status, body, doc, len(keys))
				}
				k := facts{started: time.Now()}
				k.learnCurrent(doc, true, time.Now())
				k.learnDesired(doc, true, put, time.Now())
				k.events.learn(doc, true, time.Now())
				if v := look(k, time.Now(), DefaultSilence); !slices.Contains(Rows, v.Row) {
					t.Errorf("no row for %s: %+v", doc.Data, v)
				}
				continue
			}
			if e, ok := errors.AsType[*HubError](err); ok {
				if !slices.Contains(whys, e.Why) || e.Text == "" || len(e.Text) > 2000 || e.Wait < 0 || e.Wait > longestRetry || !put && e.MaybeDone {
					t.Errorf("trouble that can't be told: %+v", e)
				}
				continue
			}
			if _, overtaken := errors.AsType[*twin.VersionError](err); !(overtaken && put && version != 0) && !(errors.Is(err, twin.ErrDocumentNotFound) && !put) {
				t.Errorf("put %t: %v", put, err)
			}
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
