package hub

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"strings"

	"github.com/coder/websocket"

	"github.com/twinpanel/twinpanel/hub/console"
)

// subprotocols of MQTT over WebSocket: that of 3.1.1 and 5, and that of 3.1.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// What stands in answers that are no WebSocket.
const (
	textNotFound    = "not found: MQTT over WebSocket is at /mqtt, a client for it at /console"
	textUpgrade     = "this is for MQTT over WebSocket: give this address to an MQTT client, with ws: in place of http:, or open /console"
	textSubprotocol = `the header Sec-WebSocket-Protocol must offer "mqtt" or "mqttv3.1" [MQTT-6.0.0-3]`
)

// WebSocket is the handler of /mqtt, MQTT over WebSocket, and of /console, a page with
// a client that connects there; / leads to /console, and everything else is not found.
// ServeWS serves it, too.
//
// What comes over WebSocket is MQTT as over TCP, by the same rules and within the same
// limits. Packets may be cut over frames and messages in any way [MQTT-6.0.0-2]. A text
// frame closes the connection. Whatever ends it stands in the hub's close frame.
//
// Browsers name the page that connects. Allowed are pages of the host that they connect to,
// and those whose host, port included, matches one of Config.Origins, a pattern as
// of [path.Match]: app.example, *.example:8080, or https://app.example to have the scheme
// compared as well. Other programs name none and are allowed. A page whose host's name was
// made to lead here (DNS rebinding) passes for one of the hub's own in plain text, though not over TLS. So what
// protects a device is its secret, and one that may connect without, that nobody knows its id.
func (h *Hub) WebSocket() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/mqtt", h.endpoint.upgrade)
	page := console.Handler()
	mux.Handle("/console", page)
	mux.Handle("/console/", page)
	mux.HandleFunc("/", h.endpoint.elsewhere)
	return mux
}

// elsewhere answers on paths where nothing is. An address without its path is the likeliest
// mistake in the settings of a client, and many clients don't show the answer.
func (e *endpoint) elsewhere(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") != "":
		http.Error(w, textNotFound, http.StatusNotFound)
		e.refused(r, errors.New("another path"), "hint", "MQTT is at /mqtt")
	case r.URL.Path == "/":
		http.Redirect(w, r, "/console", http.StatusTemporaryRedirect)
	default:
		http.Error(w, textNotFound, http.StatusNotFound)
	}
}

// CheckOrigin says what is wrong with one of Config.Origins; nil = nothing.
func CheckOrigin(pattern string) error {
	host := pattern
	if scheme, rest, ok := strings.Cut(pattern, "://"); ok {
		if scheme != "http" && scheme != "https" {
			return fmt.Errorf("origin %q: expected http or https before ://", pattern)
		}
		host = rest
	}
	switch _, err := path.Match(host, ""); {
	case err != nil:
		return fmt.Errorf("origin %q: %w", pattern, err)
	case host == "", strings.ContainsAny(host, "/ ,"):
		return fmt.Errorf("origin %q: expected a host, as in app.example or https://app.example:8443", pattern)
	}
	return nil
}

// upgrade makes an MQTT connection of a request.
func (e *endpoint) upgrade(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") == "":
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		http.Error(w, textUpgrade, http.StatusUpgradeRequired)
		return
	case !offersMQTT(r.Header):
		http.Error(w, textSubprotocol, http.StatusBadRequest)
		e.refused(r, errors.New(textSubprotocol))
		return
	}
	taker := &hijacker{ResponseWriter: w, request: r}
	ws, err := websocket.Accept(taker, r, &websocket.AcceptOptions{Subprotocols: subprotocols, OriginPatterns: e.origins})
	if err != nil { // the answer says the same
		var attrs []any
		if taker.status == http.StatusForbidden {
			attrs = []any{"hint", "--ws-origin allows a page's host"}
		}
		e.refused(r, err, attrs...)
		return
	}
	conn := newWebSocketConn(ws, taker.conn)
	s := e.begin(conn)
	if s == nil {
		e.carry(conn)
		return
	}
	e.conns.Go(func() { e.carry(conn) })
	go e.run(s)
}

// refused logs a request that did not become a connection.
func (e *endpoint) refused(r *http.Request, reason error, attrs ...any) {
	e.log.stranger(slog.LevelInfo, hostOf(r.RemoteAddr), "WebSocket refused", append([]any{"remote", r.RemoteAddr, "reason", reason}, attrs...)...)
}

// carry does a WebSocket's part beside its session. A panic ends this connection only, as in run.
func (e *endpoint) carry(conn *webSocketConn) {
	defer close(conn.carried)
	defer func() {
		if p := recover(); p != nil {
			conn.abort()
			e.log.stranger(slog.LevelError, hostOf(conn.RemoteAddr().String()), textFault,
				"remote", conn.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
		}
	}()
	conn.carry()
}

// offersMQTT tells whether a client offers one of the subprotocols, which it must.
func offersMQTT(header http.Header) bool {
	for _, line := range header.Values("Sec-WebSocket-Protocol") {
		for offer := range strings.SplitSeq(line, ",") {
			for _, p := range subprotocols {
				if strings.EqualFold(strings.TrimSpace(offer), p) {
					return true
				}
			}
		}
	}
	return false
}

// A hijacker keeps the connection that a WebSocket takes over, and the status of an
// answer that refuses to be one.
type hijacker struct {
	http.ResponseWriter
	request *http.Request
	conn    net.Conn
	status  int
}

func (h *hijacker) WriteHeader(status int) {
	h.status = status
	h.ResponseWriter.WriteHeader(status)
}

// Hijack implements [http.Hijacker]. The buffers of HTTP are larger than a connection needs
// that idles. Nothing of a client that waits for its answer is in them yet.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	conn = prompt(conn)
	if leave, ok := h.request.Context().Value(leaveKey{}).(func()); ok {
		conn = &slotConn{conn, leave}
	}
	h.conn = conn
	if buffers.Reader.Buffered() == 0 {
		buffers.Reader = bufio.NewReaderSize(conn, webSocketBuffer)
	}
	buffers.Writer = bufio.NewWriterSize(conn, webSocketBuffer)
	return conn, buffers, nil
}
