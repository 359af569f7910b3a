package hub

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/twin"
)

// clientHello is how a connection over TLS begins.
func (s *doorServer) clientHello() []byte {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go tls.Client(theirs, s.config()).Handshake()
	b := make([]byte, 4096)
	n, err := ours.Read(b)
	if err != nil {
		s.t.Fatal(err)
	}
	return b[:n]
}

// Who begins TLS has as long for it as others have for their CONNECT, and no longer by not reading.
func TestSlowHandshakeIsCutOff(t *testing.T) {
	tests := []struct {
		name  string
		bytes int // of the first message; -1 = all of it
		reads bool
		log   string
	}{
		{"nothing", 0, true, "no complete TLS handshake within 5s"},
		{"one byte", 1, true, "no complete TLS handshake within 5s"},
		{"half of the first message", 100, true, "no complete TLS handshake within 5s"},
		{"all of it, and no answer to the hub's", -1, true, "no complete TLS handshake within 5s"},
		{"all of it, without reading", -1, false, "no complete TLS handshake within 5s"},
	}
	for _, way := range []string{"mqtts", "wss", "https"} {
		for _, tt := range tests {
			t.Run(way+", "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newDoorServer(t, nil)
					hello := s.clientHello()
					if tt.bytes >= 0 {
						hello = hello[:tt.bytes]
					}
					conn := s.pipe(way)
					gone := make(chan struct{})
					if tt.reads {
						go func() {
							_, _ = io.Copy(io.Discard, conn)
							close(gone)
						}()
					}
					if _, err := conn.Write(hello); err != nil {
						t.Fatal(err)
					}
					time.Sleep(connectTime - time.Millisecond)
					synctest.Wait()
					if log := s.log.take(); strings.Contains(log, "refused") {
						t.Errorf("too early: %s", log)
					}
					time.Sleep(time.Millisecond + stopTime) // of which closing has a part
					synctest.Wait()
					if log := s.log.take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, tt.log) {
						t.Errorf("log is %q, want one line with %q", log, tt.log)
					}
					if tt.reads {
						<-gone
					} else if _, err := conn.Write([]byte{0}); err == nil {
						t.Error("the connection is still open")
					}
				})
			})
		}
	}
}

// The whole time from the connection to CONNECT is one, however much of it TLS takes.
func TestHandshakeAndConnectShareTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDoorServer(t, nil)
		conn := tls.Client(s.pipe("mqtts"), s.config())
		time.Sleep(connectTime / 2)
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		c := &rawClient{t: t, conn: conn}
		go c.read()
		time.Sleep(connectTime/2 - time.Millisecond)
		c.want("")
		time.Sleep(time.Millisecond)
		c.want("closed")
		if log := s.log.take(); !strings.Contains(log, errNoConnect.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}

// What goes wrong between two programs that were set up by hand is said in words, with what to do.
func TestTLSTroubleIsNamed(t *testing.T) {
	handshake := func(change func(*tls.Config)) func(*doorServer, net.Conn) {
		return func(s *doorServer, conn net.Conn) {
			config := s.config()
			change(config)
			if err := tls.Client(conn, config).Handshake(); err == nil {
				// TLS 1.3 may tell the client later.
				_, _ = tls.Client(conn, config).Read(make([]byte, 1))
			}
			conn.Close()
		}
	}
	send := func(b []byte) func(*doorServer, net.Conn) {
		return func(_ *doorServer, conn net.Conn) {
			_, _ = conn.Write(b)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	tests := []struct {
		name string
		ways string
		do   func(*doorServer, net.Conn)
		log  string // empty = no line
	}{
		{"MQTT in plain text", "mqtts", send(connectPacket(string(panelID), 60)), "MQTT in plain text on a port for TLS: connect the client with TLS (mqtts://)"},
		{"MQTT in plain text", "wss https", send(connectPacket(string(panelID), 60)), "plain text on a port for TLS"},
		{"HTTP in plain text", "mqtts wss https", send([]byte("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n")), "plain text on a port for TLS: connect the client with TLS"},
		{"TLS", "mqtt", handshake(func(*tls.Config) {}), "TLS on a port for plain text: connect the client to the port of --mqtts"},
		{"TLS 1.1", "mqtts wss https", handshake(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), "client speaks no TLS 1.2 or later"},
		{"authority unknown", "mqtts wss https", handshake(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }), "hub ca export"},
		{"name unknown", "mqtts wss https", handshake(func(c *tls.Config) { c.ServerName = "alarm.example" }), "a host that is in --name"},
		{"client's clock is behind", "mqtts wss https", handshake(func(c *tls.Config) { c.Time = func() time.Time { return time.Unix(0, 0) } }), "client refuses the hub's certificate"},
		{"port check", "mqtts wss https", func(_ *doorServer, conn net.Conn) { conn.Close() }, ""},
		{"client leaves", "mqtts", func(s *doorServer, conn net.Conn) {
			_, _ = conn.Write(s.clientHello())
			_, _ = conn.Read(make([]byte, 4096))
			conn.Close()
		}, "client left amid the TLS handshake"},
	}
	for _, tt := range tests {
		for way := range strings.FieldsSeq(tt.ways) {
			t.Run(tt.name+" at "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newDoorServer(t, nil)
					go tt.do(s, s.pipe(way))
					time.Sleep(2 * connectTime)
					synctest.Wait()
					log := s.log.take()
					if tt.log == "" {
						if log != "" {
							t.Errorf("log is %q, want nothing", log)
						}
						return
					}
					if strings.Count(log, "\n") != 1 || !strings.Contains(log, `level=INFO msg="connection refused" remote=192.0.2.7:4711 reason=`) || !strings.Contains(log, tt.log) {
						t.Errorf("log is %q, want one line with %q", log, tt.log)
					}
				})
			})
		}
	}
}

// certificateFiles writes a certificate and its key for a hub that shows it.
func certificateFiles(t *testing.T, c tls.Certificate) credential.Files {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "hub.pem")
	content := append(credential.CertificatePEM(c.Leaf.Raw), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return credential.Files{Cert: path, Key: path}
}

// A client that doesn't take the hub's certificate is one to give an authority to, or the hub one to give a
// certificate to. What to do depends on whose certificate it is.
func TestWhatARefusedCertificateNeeds(t *testing.T) {
	const (
		ours    = "the authority that signed it (hub ca export)"
		theirs  = "the authority that signed the certificate of --cert"
		expired = ": that expired on 2026-06-01T11:00:00Z: put new files in the place of --cert and --key-file, or see hub ca renew"
	)
	tests := []struct {
		files string // what is in those of --cert; empty = there are none
		text  string // of crypto/tls
		want  string
	}{
		{"", "remote error: tls: unknown certificate authority", textUntrusted + ": give it " + ours},
		{"", "remote error: tls: bad certificate", textRefused + ": the client needs " + ours + ", a host that is in --name, and the right time"},
		{"", "local error: tls: bad record MAC", textRefused + ": the client needs " + ours + ", a host that is in --name, and the right time"},
		{"", "remote error: tls: expired certificate", textDates + ": look at the client's clock"},
		{"", "EOF", textLeft + ": the client needs " + ours + ", a host that is in --name, and the right time"},
		{"", "read tcp 192.0.2.1:8883->192.0.2.7:4711: read: connection reset by peer", textLeft + ": the client needs " + ours + ", a host that is in --name, and the right time"},
		{"good", "remote error: tls: unknown certificate authority", textUntrusted + ": give it " + theirs},
		{"good", "remote error: tls: unknown certificate", textRefused + ": the client needs " + theirs + ", a host that this is for, and the right time"},
		{"good", "remote error: tls: expired certificate", textDates + ": look at the client's clock"},
		{"expired", "remote error: tls: unknown certificate authority", textUntrusted + ": give it " + theirs},
		{"expired", "remote error: tls: bad certificate", textRefused + expired},
		{"expired", "remote error: tls: expired certificate", textDates + expired},
		{"expired", "EOF", textLeft + expired},
		{"expired", "tls: client offered only unsupported versions: [301]", "client speaks no TLS 1.2 or later: update the client"},
		{"expired", "tls: something new", "TLS handshake failed: tls: something new"},
	}
	for _, tt := range tests {
		t.Run(tt.files+" "+tt.text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)))
				now := time.Now()
				s := newTestServer(t, func(c *Config) {
					switch tt.files {
					case "good":
						c.Certificate = certificateFiles(t, certify(t, "hub.test", now.Add(-2*time.Hour), now.Add(time.Hour), nil))
					case "expired":
						c.Certificate = certificateFiles(t, certify(t, "hub.test", now.Add(-2*time.Hour), now.Add(-time.Hour), nil))
					}
				})
				s.startTLS()
				if got := s.tlsReason(tt.text); got != tt.want {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
			})
		})
	}
}

// Handshakes that fail are limited in the log as other strangers are.
func TestFailedHandshakesDoNotFillTheLog(t *testing.T) {
	for _, way := range []string{"mqtts", "https"} {
		synctest.Test(t, func(t *testing.T) {
			s := newDoorServer(t, nil)
			for range 100 {
				conn := s.pipe(way)
				go io.Copy(io.Discard, conn)
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			if n := strings.Count(s.log.take(), "\n"); n != linesPerSubject {
				t.Errorf("%s: the log has %d lines, want %d", way, n, linesPerSubject)
			}
		})
	}
}

func TestHTTPOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDoorServer(t, nil)
		conn := s.pipe("https")
		go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); answer.StatusCode != 400 || !strings.Contains(string(body), "HTTPS") {
			t.Errorf("in plain text: got %s %q, %v", answer.Status, body, err)
		}

		config := s.config()
		config.NextProtos = []string{"h2", "http/1.1"}
		over := tls.Client(s.pipe("https"), config)
		go io.WriteString(over, "GET /iot/v1/regions/fr-par/twins/"+string(panelID)+" HTTP/1.1\r\nHost: hub.test\r\n\r\n")
		answer, err = http.ReadResponse(bufio.NewReader(over), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := over.ConnectionState().NegotiatedProtocol; answer.StatusCode != 401 || answer.Proto != "HTTP/1.1" || got == "h2" {
			t.Errorf("over TLS: got %s %s, protocol %q", answer.Proto, answer.Status, got)
		}
		go io.Copy(io.Discard, over)
		time.Sleep(2 * connectTime)
	})
}

// A peer of TLS that takes nothing any more, not even the good-bye, doesn't keep a newer
// connection of its device waiting for long.
func TestDeafTLSPeerIsClosedPromptly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDoorServer(t, nil)
		deaf := tls.Client(s.pipe("mqtts"), s.config())
		if _, err := deaf.Write(loginPacket(string(panelID), "", "")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(deaf, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		next := s.dialBy("mqtt")
		next.send(loginPacket(string(panelID), "", ""))
		next.want("")
		time.Sleep(stopTime)
		next.want("20020000")
	})
}

// A device that is silent for long is still heard over TLS, and told of changes.
func TestTLSLastsThroughSilence(t *testing.T) {
	for _, way := range secureWays {
		synctest.Test(t, func(t *testing.T) {
			s := newDoorServer(t, nil)
			d, pair := s.addCertified("silent")
			c := s.connectBy(way, loginPacket("", "", ""), pair)
			c.send(subscribePacket(2, "$SCW/twins/me/a/changed"))
			c.take()
			for version := range 3 {
				time.Sleep(24 * time.Hour)
				s.put(d.ID, "a", `{"data":{}}`)
				c.want(answer(twin.NoticeTopic(twin.Me, "a"), `{"version":`+string(rune('1'+version))+`}`))
				time.Sleep(24 * time.Hour)
				c.send(packet(0xc0))
				c.want("d000")
			}
		})
	}
}
