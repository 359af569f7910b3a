package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/twinpanel/twinpanel/twin"
)

// A peer is a connection of paho, with what has come over it.
type peer struct {
	t        *testing.T
	client   mqtt.Client
	connack  string
	messages chan mqtt.Message
	lost     chan error
}

// dialPeer connects, or not: connack says.
func dialPeer(t *testing.T, url, id string, set ...func(*mqtt.ClientOptions)) *peer {
	t.Helper()
	p := &peer{t: t, messages: make(chan mqtt.Message, 1000), lost: make(chan error, 1)}
	o := mqtt.NewClientOptions().AddBroker(url).SetClientID(id).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(patience).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { p.messages <- m }).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { p.lost <- err })
	for _, f := range set {
		f(o)
	}
	p.client = mqtt.NewClient(o)
	token := p.client.Connect().(*mqtt.ConnectToken)
	p.wait(token)
	p.connack = fmt.Sprintf("code %d, session present %v", token.ReturnCode(), token.SessionPresent())
	t.Cleanup(func() { p.client.Disconnect(1) })
	return p
}

func (p *peer) wait(token mqtt.Token) {
	p.t.Helper()
	if !token.WaitTimeout(patience) {
		p.t.Fatalf("%v without an answer", patience)
	}
}

func (p *peer) publish(topic string, qos byte, retained bool, payload string) {
	p.t.Helper()
	p.wait(p.client.Publish(topic, qos, retained, payload))
}

// subscribe returns the codes of the SUBACK.
func (p *peer) subscribe(qos byte, filters ...string) string {
	p.t.Helper()
	wanted := make(map[string]byte)
	for _, f := range filters {
		wanted[f] = qos
	}
	token := p.client.SubscribeMultiple(wanted, nil).(*mqtt.SubscribeToken)
	p.wait(token)
	var codes []string
	for _, f := range filters {
		codes = append(codes, fmt.Sprint(token.Result()[f]))
	}
	return strings.Join(codes, " ")
}

// next is the next message as a line.
func (p *peer) next() string {
	p.t.Helper()
	select {
	case m := <-p.messages:
		payload := string(m.Payload())
		if len(payload) > 100 {
			payload = fmt.Sprintf("%d bytes", len(payload))
		}
		return fmt.Sprintf("%s %q qos %d retained %v", m.Topic(), payload, m.Qos(), m.Retained())
	case <-time.After(patience):
		p.t.Fatalf("%v without a message", patience)
		return ""
	}
}

// all are the messages until one on topic end.
func (p *peer) all(end string) (lines []string) {
	p.t.Helper()
	for {
		line := p.next()
		if strings.HasPrefix(line, end+" ") {
			return lines
		}
		lines = append(lines, line)
	}
}

func (p *peer) awaitLost() {
	p.t.Helper()
	select {
	case <-p.lost:
	case <-time.After(patience):
		p.t.Fatalf("%v and still connected", patience)
	}
}

// vanish breaks the connection without a good-bye.
func (p *peer) vanish() { p.client.Disconnect(0) }

func will(o *mqtt.ClientOptions)        { o.SetWill("house/will", "gone", 1, false) }
func keepSession(o *mqtt.ClientOptions) { o.SetCleanSession(false).SetResumeSubs(false) }

// Twins and messages on one connection: neither is in the way of the other, and nothing
// about twins passes in either direction.
func TestTwinsBesideMessages(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "allow_anonymous true\n")
	h, _ := startInFront(t, b.upstream(""))
	d := h.AddDevice("panel")
	spy := dialPeer(t, "mqtt://"+b.addr, "")
	spy.subscribe(2, "#", "$SCW/#")
	p := dialPeer(t, h.MQTT(), string(d.ID), func(o *mqtt.ClientOptions) {
		o.SetWill("$SCW/twins/me/desired/get/response/success", "forged", 1, true)
	})
	if got := p.subscribe(2, "$SCW/twins/me/#", "house/#", "$SCW/#"); got != "0 2 2" {
		t.Fatalf("codes %s, want 0 2 2", got)
	}
	for i := range 200 {
		p.publish("house/door", byte(i%3), false, fmt.Sprint(i))
		p.publish("$SCW/twins/me/current/put", byte(i%2), false, fmt.Sprintf(`{"data":{"n":%d}}`, i))
	}
	var messages, answers int
	for range 400 {
		switch m := <-p.messages; {
		case m.Topic() == "house/door" && string(m.Payload()) == fmt.Sprint(messages):
			messages++
		case m.Topic() == "$SCW/twins/me/current/put/response/success" && string(m.Payload()) == fmt.Sprintf(`{"version":%d,"data":{"n":%d}}`, answers+1, answers):
			answers++
		default:
			t.Fatalf("got %s %s after %d messages and %d answers", m.Topic(), m.Payload(), messages, answers)
		}
	}
	// What somebody says about twins at the broker doesn't get here.
	for qos := range byte(3) {
		spy.publish("$SCW/twins/me/desired/get/response/success", qos, qos == 1, "forged")
	}
	spy.publish("$SCW/elsewhere", 0, false, "")
	if got := p.all("$SCW/elsewhere"); got != nil {
		t.Errorf("got %q", got)
	}
	p.vanish()
	spy.publish("end", 0, false, "")
	for _, line := range spy.all("end") {
		if strings.HasPrefix(line, twin.Prefix) && !strings.Contains(line, "forged") || strings.Contains(line, `"n"`) {
			t.Errorf("the broker got %s", line)
		}
	}
}

// A broker that is killed takes its clients along. They come back as soon as it does, and twins are as they were.
func TestBrokerIsKilled(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "allow_anonymous true\n")
	h, log := startInFront(t, b.upstream(""))
	d := h.AddDevice("panel")
	h.MustPut(d.ID, "desired", `{"alarm_armed":true}`)
	var peers []*peer
	ups := make(chan string, 1000)
	for i := range 20 {
		id := fmt.Sprint("meter-", i)
		if i == 0 {
			id = string(d.ID)
		}
		peers = append(peers, dialPeer(t, h.MQTT(), id, func(o *mqtt.ClientOptions) {
			o.SetAutoReconnect(true).SetMaxReconnectInterval(100 * time.Millisecond).SetOnConnectHandler(func(mqtt.Client) { ups <- id })
		}))
		<-ups
	}
	b.kill()
	for _, p := range peers {
		p.awaitLost()
	}
	if late := dialPeer(t, h.MQTT(), "late"); late.connack != "code 3, session present false" {
		t.Errorf("while the broker is away: %s, want code 3", late.connack)
	}
	h.MustPut(d.ID, "current", `{}`) // by REST all goes on
	b.start()
	for range peers {
		<-ups
	}
	p := peers[0]
	p.subscribe(1, "$SCW/twins/me/#", "a")
	p.publish("a", 1, false, "here again")
	p.publish("$SCW/twins/me/desired/get", 0, false, "")
	got := []string{p.next(), p.next()}
	slices.Sort(got)
	if want := []string{`$SCW/twins/me/desired/get/response/success "{\"version\":1,\"data\":{\"alarm_armed\":true}}" qos 0 retained false`, `a "here again" qos 1 retained false`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := strings.Count(log.String(), "broker can be reached again"); n != 1 {
		t.Errorf("the log says %d times that the broker can be reached again", n)
	}
}
