package hub

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/twin"
)

// A change on one hub is told to the connections of the others that asked, and to nobody twice.
func TestNoticesAcrossHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		a.put(multiID, "desired", `{"data":{}}`)
		var clients []*rawClient
		for i, s := range []*joinedServer{a, a, b} {
			c := s.connectAs(fmt.Sprint(i), multiID)
			c.send(subscribePacket(2, "$SCW/twins/me/+/changed"))
			c.want("9003000200" + notice("desired", 1))
			clients = append(clients, c)
		}
		bystander := b.connect(otherID)
		check := func(want ...string) {
			t.Helper()
			for i, c := range clients {
				c.want(want[i])
			}
		}
		clients[0].send(publishPacket("$SCW/twins/me/desired/put", 0, `{"data":{}}`))
		check("", notice("desired", 2), notice("desired", 2))
		clients[2].send(publishPacket("$SCW/twins/me/desired/patch", 0, `{"data":{}}`))
		check(notice("desired", 3), notice("desired", 3), "")
		all := func(want string) { t.Helper(); check(want, want, want) }
		b.ask("PUT", "/twins/"+string(multiID)+"/documents/new", `{"data":{}}`)
		all(notice("new", 1))
		b.ask("DELETE", "/twins/"+string(multiID)+"/documents/desired", "")
		all(notice("desired", 0))
		b.ask("DELETE", "/twins/"+string(multiID), "")
		all(notice("new", 0))
		b.ask("DELETE", "/twins/"+string(multiID), "")
		all("")
		bystander.want("")
	})
}

// After news was missed, each client hears of everything that it asked for: also of documents that are
// gone meanwhile, and of those that it never heard of.
func TestNoticesAfterMissedNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		for _, name := range []twin.Name{"deleted", "stays", "written"} {
			a.put(multiID, name, `{"data":{}}`)
		}
		wide, one, deaf, none := a.connectAs("wide", multiID), a.connectAs("one", multiID), a.dialDeaf(), a.connectAs("none", multiID)
		wide.send(subscribePacket(2, "$SCW/twins/me/+/changed"))
		wide.want("9003000200" + notice("deleted", 1) + notice("stays", 1) + notice("written", 1))
		one.send(subscribePacket(2, "$SCW/twins/me/deleted/changed", "$SCW/twins/me/never/changed"))
		one.want("900400020000" + notice("deleted", 1) + notice("never", 0))
		deaf.send(packet(0x10, "MQTT", 4, 0x82, uint16(60), "deaf", string(multiID)))
		deaf.readNext("20020000")
		deaf.send(subscribePacket(1, "$SCW/twins/me/stays/changed"))
		deaf.readNext("9003000100" + notice("stays", 1))
		none.send(subscribePacket(2, "$SCW/twins/#"))
		none.want("9003000200")

		a.link.Deafen(true)
		b.put(multiID, "written", `{"data":{}}`)
		b.put(multiID, "new", `{"data":{}}`)
		b.ask("DELETE", "/twins/"+string(multiID)+"/documents/deleted", "")
		wide.want("")
		a.link.Deafen(false)
		wide.want(notice("deleted", 0) + notice("stays", 1) + notice("written", 2) + notice("new", 1))
		one.want(notice("deleted", 0) + notice("never", 0))
		none.want("")

		// Nobody has waited for the deaf one.
		b.put(multiID, "written", `{"data":{}}`)
		wide.want(notice("written", 3))
		a.link.Deafen(true)
		a.link.Deafen(false)
		wide.want(notice("stays", 1) + notice("written", 3) + notice("new", 1))
		one.want(notice("deleted", 0) + notice("never", 0))
		deaf.readNext(notice("stays", 1) + notice("stays", 1))
	})
}

// A twin is replaced as a whole while no news is heard, and once more before its client takes what it missed. It
// is told of everything all the same.
func TestNoticesOfATwinReplacedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		replace := func(generation string) {
			b.ask("DELETE", "/twins/"+string(multiID), "")
			for n := range twin.MaxDocuments {
				b.put(multiID, twin.Name(fmt.Sprintf("%s%02d", generation, n)), `{"data":{}}`)
			}
			synctest.Wait()
		}
		filters := []string{"$SCW/twins/me/+/changed"}
		for n := range maxFilters - 1 {
			filters = append(filters, fmt.Sprintf("$SCW/twins/me/n%02d/changed", n))
		}
		c := a.dialDeaf()
		c.send(connectPacket(string(multiID), 60))
		c.readNext("20020000")
		c.send(subscribePacket(1, filters...))
		c.readNext("90660001" + strings.Repeat("00", maxFilters))
		read := func(notices int) {
			t.Helper()
			if _, err := io.ReadFull(c.conn, make([]byte, notices*len(notice("n00", 0))/2)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		read(maxFilters - 1)
		replace("a")
		read(twin.MaxDocuments)

		a.link.Deafen(true)
		replace("b")
		a.link.Deafen(false)
		synctest.Wait()
		replace("c")
		read(3*twin.MaxDocuments + maxFilters - 1)
		c.send(packet(0xc0))
		c.readNext("d000")
	})
}

// A twin whose documents can't be listed when news was missed: the connection ends, so that its client reads anew.
func TestNoticesThatCannotBeCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newJoinedServers(t)
		c := a.connect(panelID)
		c.send(subscribePacket(2, "$SCW/twins/me/+/changed"))
		c.want("9003000200")
		if err := a.documents.Close(); err != nil {
			t.Fatal(err)
		}
		a.link.Deafen(false)
		c.want("closed")
		if log := a.log.take(); !strings.Contains(log, errNoVersion.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}

func TestPresenceAcrossHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		hubs, _ := a.ask("GET", "/hubs", "")["hubs"].([]any)
		path := fmt.Sprint("/hubs/", hubs[0].(map[string]any)["id"])
		check := func(when string, count float64, connected ...twin.ID) {
			t.Helper()
			synctest.Wait()
			for name, s := range map[string]*joinedServer{"a": a, "b": b} {
				s.link.asked = 0
				list, _ := s.ask("GET", "/devices", "")["devices"].([]any)
				if s.link.asked != 1 {
					t.Errorf("%s: %s asked %d times for a list, want once", when, name, s.link.asked)
				}
				got := make(map[twin.ID]bool)
				for _, d := range list {
					d := d.(map[string]any)
					id, _ := d["id"].(string)
					got[twin.ID(id)], _ = d["is_connected"].(bool)
				}
				for _, id := range []twin.ID{panelID, otherID, multiID, secureID} {
					want := false
					for _, c := range connected {
						want = want || c == id
					}
					if one := s.ask("GET", "/devices/"+string(id), "")["is_connected"]; got[id] != want || one != want {
						t.Errorf("%s: %s says of %.1s… %v and %v, want %v", when, name, id, got[id], one, want)
					}
				}
				if n := s.ask("GET", path, "")["connected_device_count"]; n != count {
					t.Errorf("%s: %s counts %v, want %v", when, name, n, count)
				}
			}
		}
		check("before", 0)
		panel := a.connect(panelID)
		check("one", 1, panelID)
		several := []*rawClient{a.connectAs("1", multiID), a.connectAs("2", multiID), b.connectAs("3", multiID)}
		check("several", 2, panelID, multiID)
		several[0].conn.Close()
		several[2].conn.Close()
		check("several on one hub only", 2, panelID, multiID)
		several[1].conn.Close()
		check("none of the several", 1, panelID)
		moved := b.connect(panelID)
		panel.want("closed")
		check("moved", 1, panelID)
		b.link.setFail(errors.New("database is away"))
		if n := b.ask("GET", path, "")["connected_device_count"]; n != 1.0 {
			t.Errorf("without the others: got %v, want those of this hub", n)
		}
		b.link.setFail(nil)
		moved.conn.Close()
		check("after", 0)
	})
}

// Time series go where the hub's record says, whichever hub was asked to change it.
func TestHubRecordAcrossHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		hubs, _ := a.ask("GET", "/hubs", "")["hubs"].([]any)
		path := fmt.Sprint("/hubs/", hubs[0].(map[string]any)["id"])
		pushesTo := func(s *joinedServer) string {
			synctest.Wait()
			s.series.mu.Lock()
			defer s.series.mu.Unlock()
			return s.series.uri
		}
		for _, uri := range []string{"http://127.0.0.1:1/one", "http://127.0.0.1:1/two", ""} {
			a.ask("PATCH", path, fmt.Sprintf(`{"twins_graphite_config":{"push_uri":%q}}`, uri))
			if got := pushesTo(b); got != uri {
				t.Errorf("by news: pushes to %q, want %q", got, uri)
			}
		}
		b.link.Deafen(true)
		a.ask("PATCH", path, `{"twins_graphite_config":{"push_uri":"http://127.0.0.1:1/three"}}`)
		if got := pushesTo(b); got != "" {
			t.Errorf("without news: pushes to %q, want nowhere", got)
		}
		b.link.Deafen(false)
		if got := pushesTo(b); got != "http://127.0.0.1:1/three" {
			t.Errorf("after missed news: pushes to %q", got)
		}
	})
}
