package docs_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// format is a packet as the page writes it.
func format(p packets.ControlPacket) string {
	switch p := p.(type) {
	case *packets.ConnectPacket:
		s := fmt.Sprintf("CONNECT client_id=%s keep_alive=%d", p.ClientIdentifier, p.Keepalive)
		if !p.CleanSession {
			s += " clean_session=0"
		}
		return s
	case *packets.ConnackPacket:
		if p.SessionPresent {
			return fmt.Sprintf("CONNACK %d session_present=1", p.ReturnCode)
		}
		return fmt.Sprintf("CONNACK %d", p.ReturnCode)
	case *packets.SubscribePacket:
		return "SUBSCRIBE " + strings.Join(p.Topics, " ")
	case *packets.SubackPacket:
		var s strings.Builder
		s.WriteString("SUBACK")
		for _, code := range p.ReturnCodes {
			s.WriteString(" " + strconv.Itoa(int(code)))
		}
		return s.String()
	case *packets.PublishPacket:
		return strings.TrimSpace(fmt.Sprintf("PUBLISH %s %s", p.TopicName, p.Payload))
	}
	name, _, _ := strings.Cut(p.String(), ":")
	return name
}

// parse reads a packet as the page writes it: its name, options, and what it carries.
func parse(words string) (packets.ControlPacket, error) {
	name, rest, _ := strings.Cut(words, " ")
	options := map[string]string{"keep_alive": "60", "clean_session": "1", "level": "4", "qos": "0", "retain": "0", "dup": "0"}
	for {
		word, after, _ := strings.Cut(rest, " ")
		key, value, isOption := strings.Cut(word, "=")
		if !isOption || strings.ContainsAny(key, "$/{") {
			break
		}
		options[key], rest = value, after
	}
	number := func(key string) int {
		n, _ := strconv.Atoi(options[key])
		return n
	}
	switch name {
	case "CONNECT":
		p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
		p.ProtocolName, p.ProtocolVersion = "MQTT", byte(number("level"))
		p.ClientIdentifier, p.Username = options["client_id"], options["username"]
		p.UsernameFlag = p.Username != ""
		p.Password, p.PasswordFlag = []byte(options["password"]), options["password"] != ""
		p.CleanSession, p.Keepalive = number("clean_session") == 1, uint16(number("keep_alive"))
		return p, nil
	case "SUBSCRIBE":
		p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
		p.MessageID, p.Topics = 1, strings.Fields(rest)
		for range p.Topics {
			p.Qoss = append(p.Qoss, byte(number("qos")))
		}
		return p, nil
	case "UNSUBSCRIBE":
		p := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
		p.MessageID, p.Topics = 2, strings.Fields(rest)
		return p, nil
	case "PUBLISH":
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.Qos, p.Retain, p.Dup, p.MessageID = byte(number("qos")), number("retain") == 1, number("dup") == 1, 3
		topic, payload, _ := strings.Cut(rest, " ")
		p.TopicName, p.Payload = topic, []byte(payload)
		return p, nil
	case "PINGREQ":
		return packets.NewControlPacket(packets.Pingreq), nil
	case "DISCONNECT":
		return packets.NewControlPacket(packets.Disconnect), nil
	}
	return nil, fmt.Errorf("%q is no packet that a client sends", name)
}

// A client is a connection that the page speaks on. What the hub sends waits in heard.
type client struct {
	conn net.Conn

	mu    sync.Mutex
	heard []string
}

// listen reads until the hub closes.
func (c *client) listen() {
	for {
		p, err := packets.ReadPacket(c.conn)
		said := "closed"
		if err == nil {
			said = format(p)
		}
		c.mu.Lock()
		c.heard = append(c.heard, said)
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// next takes the oldest thing heard; "nothing" if there is none.
func (c *client) next() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.heard) == 0 {
		return "nothing"
	}
	said := c.heard[0]
	c.heard = c.heard[1:]
	return said
}
