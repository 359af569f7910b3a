package interop

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/twinpanel/twinpanel/hub/hubtest"
)

// A cluster behind two hubs, each in front of a node of its own. Clients come out at either, in turn.
func TestUpstreamCluster(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 2)
	var hubs []*hubtest.Hub
	var alone, through []string
	for _, n := range nodes {
		h, _ := startInFront(t, n.upstream())
		hubs, alone, through = append(hubs, h), append(alone, "mqtt://"+n.addr), append(through, h.MQTT())
	}
	seeTheSame(t, alone, through)
	t.Run("node is killed", func(t *testing.T) { killNode(t, nodes[1], hubs[0], hubs[1]) })
}

const (
	tellers  = 20  // at each hub
	tellings = 300 // of each, at QoS 1, if it isn't dropped
)

// A teller is a client that publishes.
type teller struct {
	*peer
	told  atomic.Int64 // acknowledged
	heard atomic.Int64 // by another client; one more than the last
}

// killNode ends the node behind one hub while clients of both publish. Those of that hub are dropped, the others
// notice nothing, and all that was acknowledged arrives.
func killNode(t *testing.T, node *rabbit, stays, loses *hubtest.Hub) {
	device := stays.AddDevice("panel")
	panel := dialPeer(t, stays.MQTT(), string(device.ID))
	panel.subscribe(0, "$SCW/twins/me/#")
	lost := loses.AddDevice("panel")

	all := make([]*teller, 2*tellers)
	collector := dialPeer(t, stays.MQTT(), "collector", func(o *mqtt.ClientOptions) {
		o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			var who int
			var n int64
			if _, err := fmt.Sscanf(m.Topic()+" "+string(m.Payload()), "told/%d %d", &who, &n); err != nil {
				t.Errorf("got %s %s", m.Topic(), m.Payload())
				return
			}
			switch next := all[who].heard.Load(); {
			case n == next:
				all[who].heard.Store(n + 1)
			case n > next:
				t.Errorf("message %d of client %d came before %d", n, who, next)
			}
		})
	})
	for i := range all {
		h := stays
		if i >= tellers {
			h = loses
		}
		all[i] = &teller{peer: dialPeer(t, h.MQTT(), fmt.Sprint("teller-", i))}
	}
	collector.subscribe(1, "told/#")

	var telling sync.WaitGroup
	for i, p := range all {
		telling.Go(func() {
			for n := range tellings {
				token := p.client.Publish(fmt.Sprint("told/", i), 1, false, fmt.Sprint(n))
				if !token.WaitTimeout(patience) || token.Error() != nil {
					return
				}
				p.told.Add(1)
			}
		})
	}
	await(t, "all publish", func() bool {
		for _, p := range all {
			if p.told.Load() < tellings/10 {
				return false
			}
		}
		return true
	})
	node.kill()
	telling.Wait()

	var told, dropped int64
	for i, p := range all {
		told += p.told.Load()
		if i >= tellers {
			p.awaitLost()
			dropped += p.told.Load()
		} else if p.told.Load() != tellings || len(p.lost) > 0 {
			t.Errorf("client %d of the other hub has told %d of %d messages", i, p.told.Load(), tellings)
		}
		await(t, fmt.Sprintf("all that client %d was acknowledged has come", i), func() bool { return p.heard.Load() >= p.told.Load() })
	}
	if dropped >= tellers*tellings {
		t.Error("the node was killed when all was over")
	}
	t.Logf("%d messages were acknowledged and came, %d of them of clients that were dropped", told, dropped)

	if late := dialPeer(t, loses.MQTT(), "late"); late.connack != "code 3, session present false" {
		t.Errorf("where the node was killed: %s, want code 3", late.connack)
	}
	loses.MustPut(lost.ID, "current", `{}`) // by REST all goes on
	if late := dialPeer(t, stays.MQTT(), "late"); late.connack != "code 0, session present false" {
		t.Errorf("at another node: %s, want code 0", late.connack)
	}
	panel.publish("$SCW/twins/me/desired/get", 1, false, "")
	if got := panel.next(); !strings.Contains(got, "document not found") {
		t.Errorf("got %s", got)
	}
}
