package conformance

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// settings say which hub in use to ask. The environment names them; see docs/conformance.md.
type settings struct {
	api, token, device    string // required
	mqtt, ws              string // ways in besides REST
	bystander, readToken  string
	ca, report            string // files
	deviceID, bystanderID twin.ID
	tls                   *tls.Config   // trusts what the system trusts, and ca
	quiet                 time.Duration // how long to wait for what must not come
}

// variables are those of the environment.
func (s *settings) variables() map[string]*string {
	return map[string]*string{
		"TWIN_API": &s.api, "TWIN_TOKEN": &s.token, "TWIN_DEVICE": &s.device, "TWIN_MQTT": &s.mqtt, "TWIN_WS": &s.ws,
		"TWIN_BYSTANDER": &s.bystander, "TWIN_READ_TOKEN": &s.readToken, "TWIN_CA": &s.ca, "TWIN_REPORT": &s.report,
	}
}

// readSettings reads lines NAME=VALUE. It returns nil if none of them is about a hub.
func readSettings(environ []string) (*settings, error) {
	s := &settings{quiet: 2 * time.Second}
	variables := s.variables()
	none := true
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, "TWIN_") {
			continue
		}
		variable, known := variables[name]
		if !known {
			return nil, fmt.Errorf("%s is no variable of this test; there are %s", name, strings.Join(slices.Sorted(maps.Keys(variables)), ", "))
		}
		*variable, none = value, false
	}
	if none {
		return nil, nil
	}
	var missing []string
	for _, name := range []string{"TWIN_API", "TWIN_TOKEN", "TWIN_DEVICE"} {
		if *variables[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("set %s too", strings.Join(missing, ", "))
	}
	return s, s.check()
}

// check says what of the settings can't be meant.
func (s *settings) check() (err error) {
	if s.deviceID, err = twin.ParseID(s.device); err != nil {
		return fmt.Errorf("TWIN_DEVICE: %w", err)
	}
	if s.bystander != "" {
		if s.bystanderID, err = twin.ParseID(s.bystander); err != nil {
			return fmt.Errorf("TWIN_BYSTANDER: %w", err)
		}
		if s.bystanderID == s.deviceID {
			return errors.New("TWIN_BYSTANDER is TWIN_DEVICE: name another device of the hub")
		}
	}
	for _, a := range []struct {
		name, value string
		forms       []string
	}{
		{"TWIN_API", s.api, []string{"https://HOST/iot/v1/regions/REGION", "http://HOST:8081/iot/v1/regions/REGION"}},
		{"TWIN_MQTT", s.mqtt, []string{"mqtt://HOST:1883", "mqtts://HOST:8883"}},
		{"TWIN_WS", s.ws, []string{"ws://HOST/mqtt", "wss://HOST/mqtt"}},
	} {
		u, err := url.Parse(a.value)
		known := err == nil && u.Host != "" && slices.ContainsFunc(a.forms, func(form string) bool {
			return strings.HasPrefix(form, u.Scheme+":")
		})
		if a.value != "" && !known {
			return fmt.Errorf("%s is %q: write %s", a.name, a.value, strings.Join(a.forms, " or "))
		}
	}
	// A test runs in the folder of its package, which isn't where somebody typed a name.
	for name, file := range map[string]string{"TWIN_CA": s.ca, "TWIN_REPORT": s.report} {
		if file != "" && !filepath.IsAbs(file) {
			return fmt.Errorf("%s is %q: write the whole path, such as $PWD/%[2]s", name, file)
		}
	}
	return s.trust()
}

// trust reads the certificates of TWIN_CA.
func (s *settings) trust() error {
	s.tls = new(tls.Config)
	if s.ca == "" {
		return nil
	}
	pem, err := os.ReadFile(s.ca)
	if err != nil {
		return fmt.Errorf("TWIN_CA: %w", err)
	}
	if s.tls.RootCAs, err = x509.SystemCertPool(); err != nil {
		return fmt.Errorf("reading the system's certificates: %w", err)
	}
	if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("TWIN_CA: %s has no certificate in PEM", s.ca)
	}
	return nil
}

// client is for REST, and for the request that becomes a WebSocket.
func (s *settings) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = s.tls.Clone()
	return &http.Client{Transport: transport}
}

// dialer opens connections to an address that was checked.
func (s *settings) dialer(address string) func(context.Context) (net.Conn, error) {
	u, _ := url.Parse(address)
	hostPort := func(standard string) string {
		if u.Port() != "" {
			standard = u.Port()
		}
		return net.JoinHostPort(u.Hostname(), standard)
	}
	switch u.Scheme {
	case "mqtt":
		return func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", hostPort("1883"))
		}
	case "mqtts":
		return func(ctx context.Context) (net.Conn, error) {
			return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", hostPort("8883"))
		}
	}
	client := s.client()
	return func(ctx context.Context) (net.Conn, error) {
		conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"mqtt"}})
		if err != nil {
			return nil, err
		}
		return websocket.NetConn(context.Background(), conn, websocket.MessageBinary), nil
	}
}

// A way is one way in to the hub.
type way struct {
	name string
	Twin
}

// ways opens all, and tries each once: what is wrong with a setting is told once, not by each check.
func (s *settings) ways(ctx context.Context) ([]way, *RESTTwin, error) {
	rest := REST(s.api, s.token, s.deviceID)
	rest.Client, rest.ReadOnly = s.client(), s.readToken
	if err := tryREST(ctx, rest); err != nil {
		return nil, nil, err
	}
	ways := []way{{"REST", rest}}
	for _, w := range []struct{ variable, name, address string }{{"TWIN_MQTT", "MQTT", s.mqtt}, {"TWIN_WS", "WebSocket", s.ws}} {
		if w.address == "" {
			continue
		}
		wire := Wire(s.dialer(w.address), rest)
		wire.Bystander, wire.Quiet = s.bystanderID, s.quiet
		if err := tryMQTT(ctx, wire); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", w.variable, err)
		}
		ways = append(ways, way{w.name, wire})
	}
	if s.mqtt != "" {
		// The dialer speaks TLS where the address says so, hence mqtt: here.
		mqtt := MQTT(twinclient.Options{Hub: "mqtt://hub", DeviceID: s.deviceID, Insecure: true, Dial: s.dialer(s.mqtt)})
		ways = append(ways, way{"twinclient", struct {
			*MQTTTwin
			Manager // MQTT cannot delete what a check wrote
		}{mqtt, rest}})
	}
	return ways, rest, nil
}

// tryREST writes a document and deletes it.
func tryREST(ctx context.Context, rest *RESTTwin) error {
	said := new(trace)
	rest.hide(said)
	name := twin.Name("conformance-" + strings.ToLower(rand.Text()[:10]))
	_, err := rest.Put(ctx, name, update(0, `{}`))
	_, refused := errors.AsType[*twin.RemoteError](err)
	switch {
	case err == nil:
	case errors.Is(err, twin.ErrPermissionDenied):
		return errors.New("TWIN_TOKEN may not write, and the checks write: set a token that may, and this one as TWIN_READ_TOKEN if it reads")
	case refused:
		return fmt.Errorf("TWIN_API, TWIN_TOKEN and TWIN_DEVICE open no twin: %s", said.clear(err.Error()))
	default:
		return fmt.Errorf("TWIN_API: is a hub's REST API there? %s", said.clear(err.Error()))
	}
	if err := rest.Delete(ctx, name); err != nil {
		return fmt.Errorf("TWIN_TOKEN wrote document %s, but can't delete it: %s", name, said.clear(err.Error()))
	}
	return nil
}

// tryMQTT asks for a document that doesn't exist: any answer will do.
func tryMQTT(ctx context.Context, wire *WireTwin) error {
	said := new(trace)
	wire.hide(said)
	_, err := wire.Get(ctx, "conformance-never")
	if _, answered := errors.AsType[*twin.RemoteError](err); err == nil || answered || errors.Is(err, twin.ErrDocumentNotFound) {
		return nil
	}
	return fmt.Errorf("is the hub there, and may the device connect without a certificate? %s", said.clear(err.Error()))
}
