package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// What a cut leaves of one write, however lucky the rest is.
func TestCutKeepsWhatWasFlushed(t *testing.T) {
	for _, tt := range []struct {
		name       string
		do         func(*client)
		chance     float64
		want, lost int
	}{
		{"not flushed, unlucky", func(c *client) { c.write(0, 1, 0) }, 0, 0, 2},
		{"not flushed, lucky", func(c *client) { c.write(0, 1, 0) }, 1, 1, 0},
		{"flushed before it", func(c *client) { c.flush(); c.write(0, 1, 0) }, 0, 0, 2},
		{"flushed", func(c *client) { c.write(0, 1, 0); c.flush() }, 0, 1, 0},
		{"forced", func(c *client) { c.write(0, 1, forced) }, 0, 1, 0},
		{"forced over what waits", func(c *client) { c.write(0, 1, 0); c.write(0, 2, forced) }, 1, 2, 0},
		{"written again without a flush", func(c *client) { c.write(0, 1, 0); c.flush(); c.write(0, 2, 0) }, 0, 1, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New(make([]byte, 8*sector))
			c := dial(t, d)
			tt.do(c)
			if lost := d.Cut(tt.chance, rand.New(rand.NewPCG(1, 1))); lost != tt.lost {
				t.Errorf("%d sectors were lost; want %d", lost, tt.lost)
			}
			if got, want := c.read(0), bytes.Repeat([]byte{byte(tt.want)}, 2*sector); !bytes.Equal(got, want) {
				t.Errorf("the disk holds %d…; want %d…", got[0], want[0])
			}
		})
	}
}

func TestCutTearsWrites(t *testing.T) {
	d := New(make([]byte, 100*sector))
	c := dial(t, d)
	for i := range uint64(50) {
		c.write(i*2*sector, 1, 0)
	}
	if lost := d.Cut(0.5, rand.New(rand.NewPCG(1, 2))); lost < 20 || lost > 80 {
		t.Errorf("%d of 100 sectors were lost; want about half", lost)
	}
}

func TestBadRequests(t *testing.T) {
	d := New(make([]byte, 8*sector))
	c := dial(t, d)
	for _, r := range []request{
		{Type: cmdRead, Offset: 7 * sector, Length: 2 * sector},
		{Type: cmdRead, Offset: 1 << 63, Length: 1},
		{Type: cmdWrite, Offset: 9 * sector, Length: 2},
		{Type: cmdWrite, Offset: 1<<64 - 1, Length: 2},
		{Type: 99},
	} {
		if _, failed := c.do(r, make([]byte, r.Length)); failed == 0 {
			t.Errorf("request %+v: succeeded", r)
		}
	}
	c.write(0, 1, 0) // still served
}

// A client that talks nonsense ends its own connection only.
func TestNonsenseEndsTheConnection(t *testing.T) {
	d := New(make([]byte, 8*sector))
	near, far := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- d.serve(far) }()
	go near.Write(bytes.Repeat([]byte("nonsense"), 5))
	io.ReadFull(near, make([]byte, 18))
	if err := <-ended; err == nil || errors.Is(err, io.EOF) {
		t.Errorf("served: %v", err)
	}
}

// A client asks for one thing after the other.
type client struct {
	t    *testing.T
	conn net.Conn
}

type request struct {
	Flags, Type    uint16
	Handle, Offset uint64
	Length         uint32
}

// dial connects as QEMU does: with an option that this server lacks, and then the choice.
func dial(t *testing.T, d *Disk) *client {
	near, far := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- d.serve(far) }()
	c := &client{t, near}
	t.Cleanup(func() {
		near.Close()
		<-ended
	})
	c.want(18)
	c.send(uint32(fixedNewstyle | noZeroes))
	c.send(uint64(optionMagic), uint32(8), uint32(0))
	c.want(20)
	c.send(uint64(optionMagic), uint32(optGo), uint32(6), make([]byte, 6))
	info := c.want(20 + 12 + 20)
	if size := binary.BigEndian.Uint64(info[22:]); size != uint64(len(d.now)) {
		t.Fatalf("the disk says that it has %d bytes", size)
	}
	return c
}

func (c *client) send(values ...any) {
	var b bytes.Buffer
	for _, v := range values {
		binary.Write(&b, binary.BigEndian, v)
	}
	if _, err := c.conn.Write(b.Bytes()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) want(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(c.conn, b); err != nil {
		c.t.Fatal(err)
	}
	return b
}

func (c *client) do(r request, data []byte) (answer []byte, failed uint32) {
	if r.Type != cmdWrite {
		data = nil
	}
	c.send(uint32(askMagic), r, data)
	failed = binary.BigEndian.Uint32(c.want(16)[4:])
	if r.Type == cmdRead && failed == 0 {
		answer = c.want(int(r.Length))
	}
	return answer, failed
}

// write fills two sectors with a value.
func (c *client) write(offset uint64, value byte, flags uint16) {
	c.t.Helper()
	if _, failed := c.do(request{Flags: flags, Type: cmdWrite, Offset: offset, Length: 2 * sector}, bytes.Repeat([]byte{value}, 2*sector)); failed != 0 {
		c.t.Fatalf("writing: error %d", failed)
	}
}

func (c *client) read(offset uint64) []byte {
	c.t.Helper()
	data, failed := c.do(request{Type: cmdRead, Offset: offset, Length: 2 * sector}, nil)
	if failed != 0 {
		c.t.Fatalf("reading: error %d", failed)
	}
	return data
}

func (c *client) flush() {
	c.t.Helper()
	if _, failed := c.do(request{Type: cmdFlush}, nil); failed != 0 {
		c.t.Fatalf("flushing: error %d", failed)
	}
}
