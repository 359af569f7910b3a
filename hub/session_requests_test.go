package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

func TestRequests(t *testing.T) {
	const me, own, other = "$SCW/twins/me/", "$SCW/twins/" + string(panelID) + "/", "$SCW/twins/" + string(otherID) + "/"
	longName := strings.Repeat("n", twin.MaxNameLen+1)
	denied := `{"error":"permission denied"}`
	tests := []struct {
		name           string
		topic, payload string
		answer, want   string // no answer if empty
	}{
		{"other device", other + "desired/get", "", other + "desired/get/response/error", denied},
		{"other device, put", other + "desired/put", `{"data":{}}`, other + "desired/put/response/error", denied},
		{"unknown device", "$SCW/twins/" + string(nobodyID) + "/desired/get", "", "$SCW/twins/" + string(nobodyID) + "/desired/get/response/error", denied},
		{"no device id", "$SCW/twins/you/desired/get", "", "$SCW/twins/you/desired/get/response/error", denied},
		{"other device, bad name", other + "a b/get", "", other + "a b/get/response/error", denied},
		{"bad name", me + "a b/get", "", me + "a b/get/response/error",
			`{"error":"document_name: only letters, digits and - _ . ~ can stand in a name: choose another one"}`},
		{"name of two dots", me + "../get", "", me + "../get/response/error",
			`{"error":"document_name: a name that no URL can carry: choose another than . and .."}`},
		{"name too long", me + longName + "/get", "", me + longName + "/get/response/error",
			`{"error":"document_name: longer than 128 characters: choose a shorter name"}`},
		{"topic too long", me + strings.Repeat("n", maxRequestTopic) + "/get", "", "", ""},
		{"name missing", me + "/get", "", "", ""},
		{"unknown method", me + "desired/delete", "", "", ""},
		{"method in capitals", me + "desired/GET", "", "", ""},
		{"no method", me + "desired", "", "", ""},
		{"level too many", me + "desired/get/now", "", "", ""},
		{"answer", me + "desired/get/response/success", `{"version":1,"data":{}}`, "", ""},
		{"missing document", me + "nothing/get", "", me + "nothing/get/response/error", `{"error":"document not found"}`},
		{"mismatch", me + "desired/put", `{"version":7,"data":{}}`, me + "desired/put/response/error",
			`{"error":"document version mismatch","twin_id":"` + string(panelID) + `","document_name":"desired","expected_version":7,"actual_version":1}`},

		{"get", me + "desired/get", "", me + "desired/get/response/success", `{"version":1,"data":{"alarm_armed":true}}`},
		{"get with payload", me + "desired/get", "\xff{", me + "desired/get/response/success", `{"version":1,"data":{"alarm_armed":true}}`},
		{"own id", own + "desired/get", "", own + "desired/get/response/success", `{"version":1,"data":{"alarm_armed":true}}`},
		{"put", me + "new/put", `{"data": {"a": "<&>", "n": 1.50}}`, me + "new/put/response/success", `{"version":1,"data":{"a":"<&>","n":1.50}}`},
		{"patch", own + "desired/patch", `{"data":{"b":2}}`, own + "desired/patch/response/success", `{"version":2,"data":{"alarm_armed":true,"b":2}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, id := range []uint16{0, 0x0708} { // QoS 0 and 1
				synctest.Test(t, func(t *testing.T) {
					s := newTestServer(t, nil)
					s.put(panelID, "desired", `{"data":{"alarm_armed":true}}`)
					s.put(otherID, "desired", `{"data":{"secret":true}}`)
					c, bystander := s.connect(panelID), s.connect(otherID)
					c.send(publishPacket(tt.topic, id, tt.payload))
					want := ""
					if id > 0 {
						want = "40020708"
					}
					if tt.answer != "" {
						want += answer(tt.answer, tt.want)
					}
					c.want(want)
					bystander.want("")
					if doc, err := s.documents.Get(t.Context(), docstore.Key{Twin: otherID, Name: "desired"}); err != nil || doc.Version != 1 {
						t.Errorf("the other twin has %v, %v", doc, err)
					}
				})
			}
		})
	}
}

func TestOwnIDInCapitals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const id = "abcdefab-cdef-4abc-8def-abcdefabcdef"
		s := newTestServer(t, nil)
		d := registry.Device{ID: id, Name: "capitals", AllowInsecure: true}
		if err := s.registry.AddDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		s.put(id, "a", `{"data":{}}`)
		c := s.connect(id)
		topic := "$SCW/twins/" + strings.ToUpper(id) + "/a/get"
		c.send(publishPacket(topic, 0, ""))
		c.want(answer(topic+"/response/success", `{"version":1,"data":{}}`))
	})
}

func TestDroppedRequestsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(c *Config) { c.OtherTopics = DropOtherTopics })
		c := s.connect(panelID)
		c.send(
			publishPacket("house/door", 0, "open"),
			publishPacket("house/door", 0x11, "open"),
			publishPacket("$SCW/twins/me/a/remove", 0, ""),
			publishPacket("$SCW/twins/me/a/get", 0, ""),
			packet(0xe0))
		c.want("40020011" + answer("$SCW/twins/me/a/get/response/error", `{"error":"document not found"}`) + " closed")
		if log := s.log.take(); !strings.Contains(log, "requests=1 dropped=3") {
			t.Errorf("log is %q", log)
		}
	})
}

// An answer goes out once if any subscription means its topic, and not at all
// if none does. The write happens in any case.
func TestAnswersNeedASubscription(t *testing.T) {
	success := answer("$SCW/twins/me/a/put/response/success", `{"version":1,"data":{}}`)
	tests := []struct {
		name    string
		filters []string
		want    string
	}{
		{"none", nil, ""},
		{"other document", []string{"$SCW/twins/me/b/#"}, ""},
		{"errors only", []string{"$SCW/twins/me/+/+/response/error"}, ""},
		{"by id, where the request says me", []string{"$SCW/twins/" + string(panelID) + "/#"}, ""},
		{"begins with a wildcard", []string{"+/twins/me/#", "#"}, ""},
		{"one", []string{"$SCW/twins/me/a/put/response/success"}, success},
		{"overlapping", []string{"$SCW/twins/me/#", "$SCW/twins/#", "$SCW/twins/me/a/put/response/+"}, success},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				c := s.dial()
				c.send(connectPacket(string(panelID), 60))
				c.want("20020000")
				if tt.filters != nil {
					c.send(subscribePacket(1, tt.filters...))
					c.take()
				}
				c.send(publishPacket("$SCW/twins/me/a/put", 0, `{"data":{}}`))
				c.want(tt.want)
				if _, err := s.documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: "a"}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestUnsubscribeEndsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestServer(t, nil).connect(panelID)
		c.send(packet(0xa2, uint16(3), "$SCW/twins/me/#", "never/subscribed"))
		c.want("b0020003")
		c.send(publishPacket("$SCW/twins/me/a/get", 0, ""))
		c.want(answer("$SCW/twins/me/a/get/response/error", `{"error":"document not found"}`)) // $SCW/twins/# is another filter
		c.send(packet(0xa2, uint16(4), "$SCW/twins/#"))
		c.want("b0020004")
		c.send(publishPacket("$SCW/twins/me/a/get", 5, ""))
		c.want("40020005")
	})
}

func TestDuplicateIsDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestServer(t, nil).connect(panelID)
		topic, payload := "$SCW/twins/me/a/put", `{"data":{}}`
		c.send(publishPacket(topic, 5, payload), packet(0x3a, topic, uint16(5), []byte(payload)))
		c.want("40020005" + answer(topic+"/response/success", `{"version":1,"data":{}}`) +
			"40020005" + answer(topic+"/response/success", `{"version":2,"data":{}}`))
	})
}

func TestRequestsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestServer(t, nil).connect(panelID)
		var want strings.Builder
		for i := range 50 {
			payload := fmt.Sprintf(`{"data":{"i":%d}}`, i)
			c.send(publishPacket("$SCW/twins/me/a/put", 0, payload))
			want.WriteString(answer("$SCW/twins/me/a/put/response/success", fmt.Sprintf(`{"version":%d,"data":{"i":%d}}`, i+1, i)))
		}
		c.want(want.String())
	})
}

// faultyStore fails every put with err.
type faultyStore struct {
	docstore.Store
	err error
}

func (f faultyStore) Put(context.Context, docstore.Key, docstore.If, []byte) (uint32, error) {
	return 0, f.err
}

// A refusal is decided and acknowledged. After the hub's own trouble nothing is
// decided: a client at QoS 1 gets no PUBACK but the end of its connection.
func TestFailedWrites(t *testing.T) {
	const topic = "$SCW/twins/me/a/put"
	trouble := errors.New("disk on fire")
	internal := answer(topic+"/response/error", `{"error":"internal error: nothing was written"}`)
	full := answer(topic+"/response/error", `{"error":"too many documents"}`)
	tests := []struct {
		name       string
		err        error
		qos        int
		subscribed bool
		want       string
		log        []string
	}{
		{"unknown outcome", &docstore.OutcomeError{Err: trouble}, 0, true, "closed", []string{"level=ERROR", "disk on fire", errOutcome.Error()}},
		{"unknown outcome", &docstore.OutcomeError{Err: trouble}, 1, true, "closed", []string{"level=ERROR", "disk on fire", errOutcome.Error()}},
		{"unknown outcome", &docstore.OutcomeError{Err: trouble}, 1, false, "closed", []string{"level=ERROR", "disk on fire", errOutcome.Error()}},
		{"nothing written", trouble, 0, true, internal, []string{"level=ERROR", "disk on fire"}},
		{"nothing written", trouble, 0, false, "", []string{"level=ERROR", "disk on fire"}},
		{"nothing written", trouble, 1, true, internal + " closed", []string{"level=ERROR", "disk on fire", errUndecided.Error()}},
		{"nothing written", trouble, 1, false, "closed", []string{"level=ERROR", "disk on fire", errUndecided.Error()}},
		{"refused", twin.ErrTooManyDocuments, 0, true, full, nil},
		{"refused", twin.ErrTooManyDocuments, 0, false, "", nil},
		{"refused", twin.ErrTooManyDocuments, 1, true, "40020009" + full, nil},
		{"refused", twin.ErrTooManyDocuments, 1, false, "40020009", nil},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s, QoS %d, subscribed %v", tt.name, tt.qos, tt.subscribed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, func(c *Config) { c.Documents = faultyStore{c.Documents, tt.err} })
				c := s.dial()
				c.send(connectPacket(string(panelID), 60))
				if tt.subscribed {
					c.send(subscribePacket(1, "$SCW/twins/#"))
				}
				c.take()
				s.log.take()
				c.send(publishPacket(topic, uint16(9*tt.qos), `{"data":{}}`))
				c.want(tt.want)
				log := s.log.take()
				if strings.Contains(log, string(panelID)) {
					t.Errorf("log shows the id that opens the twin: %s", log)
				}
				if tt.log == nil && log != "" {
					t.Errorf("log is %q, want nothing", log)
				}
				for _, want := range tt.log {
					if !strings.Contains(log, want) {
						t.Errorf("log is %q, want %q", log, want)
					}
				}
			})
		})
	}
}

// What could not be read is not acknowledged either.
func TestFailedReadIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(c *Config) { c.Documents = docstore.NewMemory() })
		s.put(panelID, "a", `{"data":{}}`)
		c := s.connect(panelID)
		if err := s.Hub.documents.Close(); err != nil {
			t.Fatal(err)
		}
		c.send(publishPacket("$SCW/twins/me/a/get", 9, ""))
		c.want(answer("$SCW/twins/me/a/get/response/error", `{"error":"internal error: nothing was written"}`) + " closed")
	})
}
