package hub

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
)

func TestWebSocketRefused(t *testing.T) {
	const (
		key   = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
		other = "Origin: https://app.example"
	)
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key, "Sec-WebSocket-Protocol: mqtt"}
	without := func(name string, headers ...string) []string {
		for _, h := range upgrade {
			if !strings.HasPrefix(h, name+":") {
				headers = append(headers, h)
			}
		}
		return headers
	}
	with := func(headers ...string) []string { return append(headers, upgrade...) }
	const offer = `the header Sec-WebSocket-Protocol must offer "mqtt" or "mqttv3.1" [MQTT-6.0.0-3]`
	tests := []struct {
		name, request string
		headers       []string
		origins       []string
		status        int
		body          string // or its beginning, where the library says it
		log           string
	}{
		{"no WebSocket", "GET /mqtt", nil, nil, 426, "this is for MQTT over WebSocket: give this address to an MQTT client, with ws: in place of http:, or open /console", ""},
		{"another method", "POST /mqtt", upgrade, nil, 405, `WebSocket protocol violation: handshake request method is not GET but "POST"`, "not GET"},
		{"another path", "GET /ws", upgrade, nil, 404, "not found: MQTT over WebSocket is at /mqtt, a client for it at /console", `reason="another path" hint="MQTT is at /mqtt"`},
		{"below the path", "GET /mqtt/", upgrade, nil, 404, "not found: MQTT over WebSocket is at /mqtt, a client for it at /console", `reason="another path" hint="MQTT is at /mqtt"`},
		{"no path", "GET /", upgrade, nil, 404, "not found: MQTT over WebSocket is at /mqtt, a client for it at /console", `reason="another path" hint="MQTT is at /mqtt"`},
		{"another page", "GET /index.html", nil, nil, 404, "not found: MQTT over WebSocket is at /mqtt, a client for it at /console", ""},
		{"no such file of the console", "GET /console/nothing.js", nil, nil, 404, "404 page not found", ""},
		{"no subprotocol", "GET /mqtt", without("Sec-WebSocket-Protocol"), nil, 400, offer, "must offer"},
		{"empty subprotocol", "GET /mqtt", without("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: "), nil, 400, offer, "must offer"},
		{"another subprotocol", "GET /mqtt", without("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: mqttv5, wamp"), nil, 400, offer, "must offer"},
		{"another version of WebSocket", "GET /mqtt", without("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), nil, 400, "unsupported WebSocket protocol version", "unsupported"},
		{"no key", "GET /mqtt", without("Sec-WebSocket-Key"), nil, 400, "WebSocket protocol violation: missing Sec-WebSocket-Key", "missing Sec-WebSocket-Key"},
		{"a short key", "GET /mqtt", without("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAA"), nil, 400, "WebSocket protocol violation: invalid Sec-WebSocket-Key", "invalid Sec-WebSocket-Key"},
		{"another upgrade", "GET /mqtt", without("Upgrade", "Upgrade: h2c"), nil, 426, "WebSocket protocol violation: Upgrade header", "Upgrade header"},
		{"foreign page", "GET /mqtt", with(other), nil, 403, `request Origin "app.example" is not authorized for Host "hub.test"`, "--ws-origin"},
		{"page of the same name on another port", "GET /mqtt", with("Origin: http://hub.test:8080"), nil, 403, `request Origin "hub.test:8080" is not authorized for Host "hub.test"`, "--ws-origin"},
		{"page below the host", "GET /mqtt", with("Origin: http://hub.test.example"), nil, 403, `request Origin "hub.test.example" is not`, "--ws-origin"},
		{"page without an address", "GET /mqtt", with("Origin: null"), nil, 403, `request Origin "null" is not a valid URL with a host`, "--ws-origin"},
		{"none of the pages allowed", "GET /mqtt", with(other), []string{"example", "*.app.example", "http://app.example", "app.example:443"}, 403, `request Origin "app.example" is not`, "--ws-origin"},

		{"no page", "GET /mqtt", upgrade, nil, 101, "", ""},
		{"one of several subprotocols", "GET /mqtt", without("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: wamp, MQTT"), nil, 101, "", ""},
		{"a header for each subprotocol", "GET /mqtt", without("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: wamp", "Sec-WebSocket-Protocol: mqttv3.1"), nil, 101, "", ""},
		{"own page", "GET /mqtt", with("Origin: https://HUB.test"), nil, 101, "", ""},
		{"allowed page", "GET /mqtt", with(other), []string{"shop.example", "app.example"}, 101, "", ""},
		{"allowed by its scheme, too", "GET /mqtt", with(other), []string{"https://app.example"}, 101, "", ""},
		{"allowed by a pattern", "GET /mqtt", with(other), []string{"*.example"}, 101, "", ""},
		{"console", "GET /console", nil, nil, 200, "<!doctype html>", ""},
		{"root", "GET /", nil, nil, 307, "", ""},
		{"console with a slash", "GET /console/", nil, nil, 308, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newWebServer(t, func(c *Config) { c.Origins = tt.origins })
				status, header, body := s.ask(tt.request, tt.headers)
				if status != tt.status || !strings.HasPrefix(body, tt.body) || tt.body == "" && tt.status >= 400 {
					t.Errorf("got  %d %s\nwant %d %s", status, body, tt.status, tt.body)
				}
				if status == http.StatusSwitchingProtocols {
					offered := strings.Join(tt.headers, " ")
					if got := header.Get("Sec-WebSocket-Protocol"); got == "" || !strings.Contains(offered, got) {
						t.Errorf("got subprotocol %q, want one of those offered", got)
					}
					if got := header.Get("Sec-WebSocket-Extensions"); got != "" {
						t.Errorf("got extensions %q, want none", got)
					}
				}
				if to := header.Get("Location"); status == http.StatusTemporaryRedirect && to != "/console" {
					t.Errorf("leads to %q, want /console", to)
				}
				log := s.log.take()
				if !strings.Contains(log, tt.log) || (log == "") != (tt.log == "") {
					t.Errorf("got log %q, want %q in it", log, tt.log)
				}
			})
		})
	}
}

func TestOriginsAreChecked(t *testing.T) {
	for _, bad := range []string{"", "[", "https://", "ftp://app.example", "https://app.example/", "app.example/x", "a.example, b.example"} {
		s := newTestServer(t, nil)
		_, err := New(Config{Documents: s.documents, Registry: s.registry, Origins: []string{"app.example", bad}})
		if err == nil || !strings.HasPrefix(err.Error(), "hub: Config.Origins: origin ") {
			t.Errorf("%q: got error %v", bad, err)
		}
	}
}

// TestWebSocketEnds has how the hub ends a connection, for each reason: the last answer,
// the close frame and the log.
func TestWebSocketEnds(t *testing.T) {
	panel := string(panelID)
	const ready = "20020000" + "9003000100"
	prefix := func(packets ...[]byte) [][]byte {
		return append([][]byte{connectPacket(panel, 60), subscribePacket(1, "$SCW/twins/#")}, packets...)
	}
	tests := []struct {
		name string
		send [][]byte
		want string
		log  string // of the end
	}{
		{"unknown device", [][]byte{connectPacket(string(nobodyID), 60)}, "20020005 1008", `level=INFO msg="connection refused"`},
		{"device that wants a certificate", [][]byte{connectPacket(string(secureID), 60)}, "20020005 1008", `level=INFO msg="connection refused"`},
		{"MQTT 5", [][]byte{packet(0x10, "MQTT", 5, 2, uint16(0), 0, panel)}, "2003008400 1008 MQTT 5 is not spoken here, set the client to 3.1.1", `level=INFO msg="connection refused"`},
		{"no CONNECT", [][]byte{packet(0xc0)}, "1008 first packet is no CONNECT [MQTT-3.1.0-1]", `level=INFO msg="connection refused"`},
		{"CONNECT of 16 MiB", [][]byte{{0x10, 0xff, 0xff, 0xff, 0x07}}, "1009 CONNECT longer than 65536 bytes", `level=INFO msg="connection refused"`},
		{"packet of 16 MiB", prefix([]byte{0x30, 0xff, 0xff, 0xff, 0x07}), ready + " 1009 packet longer than 524288 bytes", "level=WARN"},
		{"second CONNECT", prefix(connectPacket(panel, 60)), ready + " 1008 packet of a type that a client has no reason to send", "level=WARN"},
		{"publish elsewhere", prefix(publishPacket("home/"+strings.Repeat("é", 100), 0, "")), ready + " 1008 publish outside $SCW/twins/: the hub is no broker; --other-topics drop ignores such messages: topic \"home/éééééééé", "level=WARN"},
		{"DISCONNECT", prefix(packet(0xe0)), ready + " 1000", "level=INFO"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newWebServer(t, nil)
				c := s.dialWeb()
				c.send(tt.send...)
				c.want(tt.want)
				if log := s.log.take(); !strings.Contains(log, tt.log) {
					t.Errorf("got log %q, want %s", log, tt.log)
				}
			})
		})
	}
}

func TestWebSocketWrongFrames(t *testing.T) {
	text := func(c *webClient) { _ = c.ws.Write(context.Background(), websocket.MessageText, []byte{0xc0, 0}) }
	raw := func(frame ...byte) func(*webClient) {
		return func(c *webClient) { _, _ = c.wire.Write(frame) }
	}
	tests := []struct {
		name string
		send func(*webClient)
		want string
		log  string
	}{
		{"text", text, "1003 text frame [MQTT-6.0.0-1]", `level=WARN msg="device disconnected" device=panel id=11111111… reason="text frame [MQTT-6.0.0-1]"`},
		{"no mask", raw(0x82, 2, 0xc0, 0), "1002", "reason=\"connection lost"},
		{"reserved bit", raw(0xc2, 0x82, 0, 0, 0, 0, 0xc0, 0), "1002 received header with unexpected rsv bits set: true:false:false", "reason=\"connection lost"},
		{"unknown opcode", raw(0x83, 0x80, 0, 0, 0, 0), "1002 received unknown opcode opcode(3)", "reason=\"connection lost"},
		{"continuation of nothing", raw(0x80, 0x80, 0, 0, 0, 0), "1002 received continuation frame without text or binary frame", "reason=\"connection lost"},
		{"cut ping", raw(0x09, 0x80, 0, 0, 0, 0), "1002 received fragmented control frame", "reason=\"connection lost"},
		{"good-bye without a DISCONNECT", raw(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9), "1001", `level=INFO msg="device disconnected" device=panel id=11111111… reason="connection lost"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newWebServer(t, nil)
				c := s.connectWeb(panelID, 60)
				s.log.take()
				tt.send(c)
				c.want(tt.want)
				if log := s.log.take(); !strings.Contains(log, tt.log) {
					t.Errorf("got log  %s\nwant log %s", log, tt.log)
				}
			})
		})
	}
}

// TestWebSocketCutAnyhow sends one conversation, cut in different ways; the answers
// are the same.
func TestWebSocketCutAnyhow(t *testing.T) {
	big := `{"data":{"text":"` + strings.Repeat("x", 100<<10) + `"}}`
	conversation := slices.Concat(
		connectPacket(string(panelID), 60),
		subscribePacket(1, "$SCW/twins/me/#"),
		publishPacket("$SCW/twins/me/a/put", 7, `{"data":{"b":1}}`),
		packet(0xc0),
		publishPacket("$SCW/twins/me/a/patch", 0, `{"data":{"c":2}}`),
		publishPacket("$SCW/twins/me/big/put", 0, big),
		packet(0xc0),
		packet(0xe0),
	)
	want := "20020000" + "9003000100" + "40020007" +
		answer("$SCW/twins/me/a/put/response/success", `{"version":1,"data":{"b":1}}`) + "d000" +
		answer("$SCW/twins/me/a/patch/response/success", `{"version":2,"data":{"b":1,"c":2}}`) +
		answer("$SCW/twins/me/big/put/response/success", `{"version":1,`+big[1:]) + "d000" + " 1000"
	tests := []struct {
		name string
		send func(*webClient)
	}{
		{"one message", func(c *webClient) { c.send(conversation) }},
		{"a message for every 1000 bytes", func(c *webClient) {
			c.send(slices.Collect(slices.Chunk(conversation, 1000))...)
		}},
		{"a message for each byte", func(c *webClient) { c.send(slices.Collect(slices.Chunk(conversation, 1))...) }},
		{"a frame for each byte", func(c *webClient) {
			w, err := c.ws.Writer(context.Background(), websocket.MessageBinary)
			if err != nil {
				c.t.Fatal(err)
			}
			for b := range slices.Chunk(conversation, 1) {
				if _, err := w.Write(b); err != nil {
					c.t.Fatal(err)
				}
			}
			_ = w.Close()
		}},
		{"pings in between", func(c *webClient) {
			for b := range slices.Chunk(conversation, 1<<10) {
				if err := c.ws.Ping(context.Background()); err != nil {
					c.t.Fatal(err)
				}
				c.send(nil, b, nil)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newWebServer(t, nil).dialWeb()
				tt.send(c)
				if got := c.take(); got != want {
					t.Errorf("got  %.200s… (%d)\nwant %.200s… (%d)", got, len(got), want, len(want))
				}
			})
		})
	}
}
