package importer_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/importer"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const (
	token   = "11111111-2222-4333-8444-555555555555"
	hubID   = "aaaaaaaa-0000-4000-8000-000000000001"
	project = "bbbbbbbb-0000-4000-8000-000000000002"
	region  = "/iot/v1/regions/fr-par"
)

// deviceID is the id of the device with a number.
func deviceID(n int) twin.ID { return twin.ID(fmt.Sprintf("dddddddd-0000-4000-8000-%012d", n)) }

// fields are an object as the vendor shows it.
type fields map[string]any

// A vendor plays Scaleway's API, as far as recordings of it show it: nulls, 1970 for never, 404 for a certificate that isn't there.
type vendor struct {
	mu       sync.Mutex
	hubs     []fields
	devices  []fields
	certs    map[twin.ID]string            // PEM
	twins    map[twin.ID]map[string]string // answers by name; a twin that isn't there has none
	ca       string
	networks []fields
	// meddle may answer in the vendor's place.
	meddle func(w http.ResponseWriter, r *http.Request) (done bool)

	requests  []string // paths with their queries, in the order they came
	strangers int      // requests without the right token

	transport *http.Transport
}

// A pipeListener is a network of net.Pipe, which fits into a bubble of synctest.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.IPAddr{} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	outer, inner := net.Pipe()
	select {
	case l.conns <- inner:
		return outer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// bubble runs a test in a bubble, with a vendor that has one empty hub.
func bubble(t *testing.T, run func(t *testing.T, v *vendor)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newVendor()
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: v, ErrorLog: log.New(io.Discard, "", 0)}
		v.transport = &http.Transport{DialContext: l.dial}
		var served sync.WaitGroup
		served.Go(func() { _ = server.Serve(l) })
		defer func() {
			v.transport.CloseIdleConnections()
			_ = server.Close()
			served.Wait()
		}()
		run(t, v)
	})
}

func newVendor() *vendor {
	return &vendor{
		hubs: []fields{{
			"id": hubID, "name": "house", "status": "ready", "product_plan": "plan_shared", "enabled": true,
			"device_count": 0, "connected_device_count": 0, "endpoint": "iot.fr-par.scw.cloud", "disable_events": false,
			"events_topic_prefix": "$SCW/events", "region": "fr-par", "created_at": "2022-11-16T14:45:12.488Z", "updated_at": "2022-11-16T14:45:12.488Z",
			"project_id": project, "organization_id": project, "enable_device_auto_provisioning": false, "has_custom_ca": false,
		}},
		certs: make(map[twin.ID]string),
		twins: make(map[twin.ID]map[string]string),
	}
}

// add adds a device as the vendor shows it, without a certificate or documents.
func (v *vendor) add(n int) (fields, twin.ID) {
	id := deviceID(n)
	d := fields{
		"id": id, "name": fmt.Sprintf("panel-%d", n), "description": "", "status": "enabled", "hub_id": hubID,
		"last_activity_at": "1970-01-01T00:00:00Z", "is_connected": false, "allow_insecure": false, "allow_multiple_connections": false,
		"message_filters":        fields{"publish": fields{"policy": "reject", "topics": []string{}}, "subscribe": fields{"policy": "reject", "topics": []string{}}},
		"has_custom_certificate": false, "created_at": "2022-11-16T14:45:12.488Z", "updated_at": "2022-11-16T14:45:12.488Z",
	}
	v.devices = append(v.devices, d)
	v.twins[id] = make(map[string]string)
	return d, id
}

// put gives a twin a document.
func (v *vendor) put(id twin.ID, name string, version uint32, data string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.twins[id][name] = fmt.Sprintf(`{"twin_id":%q,"document_name":%q,"version":%d,"data":%s}`, id, name, version, data)
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.requests = append(v.requests, r.URL.RequestURI())
	if r.Header.Get("X-Auth-Token") != token {
		v.strangers++
		say(w, 401, `{"message":"authentication is denied","method":"api_key","reason":"not_found","type":"denied_authentication"}`)
		return
	}
	if v.meddle != nil && v.meddle(w, r) {
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, region)
	if !ok || r.Method != http.MethodGet {
		say(w, 404, `{"message":"Not Found"}`)
		return
	}
	part := strings.Split(path, "/")[1:]
	id := twin.ID(append(part, "")[1])
	switch documents, is := v.twins[id]; {
	case path == "/hubs":
		page(w, r, "hubs", v.hubs)
	case path == "/devices":
		page(w, r, "devices", slices.DeleteFunc(slices.Clone(v.devices), func(d fields) bool { return r.URL.Query().Get("hub_id") != fmt.Sprint(d["hub_id"]) }))
	case path == "/networks":
		page(w, r, "networks", v.networks)
	case path == "/routes":
		page(w, r, "routes", nil)
	case path == "/hubs/"+hubID+"/ca":
		answer(w, fields{"ca_cert_pem": v.ca})
	case strings.HasPrefix(path, "/devices/") && strings.HasSuffix(path, "/certificate") && v.certs[id] != "":
		answer(w, fields{"device": nil, "certificate_pem": v.certs[id]})
	case strings.HasPrefix(path, "/twins/") && is && len(part) == 2:
		names := []fields{}
		for _, name := range slices.Sorted(maps.Keys(documents)) {
			names = append(names, fields{"document_name": name})
		}
		answer(w, fields{"documents": names})
	case strings.HasPrefix(path, "/twins/") && is && len(part) == 4 && documents[part[3]] != "":
		say(w, 200, documents[part[3]])
	default:
		say(w, 404, `{"message":"resource is not found","resource":"device","resource_id":"","type":"not_found"}`)
	}
}

// page answers one page of a list.
func page(w http.ResponseWriter, r *http.Request, key string, all []fields) {
	n, _ := strconv.Atoi(r.URL.Query().Get("page"))
	size, _ := strconv.Atoi(r.URL.Query().Get("page_size"))
	if n < 1 || size < 1 || size > 100 {
		say(w, 400, `{"details":[{"argument_name":"page","help_message":"","reason":"constraint"}],"message":"invalid argument(s)","type":"invalid_arguments"}`)
		return
	}
	from := min((n-1)*size, len(all))
	answer(w, fields{"total_count": len(all), key: all[from:min(from+size, len(all))]})
}

func answer(w http.ResponseWriter, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	say(w, 200, string(text))
}

func say(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// newTarget is a target as a new data folder is.
func newTarget() importer.Target {
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	devices.DeleteAll = documents.DeleteAll
	return importer.Target{Documents: documents, Registry: devices}
}

// config is how to reach the vendor.
func (v *vendor) config() importer.Config {
	return importer.Config{Source: "http://vendor.test", Insecure: true, Token: token, Transport: v.transport}
}

// run imports from the vendor.
func (v *vendor) run(t *testing.T, target importer.Target) (importer.Report, error) {
	t.Helper()
	source, err := importer.Open(t.Context(), v.config())
	if err != nil {
		return importer.Report{}, err
	}
	return source.Import(t.Context(), target)
}

// mustRun imports from the vendor and wants nothing to be missing.
func (v *vendor) mustRun(t *testing.T, target importer.Target) importer.Report {
	t.Helper()
	report, err := v.run(t, target)
	if err == nil {
		err = report.Complete()
	}
	if err != nil || !report.Verified {
		t.Fatalf("import: %v, verified %t, findings:\n%s", err, report.Verified, findings(report))
	}
	return report
}

// findings are all of a report, a line each.
func findings(r importer.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

// content is all that a target has, as text.
func content(t *testing.T, target importer.Target) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	h, err := target.Registry.Hub(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := target.Registry.Authorities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range authorities {
		authorities[i].Created = time.Time{}
	}
	devices, err := target.Registry.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = enc.Encode(h)
	_ = enc.Encode(authorities)
	for _, d := range devices {
		_ = enc.Encode(d)
		names, err := target.Documents.List(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			doc, err := target.Documents.Get(t.Context(), docstore.Key{Twin: d.ID, Name: name})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, name, doc.Version, string(doc.Data))
		}
	}
	return b.String()
}

// newCertificate signs itself.
func newCertificate(t testing.TB, name string, authority bool, end time.Time) (der []byte, text string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: authority,
		NotBefore: end.AddDate(-10, 0, 0), NotAfter: end,
	}
	der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der, string(credential.CertificatePEM(der))
}
