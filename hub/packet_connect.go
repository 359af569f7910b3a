package hub

import (
	"encoding/binary"
	"errors"
	"time"
)

// Errors of a CONNECT that is well formed as far as it was read, but of a
// protocol level that the hub doesn't speak.
var (
	errLevel  = errors.New("protocol level is neither 3 nor 4")
	errLevel5 = errors.New("MQTT 5 is not spoken here, set the client to 3.1.1")
)

// A connect is a CONNECT. Its will is for the broker behind the hub, if there is one: the hub itself
// publishes nothing between connections.
type connect struct {
	level        byte // 3 or 4
	flags        byte // as they came
	clientID     string
	username     string        // empty = none
	password     string        // likewise
	keepAlive    time.Duration // 0 = off
	cleanSession bool
	will         will
}

// A will is what a broker publishes when a client is lost. Its topic is empty if there is none.
type will struct {
	topic   string
	payload string
}

// Bits of the connect flags, section 3.1.2.3.
const (
	flagReserved     = 1 << 0
	flagCleanSession = 1 << 1
	flagWill         = 1 << 2
	flagWillQoS      = 3 << 3
	flagWillRetain   = 1 << 5
	flagPassword     = 1 << 6
	flagUsername     = 1 << 7
)

// decodeConnect reads a CONNECT. Of another protocol level it reads no further
// than the level, where the formats part.
func decodeConnect(flags byte, body []byte) (connect, error) {
	if flags != 0 {
		return connect{}, errFlags
	}
	name, body, err := cutString(body)
	if err != nil {
		return connect{}, err
	}
	if len(body) < 1 {
		return connect{}, errShort
	}
	level := body[0]
	body = body[1:]
	switch {
	case string(name) != "MQTT" && string(name) != "MQIsdp":
		return connect{}, errProtocol
	case string(name) == "MQTT" && level == 5:
		return connect{}, errLevel5
	case string(name) == "MQTT" && level != 4, string(name) == "MQIsdp" && level != 3:
		return connect{}, errLevel
	}

	if len(body) < 3 {
		return connect{}, errShort
	}
	has := body[0]
	c := connect{
		level:        level,
		flags:        has,
		keepAlive:    time.Duration(binary.BigEndian.Uint16(body[1:])) * time.Second,
		cleanSession: has&flagCleanSession != 0,
	}
	body = body[3:]
	if err := checkConnectFlags(has); err != nil {
		return connect{}, err
	}

	var s []byte
	if s, body, err = cutString(body); err != nil {
		return connect{}, err
	}
	c.clientID = string(s)
	if has&flagWill != 0 {
		if s, body, err = cutString(body); err != nil {
			return connect{}, err
		}
		if err := checkTopic(s); err != nil {
			return connect{}, err
		}
		c.will.topic = string(s)
		if s, body, err = cutBytes(body); err != nil {
			return connect{}, err
		}
		c.will.payload = string(s)
	}
	if has&flagUsername != 0 {
		if s, body, err = cutString(body); err != nil {
			return connect{}, err
		}
		c.username = string(s)
	}
	if has&flagPassword != 0 {
		if s, body, err = cutBytes(body); err != nil {
			return connect{}, err
		}
		c.password = string(s)
	}
	if len(body) > 0 {
		return connect{}, errLong
	}
	return c, nil
}

func checkConnectFlags(has byte) error {
	willQoS := has & flagWillQoS >> 3
	switch {
	case has&flagReserved != 0:
		return errConnectFlag
	case has&flagWill == 0 && (willQoS != 0 || has&flagWillRetain != 0):
		return errWillFlags
	case willQoS == 3:
		return errWillQoS
	case has&flagUsername == 0 && has&flagPassword != 0:
		return errPasswordFlag
	}
	return nil
}
