package hub

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// dialPaho connects paho's client over a pipe.
func dialPaho(t *testing.T, s *testServer, change func(*paho.ClientOptions)) (paho.Client, error) {
	o := paho.NewClientOptions().AddBroker("pipe://hub").SetClientID(string(panelID)).
		SetAutoReconnect(false).SetProtocolVersion(4).SetKeepAlive(30 * time.Second)
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go s.ServeConn(theirs)
		return ours, nil
	})
	if change != nil {
		change(o)
	}
	c := paho.NewClient(o)
	token := c.Connect()
	token.Wait()
	t.Cleanup(func() { c.Disconnect(250) })
	return c, token.Error()
}

// waitFor waits for a token of paho's and fails the test on its error.
func waitFor(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(time.Minute) {
		t.Fatal("nothing came back within a minute")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

func TestPahoClient(t *testing.T) {
	tests := []struct {
		name string
		qos  byte
		size int
	}{
		{"QoS 0", 0, 10},
		{"QoS 1", 1, 10},
		{"large", 1, 200 << 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				c, err := dialPaho(t, s, nil)
				if err != nil {
					t.Fatal(err)
				}
				answers := make(chan paho.Message, 10)
				sub := c.Subscribe("$SCW/twins/me/#", 1, func(_ paho.Client, m paho.Message) { answers <- m })
				waitFor(t, sub)
				if got := sub.(*paho.SubscribeToken).Result()["$SCW/twins/me/#"]; got != 0 {
					t.Errorf("subscription answered with %#x, want QoS 0", got)
				}
				data := fmt.Sprintf(`{"text":%q}`, strings.Repeat("x", tt.size))
				for version := 1; version <= 3; version++ {
					waitFor(t, c.Publish("$SCW/twins/me/a/put", tt.qos, false, `{"data":`+data+`}`))
					m := <-answers
					want := fmt.Sprintf(`{"version":%d,"data":%s}`, version, data)
					if m.Topic() != "$SCW/twins/me/a/put/response/success" || string(m.Payload()) != want || m.Qos() != 0 || m.Retained() {
						t.Errorf("answer %d is wrong: topic %s, %d bytes", version, m.Topic(), len(m.Payload()))
					}
				}
				time.Sleep(time.Hour) // of pings
				if !c.IsConnectionOpen() {
					t.Error("connection was lost in an idle hour")
				}
				waitFor(t, c.Unsubscribe("$SCW/twins/me/#"))
			})
		})
	}
}

func TestPahoClientRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*paho.ClientOptions)
		want   string
	}{
		{"unknown device", func(o *paho.ClientOptions) { o.SetClientID(string(nobodyID)) }, "not Authorized"},
		{"no client id for a session", func(o *paho.ClientOptions) { o.SetClientID("").SetCleanSession(false) }, "identifier rejected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := dialPaho(t, newTestServer(t, nil), tt.change)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got error %v, want %q", err, tt.want)
				}
			})
		})
	}
}

func TestPahoClientOfMQTT31(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		c, err := dialPaho(t, s, func(o *paho.ClientOptions) { o.SetProtocolVersion(3).SetClientID("x").SetUsername(string(panelID)) })
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, c.Subscribe("$SCW/twins/me/#", 0, nil))
	})
}
