package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// An entry is where clients reach a broker, or a cluster: each at the next of its URLs.
type entry struct {
	urls   []string
	dialed int
}

func (e *entry) dial(t *testing.T, id string, set ...func(*mqtt.ClientOptions)) *peer {
	t.Helper()
	url := e.urls[e.dialed%len(e.urls)]
	e.dialed++
	return dialPeer(t, url, id, set...)
}

// A usage is told by what clients see.
type usage func(t *testing.T, at *entry) (seen []string)

// usages are what people use a broker for.
var usages = map[string]usage{
	"every QoS": func(t *testing.T, at *entry) (seen []string) {
		sender := at.dial(t, "")
		for _, granted := range []byte{0, 1, 2} {
			p := at.dial(t, "")
			seen = append(seen, p.connack, p.subscribe(granted, "house/+", "#"))
			for _, sent := range []byte{0, 1, 2} {
				sender.publish("house/door", sent, false, fmt.Sprint("at ", sent))
				seen = append(seen, p.next())
			}
			p.client.Disconnect(250)
		}
		return seen
	},
	"retained": func(t *testing.T, at *entry) (seen []string) {
		a := at.dial(t, "")
		a.publish("kept/1", 1, true, "first")
		a.publish("kept/1", 1, true, "second")
		a.publish("kept/2", 2, true, "gone soon")
		a.publish("kept/2", 1, true, "")
		for _, filters := range [][]string{{"kept/1", "kept/2", "kept/end"}, {"kept/#"}} {
			b := at.dial(t, "")
			seen = append(seen, b.subscribe(2, filters...))
			time.Sleep(300 * time.Millisecond) // what was kept may come after what is new
			a.publish("kept/1", 1, true, "third")
			a.publish("kept/end", 1, false, "")
			seen = append(seen, b.all("kept/end")...)
		}
		a.publish("kept/1", 1, true, "")
		return seen
	},
	"large messages": func(t *testing.T, at *entry) (seen []string) {
		camera, p := at.dial(t, ""), at.dial(t, "")
		seen = append(seen, p.subscribe(2, "camera"))
		for _, size := range []int{500, 600, 9000, 300_000, 5_000_000} {
			picture := strings.Repeat("picture ", size/8)
			camera.publish("camera", 2, false, picture)
			m := <-p.messages
			seen = append(seen, fmt.Sprint(len(m.Payload()), string(m.Payload()) == picture))
		}
		return seen
	},
	"will of a client that vanishes, and of one that says good-bye": func(t *testing.T, at *entry) (seen []string) {
		watcher := at.dial(t, "")
		seen = append(seen, watcher.subscribe(1, "house/#"))
		at.dial(t, "", will).vanish()
		seen = append(seen, watcher.next())
		at.dial(t, "", will).client.Disconnect(250)
		time.Sleep(50 * time.Millisecond) // a will that should not come has no other sign
		watcher.publish("house/end", 1, false, "")
		return append(seen, watcher.all("house/end")...)
	},
	"taken over by client id": func(t *testing.T, at *entry) (seen []string) {
		watcher := at.dial(t, "")
		watcher.subscribe(1, "house/#")
		first := at.dial(t, "meter", will)
		second := at.dial(t, "meter")
		first.awaitLost()
		time.Sleep(300 * time.Millisecond) // a broker may say nothing of the will
		watcher.publish("house/end", 1, false, "")
		seen = append(seen, second.connack)
		seen = append(seen, watcher.all("house/end")...)
		second.subscribe(0, "a")
		second.publish("a", 0, false, "works")
		return append(seen, second.next())
	},
	"session that is kept": func(t *testing.T, at *entry) (seen []string) {
		p := at.dial(t, "keeper", keepSession)
		seen = append(seen, p.connack, p.subscribe(2, "kept", "not/kept"))
		p.wait(p.client.Unsubscribe("not/kept"))
		p.client.Disconnect(250)
		other := at.dial(t, "")
		for i := range 50 {
			other.publish("kept", byte(1+i%2), false, fmt.Sprint(i))
			other.publish("not/kept", 1, false, "")
		}
		p = at.dial(t, "keeper", keepSession)
		seen = append(seen, p.connack)
		for range 50 {
			seen = append(seen, p.next())
		}
		p.publish("elsewhere", 2, false, "so that all is acknowledged")
		p.client.Disconnect(250)
		other.publish("kept", 2, false, "later")
		p = at.dial(t, "keeper", keepSession)
		seen = append(seen, p.connack, p.next())
		p.client.Disconnect(250)
		return append(seen, at.dial(t, "keeper").connack, at.dial(t, "keeper").connack)
	},
	"MQTT 3.1": func(t *testing.T, at *entry) (seen []string) {
		p := at.dial(t, "old", func(o *mqtt.ClientOptions) { o.SetProtocolVersion(3) })
		seen = append(seen, p.connack, p.subscribe(1, "a"))
		p.publish("a", 2, false, "old")
		return append(seen, p.next())
	},
	"keep-alive": func(t *testing.T, at *entry) (seen []string) {
		p := at.dial(t, "", func(o *mqtt.ClientOptions) { o.SetKeepAlive(2 * time.Second) })
		p.subscribe(0, "a")
		time.Sleep(4 * time.Second) // paho closes where a PINGRESP is missing, and a broker where a PINGREQ is
		p.publish("a", 0, false, "still here")
		return append(seen, p.next())
	},
}

// seeTheSame plays each usage at a broker, or a cluster, by its own URLs and then through hubs: what clients see has to be equal.
func seeTheSame(t *testing.T, alone []string, through ...[]string) {
	t.Helper()
	for name, play := range usages {
		t.Run(name, func(t *testing.T) {
			want := play(t, &entry{urls: alone})
			for _, urls := range through {
				if got := play(t, &entry{urls: urls}); !slices.Equal(got, want) {
					t.Errorf("through %s clients see\n%s\nof the broker alone\n%s", urls, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			t.Logf("%s", strings.Join(want, "\n"))
		})
	}
}

// Clients see the same in front of the hub as they see of the broker alone.
func TestUpstreamIsLikeTheBrokerAlone(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "allow_anonymous true\n")
	h, _ := startInFront(t, b.upstream(""))
	seeTheSame(t, []string{"mqtt://" + b.addr}, []string{h.MQTT()}, []string{h.WS()})
}
