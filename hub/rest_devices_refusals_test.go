package hub_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
)

// Help texts of refused arguments.
const (
	noUUID   = "not a UUID: write an id as in 01234567-89ab-cdef-0123-456789abcdef"
	noText   = "not a text: write it in quotation marks"
	noFlag   = "neither true nor false"
	noKeys   = "not an object: write {…}"
	noTopic  = "no topic filter: write 1 to 1024 bytes, + alone in its level and # alone in the last"
	noTopics = "not an array of texts"
)

// TestRESTRefusesDevicesAndHubs has what devices and hubs refuse. Nothing of it changes anything.
func TestRESTRefusesDevicesAndHubs(t *testing.T) {
	h := newDeviceHub(t)
	h.ask(t, "GET", theHub+"/ca", "") // from here on there are authorities
	before := h.state(t)
	_, noPEM := credential.ParseCertificate([]byte("x"))
	create := func(more string) string {
		return fmt.Sprintf(`{"name":"new","hub_id":%q%s}`, hubID, more)
	}
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		// Routes and ids.
		{"no such call", "POST", devices + "/x/y", "", 404, noRoute},
		{"metrics, which the vendor gave up", "GET", device + "/metrics", "", 404, noRoute},
		{"networks", "GET", region + "/networks", "", 404, noRoute},
		{"put of a device", "PUT", device, "{}", 405, noMethod},
		{"delete of all devices", "DELETE", devices, "", 405, noMethod},
		{"get of an action", "GET", device + "/enable", "", 405, noMethod},
		{"device id that is no UUID", "GET", devices + "/panel", "", 400, invalid("device_id", "format", noUUID)},
		{"me", "GET", devices + "/me", "", 400, invalid("device_id", "format", noUUID)},
		{"hub id that is no UUID", "GET", hubs + "/house", "", 400, invalid("hub_id", "format", noUUID)},
		{"other region", "GET", "/iot/v1/regions/nl-ams/devices", "", 400, invalid("region", "unknown", "this hub serves region fr-par")},

		// What isn't there.
		{"get", "GET", devices + "/" + otherID, "", 404, noResource("device", otherID)},
		{"patch", "PATCH", devices + "/" + otherID, `{"description":"x"}`, 404, noResource("device", otherID)},
		{"delete", "DELETE", devices + "/" + otherID, "", 404, noResource("device", otherID)},
		{"enable", "POST", devices + "/" + otherID + "/enable", "{}", 404, noResource("device", otherID)},
		{"disable", "POST", devices + "/" + otherID + "/disable", "{}", 404, noResource("device", otherID)},
		{"renew", "POST", devices + "/" + otherID + "/renew-certificate", "{}", 404, noResource("device", otherID)},
		{"get certificate", "GET", devices + "/" + otherID + "/certificate", "", 404, noResource("device", otherID)},
		{"a hub's id as a device's", "GET", devices + "/" + hubID, "", 404, noResource("device", hubID)},
		{"get hub", "GET", hubs + "/" + otherHubID, "", 404, noResource("hub", otherHubID)},
		{"patch hub", "PATCH", hubs + "/" + otherHubID, `{"name":"x"}`, 404, noResource("hub", otherHubID)},
		{"delete hub", "DELETE", hubs + "/" + otherHubID, "", 404, noResource("hub", otherHubID)},
		{"get ca of a hub", "GET", hubs + "/" + otherHubID + "/ca", "", 404, noResource("hub", otherHubID)},
		{"set ca of a hub", "POST", hubs + "/" + otherHubID + "/ca", "{}", 404, noResource("hub", otherHubID)},
		{"create in another hub", "POST", devices, `{"name":"new","hub_id":"` + otherHubID + `"}`, 404, noResource("hub", otherHubID)},
		{"move to another hub", "PATCH", device, `{"hub_id":"` + otherHubID + `"}`, 404, noResource("hub", otherHubID)},

		// Bodies.
		{"empty", "POST", devices, "", 400, invalid("body", "required", "empty: send {…}")},
		{"white space", "PATCH", device, " \n", 400, invalid("body", "required", "empty: send {…}")},
		{"no JSON", "POST", devices, "name=new", 400, invalid("body", "format", "not JSON: invalid character 'a' in literal null (expecting 'u')")},
		{"cut short", "PATCH", device, `{"description":`, 400, invalid("body", "format", "not JSON: unexpected end of JSON input")},
		{"more behind the end", "PATCH", device, `{} {}`, 400, invalid("body", "format", "not JSON: invalid character '{' after top-level value")},
		{"an array", "PATCH", device, `[]`, 400, invalid("body", "format", "not an object: send {…}")},
		{"null", "PATCH", theHub, `null`, 400, invalid("body", "format", "not an object: send {…}")},
		{"a number", "PUT", device + "/certificate", `1`, 400, invalid("body", "format", "not an object: send {…}")},
		{"no UTF-8", "PATCH", device, "{\"description\":\"\xff\"}", 400, invalid("body", "format", "not UTF-8: send JSON text encoded as UTF-8")},
		{"long", "PATCH", device, `{"x":"` + strings.Repeat("x", 64<<10) + `"}`, 400, invalid("body", "constraint", "longer than 65536 bytes")},
		{"huge", "POST", devices, `{"x":"` + strings.Repeat("x", 512<<10) + `"}`, 413, invalid("body", "constraint", "longer than 524288 bytes")},

		// Arguments of devices.
		{"no name", "POST", devices, `{"hub_id":"` + hubID + `"}`, 400, invalid("name", "required", "give a name, such as front-door")},
		{"empty name", "POST", devices, `{"name":"","hub_id":"` + hubID + `"}`, 400, invalid("name", "required", "give a name, such as front-door")},
		{"name that is a number", "POST", devices, `{"name":1,"hub_id":"` + hubID + `"}`, 400, invalid("name", "format", noText)},
		{"long name", "POST", devices, `{"name":"` + strings.Repeat("n", 65) + `","hub_id":"` + hubID + `"}`, 400,
			invalid("name", "constraint", "shorten the name to 64 characters")},
		{"name that is an id", "POST", devices, `{"name":"` + otherID + `","hub_id":"` + hubID + `"}`, 400,
			invalid("name", "constraint", "a name of this form is taken for an id: choose a name for people, such as front-door")},
		{"name with a line break", "POST", devices, `{"name":"a\nb","hub_id":"` + hubID + `"}`, 400,
			invalid("name", "constraint", "remove the unprintable character U+000A from the name")},
		{"name with NUL", "POST", devices, `{"name":"a\u0000","hub_id":"` + hubID + `"}`, 400,
			invalid("name", "constraint", "remove the unprintable character U+0000 from the name")},
		{"name with a space behind", "POST", devices, `{"name":"a ","hub_id":"` + hubID + `"}`, 400,
			invalid("name", "constraint", "remove the space at the beginning or end of the name")},
		{"name that is taken", "POST", devices, `{"name":"panel","hub_id":"` + hubID + `"}`, 400,
			invalid("name", "constraint", "another device has this name: choose another one")},
		{"key in capitals is another key", "POST", devices, `{"Name":"new","hub_id":"` + hubID + `"}`, 400, invalid("name", "required", "give a name, such as front-door")},
		{"no hub", "POST", devices, `{"name":"new"}`, 400, invalid("hub_id", "required", "missing: name the hub, see GET …/hubs")},
		{"hub that is null", "POST", devices, `{"name":"new","hub_id":null}`, 400, invalid("hub_id", "required", "missing: name the hub, see GET …/hubs")},
		{"hub by its name", "POST", devices, `{"name":"new","hub_id":"house"}`, 400, invalid("hub_id", "format", noUUID)},
		{"hub as a number", "PATCH", device, `{"hub_id":1}`, 400, invalid("hub_id", "format", noText)},
		{"empty hub", "PATCH", device, `{"hub_id":""}`, 400, invalid("hub_id", "format", noUUID)},
		{"description as a number", "PATCH", device, `{"description":1}`, 400, invalid("description", "format", noText)},
		{"long description", "PATCH", device, `{"description":"` + strings.Repeat("ä", 256) + `"}`, 400, invalid("description", "constraint", "longer than 255 characters")},
		{"flag as a text", "PATCH", device, `{"allow_insecure":"true"}`, 400, invalid("allow_insecure", "format", noFlag)},
		{"flag as a number", "POST", devices, create(`,"allow_multiple_connections":1`), 400, invalid("allow_multiple_connections", "format", noFlag)},
		{"filters as a text", "PATCH", device, `{"message_filters":"reject"}`, 400, invalid("message_filters", "format", noKeys)},
		{"filters as an array", "POST", devices, create(`,"message_filters":[]`), 400, invalid("message_filters", "format", noKeys)},
		{"filter as a text", "PATCH", device, `{"message_filters":{"publish":"reject"}}`, 400,
			invalid("message_filters", "format", "message_filters.publish: "+noKeys)},
		{"unknown policy", "PATCH", device, `{"message_filters":{"subscribe":{"policy":"drop"}}}`, 400,
			invalid("message_filters", "unknown", "message_filters.subscribe.policy: choose one of accept, reject, unknown")},
		{"empty policy", "PATCH", device, `{"message_filters":{"subscribe":{"policy":""}}}`, 400,
			invalid("message_filters", "unknown", "message_filters.subscribe.policy: choose one of accept, reject, unknown")},
		{"topics as a text", "PATCH", device, `{"message_filters":{"publish":{"topics":"a"}}}`, 400,
			invalid("message_filters", "format", "message_filters.publish.topics: "+noTopics)},
		{"topic as a number", "PATCH", device, `{"message_filters":{"publish":{"topics":["a",1]}}}`, 400,
			invalid("message_filters", "format", "message_filters.publish.topics: "+noTopics)},
		{"empty topic", "PATCH", device, `{"message_filters":{"publish":{"topics":["a",""]}}}`, 400,
			invalid("message_filters", "format", "message_filters.publish.topics[1]: "+noTopic)},
		{"topic that is null", "PATCH", device, `{"message_filters":{"publish":{"topics":[null]}}}`, 400,
			invalid("message_filters", "format", "message_filters.publish.topics[0]: "+noTopic)},
		{"wildcard in the middle", "PATCH", device, `{"message_filters":{"publish":{"topics":["a/#/b"]}}}`, 400,
			invalid("message_filters", "format", "message_filters.publish.topics[0]: "+noTopic)},
		{"topic with NUL", "PATCH", device, `{"message_filters":{"publish":{"topics":["a\u0000"]}}}`, 400,
			invalid("message_filters", "format", "message_filters.publish.topics[0]: "+noTopic)},
		{"long topic", "PATCH", device, `{"message_filters":{"publish":{"topics":["` + strings.Repeat("t", 1025) + `"]}}}`, 400,
			invalid("message_filters", "format", "message_filters.publish.topics[0]: "+noTopic)},
		{"many topics", "PATCH", device, `{"message_filters":{"publish":{"topics":["a"` + strings.Repeat(`,"a"`, 100) + `]}}}`, 400,
			invalid("message_filters", "constraint", "message_filters.publish.topics: more than 100 topics")},

		// Lists.
		{"page 0", "GET", devices + "?page=0", "", 400, invalid("page", "constraint", "not a whole number from 1 to 2147483647")},
		{"page below 0", "GET", devices + "?page=-1", "", 400, invalid("page", "constraint", "not a whole number from 1 to 2147483647")},
		{"page beyond int32", "GET", devices + "?page=2147483648", "", 400, invalid("page", "constraint", "not a whole number from 1 to 2147483647")},
		{"page that is no number", "GET", hubs + "?page=one", "", 400, invalid("page", "constraint", "not a whole number from 1 to 2147483647")},
		{"page size 0", "GET", devices + "?page_size=0", "", 400, invalid("page_size", "constraint", "not a whole number from 1 to 100")},
		{"page size 101", "GET", devices + "?page_size=101", "", 400, invalid("page_size", "constraint", "not a whole number from 1 to 100")},
		{"page size 1.5", "GET", hubs + "?page_size=1.5", "", 400, invalid("page_size", "constraint", "not a whole number from 1 to 100")},
		{"unknown order", "GET", devices + "?order_by=size_asc", "", 400, invalid("order_by", "unknown", "choose one of name_asc, name_desc, status_asc, "+
			"status_desc, hub_id_asc, hub_id_desc, created_at_asc, created_at_desc, updated_at_asc, updated_at_desc, allow_insecure_asc, allow_insecure_desc")},
		{"order without direction", "GET", hubs + "?order_by=name", "", 400, invalid("order_by", "unknown", "choose one of name_asc, name_desc, status_asc, "+
			"status_desc, product_plan_asc, product_plan_desc, created_at_asc, created_at_desc, updated_at_asc, updated_at_desc")},
		{"unknown status", "GET", devices + "?status=asleep", "", 400, invalid("status", "unknown", "choose one of unknown, enabled, disabled, error")},
		{"flag that is none", "GET", devices + "?allow_insecure=1", "", 400, invalid("allow_insecure", "format", noFlag)},
		{"hub that is no id", "GET", devices + "?hub_id=house", "", 400, invalid("hub_id", "format", noUUID)},
		{"project that is no id", "GET", hubs + "?project_id=house", "", 400, invalid("project_id", "format", noUUID)},
		{"query that can't be read", "GET", devices + "?name=%zz", "", 400, invalid("query", "format", "can't be read: write % as %25 and a semicolon as %3B")},

		// Hubs.
		{"name as a number", "PATCH", theHub, `{"name":1}`, 400, invalid("name", "format", noText)},
		{"empty hub name", "PATCH", theHub, `{"name":""}`, 400, invalid("name", "required", "empty: give a name")},
		{"long hub name", "PATCH", theHub, `{"name":"` + strings.Repeat("n", 256) + `"}`, 400, invalid("name", "constraint", "longer than 255 characters")},
		{"other plan", "PATCH", theHub, `{"product_plan":"plan_ha"}`, 400, invalid("product_plan", "unknown", "choose one of plan_shared, plan_unknown")},
		{"events as a text", "PATCH", theHub, `{"disable_events":"no"}`, 400, invalid("disable_events", "format", noFlag)},
		{"prefix with a wildcard", "PATCH", theHub, `{"events_topic_prefix":"a/#"}`, 400, invalid("events_topic_prefix", "constraint", "no topic: leave out + and #")},
		{"long prefix", "PATCH", theHub, `{"events_topic_prefix":"` + strings.Repeat("n", 256) + `"}`, 400,
			invalid("events_topic_prefix", "constraint", "longer than 255 characters")},
		{"provisioning as a text", "PATCH", theHub, `{"enable_device_auto_provisioning":"yes"}`, 400, invalid("enable_device_auto_provisioning", "format", noFlag)},
		{"provisioning without an authority", "PATCH", theHub, `{"name":"x","enable_device_auto_provisioning":true}`, 412,
			`{"help_message":"only an authority of your own can vouch for devices that the hub doesn't know: set it first, with POST …/hubs/` + hubID +
				`/ca","message":"precondition failed","precondition":"attribute_must_be_set","type":"precondition_failed"}`},
		{"graphite as a text", "PATCH", theHub, `{"twins_graphite_config":"tcp://carbon"}`, 400, invalid("twins_graphite_config", "format", noKeys)},
		{"graphite without a URI", "PATCH", theHub, `{"twins_graphite_config":{}}`, 400,
			invalid("twins_graphite_config", "required", "twins_graphite_config.push_uri: missing: send a URI, or an empty text for none")},
		{"graphite of another kind", "PATCH", theHub, `{"twins_graphite_config":{"push_uri":"mqtt://u:secret@carbon"}}`, 400, invalid("twins_graphite_config", "format",
			"twins_graphite_config.push_uri: the URI begins neither with tcp:// nor http:// nor https://: write tcp://HOST:2003 or https://USER:TOKEN@HOST/PATH")},
		{"long graphite", "PATCH", theHub, `{"twins_graphite_config":{"push_uri":"tcp://` + strings.Repeat("n", 2048) + `"}}`, 400,
			invalid("twins_graphite_config", "constraint", "twins_graphite_config.push_uri: longer than 2048 characters")},

		// There is one hub.
		{"create a hub", "POST", hubs, `{"name":"second"}`, 403, onlyHub},
		{"delete the hub", "DELETE", theHub + "?delete_devices=true", "", 403, onlyHub},
		{"enable the hub", "POST", theHub + "/enable", "{}", 403, onlyHub},
		{"disable the hub", "POST", theHub + "/disable", "{}", 403, onlyHub},

		// Certificates.
		{"no certificate", "PUT", device + "/certificate", `{}`, 400, invalid("certificate_pem", "required", "missing: send a certificate in PEM")},
		{"empty certificate", "PUT", device + "/certificate", `{"certificate_pem":""}`, 400, invalid("certificate_pem", "required", "missing: send a certificate in PEM")},
		{"certificate as an object", "PUT", device + "/certificate", `{"certificate_pem":{}}`, 400, invalid("certificate_pem", "format", noText)},
		{"certificate that is none", "PUT", device + "/certificate", `{"certificate_pem":"x"}`, 400, invalid("certificate_pem", "format", noPEM.Error())},
		{"no authority", "POST", theHub + "/ca", `{}`, 400, invalid("ca_cert_pem", "required", "missing: send a certificate in PEM")},
		{"authority that is none", "POST", theHub + "/ca", `{"ca_cert_pem":"x","challenge_cert_pem":"y"}`, 400, invalid("ca_cert_pem", "format", noPEM.Error())},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkAnswer(t, call(h.rest, tt.method, tt.path, tt.body), tt.status, tt.want)
		})
	}
	before.check(t, h)
}

const onlyHub = `{"details":[{"action":"write","resource":"hub"}],` +
	`"message":"this hub is the only one here, and always enabled: start another one with hub --data","type":"permissions_denied"}`

// deviceRoutes are the calls of devices and hubs, with whom they are open to.
var deviceRoutes = []struct {
	method, path, body string
	resource           string
	oneDevice          bool // open to a token of that device
}{
	{"GET", devices, "", "device", true},
	{"POST", devices, `{"name":"new","hub_id":"` + hubID + `"}`, "device", false},
	{"GET", device, "", "device", true},
	{"PATCH", device, `{"allow_insecure":false}`, "device", false},
	{"POST", device + "/enable", "{}", "device", false},
	{"POST", device + "/disable", "{}", "device", false},
	{"POST", device + "/renew-certificate", "{}", "device", false},
	{"GET", device + "/certificate", "", "device", true},
	{"PUT", device + "/certificate", "{}", "device", false},
	{"GET", hubs, "", "hub", false},
	{"POST", hubs, "{}", "hub", false},
	{"GET", theHub, "", "hub", false},
	{"PATCH", theHub, `{"name":"other"}`, "hub", false},
	{"POST", theHub + "/enable", "{}", "hub", false},
	{"POST", theHub + "/disable", "{}", "hub", false},
	{"DELETE", theHub, "", "hub", false},
	{"GET", theHub + "/ca", "", "hub", false},
	{"POST", theHub + "/ca", "{}", "hub", false},
	{"DELETE", device, "", "device", false},
}

// A token that only reads gets no write, and one for a device neither writes devices nor sees another one or the hub.
func TestRESTDevicesAndHubsOutsideATokensScope(t *testing.T) {
	h := newDeviceHub(t)
	secrets := addScopes(t, h.registry)
	h.ask(t, "POST", device+"/renew-certificate", "") // from here on there are authorities, too
	before := h.state(t)
	for _, r := range deviceRoutes {
		action := "write"
		if r.method == "GET" {
			action = "read"
		}
		for token, allowed := range map[string]bool{
			"reader":       action == "read",
			"panel":        r.oneDevice,
			"panel reader": r.oneDevice,
		} {
			answer := call(h.rest, r.method, r.path, r.body, "X-Auth-Token: "+secrets[token])
			if !allowed {
				checkAnswer(t, answer, 403, denied(action, r.resource))
				continue
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != 200 || strings.Contains(string(body), "PRIVATE KEY") {
				t.Errorf("%s %s with the token %s: got %d %s, %v; want 200 and no key", r.method, r.path, token, answer.StatusCode, body, err)
			}
		}
		answer := call(h.rest, r.method, r.path, r.body, "X-Auth-Token: ")
		checkAnswer(t, answer, 401, badAPIKey)
	}
	for _, id := range []string{string(shedID), otherID} {
		checkAnswer(t, call(h.rest, "GET", devices+"/"+id, "", "X-Auth-Token: "+secrets["panel"]), 403, denied("read", "device"))
	}
	before.check(t, h)
}

// A token for one device sees that one in the list, and none when the filters leave it out.
func TestRESTListWithATokenForOneDevice(t *testing.T) {
	h := newDeviceHub(t)
	secrets := addScopes(t, h.registry)
	h.add(t, "zoo")
	for query, want := range map[string]int{"": 1, "?name=panel": 1, "?name=zoo": 0, "?order_by=name_desc&page_size=1": 1} {
		got := asToken(h, secrets["panel"]).ask(t, "GET", devices+query, "", "total_count")
		if got[0] != fmt.Sprint(want) {
			t.Errorf("%s: got %s devices, want %d", query, got[0], want)
		}
	}
}

// The start flag wins over what REST sets.
func TestRESTGraphiteOfTheFlag(t *testing.T) {
	h := newDeviceHub(t, func(c *hub.Config) { c.Graphite = "http://user:secret@127.0.0.1:9/metrics" })
	before := h.state(t)
	for _, uri := range []string{"", "tcp://127.0.0.1:9"} {
		checkAnswer(t, call(h.rest, "PATCH", theHub, `{"name":"x","twins_graphite_config":{"push_uri":"`+uri+`"}}`), 412,
			`{"help_message":"the hub was started with --graphite (HUB_GRAPHITE), which wins over twins_graphite_config: start it without to set this",`+
				`"message":"precondition failed","precondition":"unknown_precondition","type":"precondition_failed"}`)
	}
	before.check(t, h)
	secrets := addScopes(t, h.registry)
	if got := h.ask(t, "GET", theHub, "", "twins_graphite_config"); got[0] != `{"push_uri":"http://user:secret@127.0.0.1:9/metrics"}` {
		t.Errorf("a token that writes sees %s", got[0])
	}
	if got := asToken(h, secrets["reader"]).ask(t, "GET", theHub, "", "twins_graphite_config"); got[0] != `{"push_uri":"http://127.0.0.1:9"}` {
		t.Errorf("a token that only reads sees %s", got[0])
	}
}
