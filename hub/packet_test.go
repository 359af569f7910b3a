package hub

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// bytesReader plays a connection that delivers at most chunk bytes at once. It
// notes the most memory that it was offered in relation to what has come.
type bytesReader struct {
	rest  []byte
	chunk int
	came  int
	waste int // most bytes offered beyond what had come by then
}

func (r *bytesReader) readBy(b []byte, _ time.Time) (int, error) {
	r.waste = max(r.waste, len(b)-r.came)
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), r.chunk)], r.rest)
	r.rest = r.rest[n:]
	r.came += n
	return n, nil
}

// readOne takes one packet off the bytes, as a session does, and decodes it.
func readOne(r *bytesReader) (any, error) {
	in := packetReader{source: r}
	first, length, err := in.header(time.Time{})
	if err != nil {
		return nil, err
	}
	if length > maxPacket {
		return nil, errTooLarge
	}
	body, err := in.body(length)
	if err != nil {
		return nil, err
	}
	flags := first & 15
	switch first >> 4 {
	case packetConnect:
		return decodeConnect(flags, body)
	case packetPublish:
		return decodePublish(flags, body)
	case packetSubscribe:
		return decodeSubscribe(flags, body)
	case packetUnsubscribe:
		return decodeUnsubscribe(flags, body)
	case packetPingreq, packetDisconnect:
		return first >> 4, decodeEmpty(flags, body)
	}
	return nil, errUnexpected
}

func decode(b []byte) (any, error) { return readOne(&bytesReader{rest: b, chunk: len(b) + 1}) }

// badPackets break one rule each. Where lenient is set, paho's decoder lets them
// through: the reason why the hub has one of its own.
var badPackets = []struct {
	name    string
	packet  []byte
	want    error
	lenient bool
}{
	{"remaining length of five bytes", []byte{0xc0, 0x80, 0x80, 0x80, 0x80, 0x01}, errLength, true},

	{"connect: flags", packet(0x11, "MQTT", 4, 2, uint16(0), "x"), errFlags, true},
	{"connect: empty", packet(0x10), errShort, false},
	{"connect: short name", packet(0x10, []byte{0, 4, 'M'}), errShort, false},
	{"connect: no level", packet(0x10, "MQTT"), errShort, false},
	{"connect: other protocol", packet(0x10, "MQTX", 4, 2, uint16(0), "x"), errProtocol, true},
	{"connect: name not UTF-8", packet(0x10, "MQT\xff", 4, 2, uint16(0), "x"), errUTF8, true},
	{"connect: level 3 under the new name", packet(0x10, "MQTT", 3, 2, uint16(0), "x"), errLevel, true},
	{"connect: level 4 under the old name", packet(0x10, "MQIsdp", 4, 2, uint16(0), "x"), errLevel, true},
	{"connect: level 6", packet(0x10, "MQTT", 6, 2, uint16(0), 0, "x"), errLevel, true},
	{"connect: bridge", packet(0x10, "MQTT", 0x84, 2, uint16(0), "x"), errLevel, true},
	{"connect: MQTT 5", packet(0x10, "MQTT", 5, 2, uint16(0), 0, "x"), errLevel5, false},
	{"connect: reserved flag", packet(0x10, "MQTT", 4, 3, uint16(0), "x"), errConnectFlag, true},
	{"connect: will QoS without will", packet(0x10, "MQTT", 4, 0x0a, uint16(0), "x"), errWillFlags, true},
	{"connect: will retain without will", packet(0x10, "MQTT", 4, 0x22, uint16(0), "x"), errWillFlags, true},
	{"connect: will QoS 3", packet(0x10, "MQTT", 4, 0x1e, uint16(0), "x", "t", "m"), errWillQoS, true},
	{"connect: password alone", packet(0x10, "MQTT", 4, 0x42, uint16(0), "x", "secret"), errPasswordFlag, true},
	{"connect: no keep-alive", packet(0x10, "MQTT", 4, 2), errShort, false},
	{"connect: half a keep-alive", packet(0x10, "MQTT", 4, 2, 0), errShort, false},
	{"connect: no client id", packet(0x10, "MQTT", 4, 2, uint16(0)), errShort, false},
	{"connect: client id cut off", packet(0x10, "MQTT", 4, 2, uint16(0), uint16(9), []byte("abc")), errShort, true},
	{"connect: client id not UTF-8", packet(0x10, "MQTT", 4, 2, uint16(0), "\xc3\x28"), errUTF8, true},
	{"connect: client id is a surrogate", packet(0x10, "MQTT", 4, 2, uint16(0), "\xed\xa0\x80"), errUTF8, true},
	{"connect: NUL in the client id", packet(0x10, "MQTT", 4, 2, uint16(0), "a\x00"), errNUL, true},
	{"connect: will topic is missing", packet(0x10, "MQTT", 4, 6, uint16(0), "x"), errShort, false},
	{"connect: will topic empty", packet(0x10, "MQTT", 4, 6, uint16(0), "x", "", "m"), errNoTopic, true},
	{"connect: wildcard in the will topic", packet(0x10, "MQTT", 4, 6, uint16(0), "x", "a/#", "m"), errWildcard, true},
	{"connect: NUL in the will topic", packet(0x10, "MQTT", 4, 6, uint16(0), "x", "a\x00", "m"), errNUL, true},
	{"connect: will topic not UTF-8", packet(0x10, "MQTT", 4, 6, uint16(0), "x", "\xff", "m"), errUTF8, true},
	{"connect: will message is missing", packet(0x10, "MQTT", 4, 6, uint16(0), "x", "t"), errShort, false},
	{"connect: user name is missing", packet(0x10, "MQTT", 4, 0x82, uint16(0), "x"), errShort, false},
	{"connect: user name not UTF-8", packet(0x10, "MQTT", 4, 0x82, uint16(0), "x", "\xff"), errUTF8, true},
	{"connect: NUL in the user name", packet(0x10, "MQTT", 4, 0x82, uint16(0), "x", "\x00"), errNUL, true},
	{"connect: password is missing", packet(0x10, "MQTT", 4, 0xc2, uint16(0), "x", "u"), errShort, false},
	{"connect: goes on", packet(0x10, "MQTT", 4, 2, uint16(0), "x", 0), errLong, true},

	{"publish: QoS 3", packet(0x36, "a", uint16(1)), errQoS3, true},
	{"publish: DUP at QoS 0", packet(0x38, "a"), errDup, true},
	{"publish: empty", packet(0x30), errShort, false},
	{"publish: topic cut off", packet(0x30, uint16(9), []byte("abc")), errShort, false},
	{"publish: topic empty", packet(0x30, "", []byte("x")), errNoTopic, true},
	{"publish: topic not UTF-8", packet(0x30, "a\xff"), errUTF8, true},
	{"publish: NUL in the topic", packet(0x30, "$SCW/twins/me/a\x00/get"), errNUL, true},
	{"publish: + in the topic", packet(0x30, "$SCW/twins/me/+/get"), errWildcard, true},
	{"publish: # in the topic", packet(0x30, "$SCW/twins/me/#"), errWildcard, true},
	{"publish: no id", packet(0x32, "a"), errShort, false},
	{"publish: half an id", packet(0x32, "a", 1), errShort, false},
	{"publish: id 0", packet(0x32, "a", uint16(0)), errPacketID, true},

	{"subscribe: flags", packet(0x80, uint16(1), "a", 0), errFlags, true},
	{"subscribe: empty", packet(0x82), errShort, false},
	{"subscribe: half an id", packet(0x82, 1), errShort, true},
	{"subscribe: id 0", packet(0x82, uint16(0), "a", 0), errPacketID, true},
	{"subscribe: no filter", packet(0x82, uint16(1)), errNoFilter, true},
	{"subscribe: filter cut off", packet(0x82, uint16(1), uint16(9), []byte("abc")), errShort, false},
	{"subscribe: no QoS", packet(0x82, uint16(1), "a"), errShort, false},
	{"subscribe: QoS 3", packet(0x82, uint16(1), "a", 3), errFilterQoS, true},
	{"subscribe: QoS with reserved bits", packet(0x82, uint16(1), "a", 4), errFilterQoS, true},
	{"subscribe: second filter bad", packet(0x82, uint16(1), "a", 0, "\xff", 0), errUTF8, true},
	{"subscribe: NUL in the filter", packet(0x82, uint16(1), "\x00", 0), errNUL, true},

	{"unsubscribe: flags", packet(0xa0, uint16(1), "a"), errFlags, true},
	{"unsubscribe: empty", packet(0xa2), errShort, false},
	{"unsubscribe: half an id", packet(0xa2, 1), errShort, true},
	{"unsubscribe: id 0", packet(0xa2, uint16(0), "a"), errPacketID, true},
	{"unsubscribe: no filter", packet(0xa2, uint16(1)), errNoUnfilter, true},
	{"unsubscribe: filter cut off", packet(0xa2, uint16(1), uint16(9), []byte("abc")), errShort, true},
	{"unsubscribe: second filter bad", packet(0xa2, uint16(1), "a", "\xff"), errUTF8, true},
	{"unsubscribe: NUL in the filter", packet(0xa2, uint16(1), "\x00"), errNUL, true},

	{"pingreq: flags", packet(0xc1), errFlags, true},
	{"pingreq: content", packet(0xc0, 0), errLong, true},
	{"disconnect: flags", packet(0xe1), errFlags, true},
	{"disconnect: content", packet(0xe0, 0), errLong, true},
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range badPackets {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := decode(tt.packet); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
}

// TestPahoDecoderIsLenient notes what paho's decoder lets through. When a newer
// one is stricter, the table says where.
func TestPahoDecoderIsLenient(t *testing.T) {
	for _, tt := range badPackets {
		if errors.Is(tt.want, errLevel5) {
			continue // another format, of which paho's decoder makes what it can
		}
		if _, err := packets.ReadPacket(bytes.NewReader(tt.packet)); (err == nil) != tt.lenient {
			t.Errorf("%s: paho's decoder: got error %v, want lenient %v", tt.name, err, tt.lenient)
		}
	}
}

func TestDecodeConnect(t *testing.T) {
	tests := []struct {
		name   string
		packet []byte
		want   connect
	}{
		{"3.1.1", packet(0x10, "MQTT", 4, 2, uint16(60), "id"), connect{4, 2, "id", "", "", time.Minute, true, will{}}},
		{"3.1", packet(0x10, "MQIsdp", 3, 2, uint16(0), "id"), connect{3, 2, "id", "", "", 0, true, will{}}},
		{"session to be kept", packet(0x10, "MQTT", 4, 0, uint16(65535), "id"), connect{4, 0, "id", "", "", 65535 * time.Second, false, will{}}},
		{"everything", packet(0x10, "MQTT", 4, 0xf6, uint16(1), "", "will", "message", "user", "password"), connect{4, 0xf6, "", "user", "password", time.Second, true, will{"will", "message"}}},
		{"empty fields", packet(0x10, "MQTT", 4, 0xc6, uint16(0), "", "w", "", "", ""), connect{4, 0xc6, "", "", "", 0, true, will{"w", ""}}},
		{"any other character", packet(0x10, "MQTT", 4, 2, uint16(0), "\ufeff\U0001f6a8"), connect{4, 2, "\ufeff\U0001f6a8", "", "", 0, true, will{}}},
	}
	for _, tt := range tests {
		if got, err := decode(tt.packet); err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
		if got := appendConnect(nil, tt.want); !bytes.Equal(got, tt.packet) {
			t.Errorf("%s: encoded again: got %x, want %x", tt.name, got, tt.packet)
		}
	}
}

// FuzzPacket: the decoder never panics; what it makes of bytes doesn't depend on
// how they are cut; it asks for no more memory than twice what has come, or a first
// piece; what it accepts, paho's decoder accepts as well and reads the same
// from it. What only paho's accepts is in badPackets.
func FuzzPacket(f *testing.F) {
	for _, tt := range badPackets {
		f.Add(tt.packet, 1)
	}
	f.Add(connectPacket("id", 60), 3)
	f.Add(packet(0x10, "MQTT", 4, 0xf6, uint16(1), "", "will", "message", "user", "password"), 7)
	f.Add(publishPacket("$SCW/twins/me/desired/get", 7, `{"data":{}}`), 2)
	f.Add(publishPacket("t", 0, strings.Repeat("x", 20000)), 700)
	f.Add(packet(0x82, uint16(1), "$SCW/twins/me/#", 1, "", 0), 1)
	f.Add(packet(0xa2, uint16(1), "a", "", "b"), 1)
	f.Fuzz(func(t *testing.T, b []byte, chunk int) {
		pieces := &bytesReader{rest: b, chunk: 1 + max(0, chunk)%4096}
		got, err := readOne(pieces)
		if limit := max(firstPiece, smallPacket); pieces.waste > limit {
			t.Errorf("the reader asked for %d bytes more than had come, the limit is %d", pieces.waste, limit)
		}
		whole, err2 := decode(b)
		if !errors.Is(err2, err) || err == nil && !sameAs(got, whole) {
			t.Errorf("in pieces: %+v, %v\nin one:    %+v, %v", got, err, whole, err2)
		}
		if err != nil {
			return
		}
		peer, err := packets.ReadPacket(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("accepted %+v, where paho's decoder says %v", got, err)
		}
		if !sameAs(asPaho(got), fromPaho(peer)) {
			t.Errorf("got %+v\npaho's decoder got %v", got, peer)
		}
		if c, ok := got.(connect); ok {
			if again, err := decode(appendConnect(nil, c)); err != nil || again != c {
				t.Errorf("encoded again: got %+v, %v, want %+v", again, err, c)
			}
		}
	})
}

// sameAs compares two decoded packets by what they say.
func sameAs(a, b any) bool {
	switch a := a.(type) {
	case publish:
		b, ok := b.(publish)
		return ok && bytes.Equal(a.topic, b.topic) && bytes.Equal(a.payload, b.payload) &&
			a.id == b.id && a.qos == b.qos && a.retain == b.retain && a.dup == b.dup
	case filterPacket:
		b, ok := b.(filterPacket)
		return ok && a.id == b.id && a.tail == b.tail && bytes.Equal(a.list, b.list)
	}
	return a == b
}

// asPaho cuts an UNSUBSCRIBE at the first empty filter, where paho's decoder ends.
func asPaho(p any) any {
	u, ok := p.(filterPacket)
	if !ok || u.tail > 0 {
		return p
	}
	n := 0
	for f := range u.filters {
		if len(f) == 0 {
			break
		}
		n += 2 + len(f)
	}
	u.list = u.list[:n]
	return u
}

// fromPaho makes ours of what paho's decoder read.
func fromPaho(p packets.ControlPacket) any {
	switch p := p.(type) {
	case *packets.ConnectPacket:
		flags := p.WillQos << 3
		for bit, set := range map[byte]bool{flagCleanSession: p.CleanSession, flagWill: p.WillFlag, flagWillRetain: p.WillRetain, flagPassword: p.PasswordFlag, flagUsername: p.UsernameFlag} {
			if set {
				flags |= bit
			}
		}
		return connect{p.ProtocolVersion, flags, p.ClientIdentifier, p.Username, string(p.Password), time.Duration(p.Keepalive) * time.Second,
			p.CleanSession, will{p.WillTopic, string(p.WillMessage)}}
	case *packets.PublishPacket:
		return publish{[]byte(p.TopicName), p.Payload, p.MessageID, p.Qos, p.Retain, p.Dup}
	case *packets.SubscribePacket:
		fields := []any{}
		for i, f := range p.Topics {
			fields = append(fields, f, int(p.Qoss[i]))
		}
		return filterPacket{p.MessageID, bodyOf(packet(0, fields...)), 1}
	case *packets.UnsubscribePacket:
		fields := []any{}
		for _, f := range p.Topics {
			fields = append(fields, f)
		}
		return filterPacket{p.MessageID, bodyOf(packet(0, fields...)), 0}
	case *packets.PingreqPacket:
		return byte(packetPingreq)
	case *packets.DisconnectPacket:
		return byte(packetDisconnect)
	}
	return nil
}

// bodyOf is a packet without its header.
func bodyOf(p []byte) []byte {
	i := 1 + slices.IndexFunc(p[1:], func(c byte) bool { return c < 0x80 })
	return p[i+1:]
}

func TestLargePacketGetsMemoryAsItArrives(t *testing.T) {
	whole := publishPacket("t", 0, strings.Repeat("x", maxPacket-3))
	r := &bytesReader{rest: whole[:100], chunk: 100}
	if _, err := readOne(r); !errors.Is(err, io.EOF) {
		t.Fatalf("got error %v, want %v", err, io.EOF)
	}
	if r.waste > firstPiece {
		t.Errorf("100 bytes of a packet of %d made the reader ask for %d", maxPacket, r.waste)
	}
	p, err := readOne(&bytesReader{rest: whole, chunk: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.(publish).payload); n != maxPacket-3 {
		t.Errorf("payload of %d bytes, want %d", n, maxPacket-3)
	}
}

// What the encoders write, paho's decoder reads.
func TestEncodersAgainstPaho(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	tests := []struct {
		name  string
		b     []byte
		check func(packets.ControlPacket) bool
	}{
		{"connack", appendConnack(nil, refusedDevice), func(p packets.ControlPacket) bool {
			c, ok := p.(*packets.ConnackPacket)
			return ok && !c.SessionPresent && c.ReturnCode == packets.ErrRefusedNotAuthorised
		}},
		{"puback", appendPuback(nil, 0x1234), func(p packets.ControlPacket) bool {
			a, ok := p.(*packets.PubackPacket)
			return ok && a.MessageID == 0x1234
		}},
		{"suback", appendSuback(nil, 7, make([]byte, 200)), func(p packets.ControlPacket) bool {
			a, ok := p.(*packets.SubackPacket)
			return ok && a.MessageID == 7 && len(a.ReturnCodes) == 200
		}},
		{"unsuback", appendUnsuback(nil, 9), func(p packets.ControlPacket) bool {
			a, ok := p.(*packets.UnsubackPacket)
			return ok && a.MessageID == 9
		}},
		{"pingresp", pingresp, func(p packets.ControlPacket) bool {
			_, ok := p.(*packets.PingrespPacket)
			return ok
		}},
		{"publish", appendPublish(nil, "topic", []byte(long)), func(p packets.ControlPacket) bool {
			m, ok := p.(*packets.PublishPacket)
			return ok && m.Qos == 0 && !m.Retain && m.TopicName == "topic" && string(m.Payload) == long
		}},
	}
	for _, tt := range tests {
		r := bytes.NewReader(tt.b)
		p, err := packets.ReadPacket(r)
		if err != nil || !tt.check(p) || r.Len() > 0 {
			t.Errorf("%s: paho's decoder got %v, %v, %d bytes left", tt.name, p, err, r.Len())
		}
	}
}

// BenchmarkDecode is what a session does with a packet before it knows what to do.
func BenchmarkDecode(b *testing.B) {
	for _, bm := range []struct {
		packet string
		bytes  []byte
		decode func(flags byte, body []byte) error
	}{
		{"connect", packet(0x10, "MQTT", 4, 0xc2, uint16(60), "11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-555555555555", "secret"),
			func(flags byte, body []byte) error { _, err := decodeConnect(flags, body); return err }},
		{"publish", publishPacket("$SCW/twins/me/current/patch", 7, `{"data":{"last_update":"2026-11-21T21:00:00.000Z","door_open":true}}`),
			func(flags byte, body []byte) error { _, err := decodePublish(flags, body); return err }},
		{"subscribe", subscribePacket(1, "$SCW/twins/me/+/get/response/+", "$SCW/twins/me/desired/changed"),
			func(flags byte, body []byte) error { _, err := decodeSubscribe(flags, body); return err }},
	} {
		b.Run("packet="+bm.packet, func(b *testing.B) {
			body := bodyOf(bm.bytes)
			b.ReportAllocs()
			for b.Loop() {
				if err := bm.decode(bm.bytes[0]&15, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncode is the answers of a session, each in memory of its own.
func BenchmarkEncode(b *testing.B) {
	payload := []byte(`{"version":7,"data":{"alarm_armed":true}}`)
	for _, bm := range []struct {
		packet string
		encode func() []byte
	}{
		{"connack", func() []byte { return appendConnack(nil, accepted) }},
		{"suback", func() []byte { return appendSuback(nil, 1, []byte{0, 0}) }},
		{"publish", func() []byte {
			return appendPublish(nil, "$SCW/twins/me/desired/get/response/success", payload)
		}},
		{"puback+publish", func() []byte {
			return appendPublish(appendPuback(nil, 7), "$SCW/twins/me/desired/get/response/success", payload)
		}},
	} {
		b.Run("packet="+bm.packet, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.encode()
			}
		})
	}
}
