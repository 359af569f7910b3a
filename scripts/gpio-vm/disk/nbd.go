package disk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The numbers of NBD, from the protocol's description by the NetworkBlockDevice project.
const (
	helloMagic  = 0x4e42444d41474943 // "NBDMAGIC"
	optionMagic = 0x49484156454f5054 // "IHAVEOPT"
	answerMagic = 0x3e889045565a9
	askMagic    = 0x25609513
	replyMagic  = 0x67446698

	fixedNewstyle = 1
	noZeroes      = 2

	optExportName = 1
	optAbort      = 2
	optInfo       = 6
	optGo         = 7

	repAck         = 1
	repInfo        = 3
	repUnsupported = 1<<31 + 1

	exportFlags = 1 | 1<<2 | 1<<3 // has flags, takes flushes, takes forced writes

	cmdRead       = 0
	cmdWrite      = 1
	cmdDisconnect = 2
	cmdFlush      = 3
	forced        = 1 // flag of a write

	errIO      = 5
	errInvalid = 22

	maxRequest = 32 << 20 // bytes
)

// Serve serves one client after the other until the listener is closed. A client that goes away in the middle of something is
// what a power cut looks like.
func (d *Disk) Serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serving a disk: %w", err)
		}
		d.serve(conn)
		conn.Close()
	}
}

func (d *Disk) serve(conn net.Conn) error {
	s := session{disk: d, r: bufio.NewReader(conn), w: bufio.NewWriter(conn)}
	if err := s.shakeHands(); err != nil {
		return err
	}
	for {
		if err := s.request(); err != nil {
			return err
		}
	}
}

// A session is one client's connection.
type session struct {
	disk *Disk
	r    *bufio.Reader
	w    *bufio.Writer
}

func (s *session) put(values ...any) error {
	for _, v := range values {
		if err := binary.Write(s.w, binary.BigEndian, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) read(into any) error { return binary.Read(s.r, binary.BigEndian, into) }

// shakeHands answers the client's options until it has chosen the one disk there is.
func (s *session) shakeHands() error {
	err := errors.Join(s.put(uint64(helloMagic), uint64(optionMagic), uint16(fixedNewstyle|noZeroes)), s.w.Flush())
	var flags uint32
	if err = errors.Join(err, s.read(&flags)); err != nil {
		return err
	}
	for {
		var option struct {
			Magic          uint64
			Number, Length uint32
		}
		if err := s.read(&option); err != nil {
			return err
		}
		if option.Magic != optionMagic || option.Length > maxRequest {
			return errors.New("the client speaks no NBD")
		}
		if _, err := s.r.Discard(int(option.Length)); err != nil {
			return err
		}
		answer := func(kind uint32, data ...any) error {
			size := 0
			for _, v := range data {
				size += binary.Size(v)
			}
			return s.put(append([]any{uint64(answerMagic), option.Number, kind, uint32(size)}, data...)...)
		}
		chosen := false
		switch option.Number {
		case optExportName:
			chosen = true
			err = s.put(s.disk.size(), uint16(exportFlags))
			if flags&noZeroes == 0 {
				err = errors.Join(err, s.put(make([]byte, 124)))
			}
		case optGo, optInfo:
			chosen = option.Number == optGo
			err = errors.Join(answer(repInfo, uint16(0), s.disk.size(), uint16(exportFlags)), answer(repAck))
		case optAbort:
			errors.Join(answer(repAck), s.w.Flush())
			return io.EOF
		default:
			err = answer(repUnsupported)
		}
		if err = errors.Join(err, s.w.Flush()); err != nil || chosen {
			return err
		}
	}
}

func (d *Disk) size() uint64 { return uint64(len(d.now)) }

// request answers one request. The error is the end of the connection.
func (s *session) request() error {
	var ask struct {
		Magic       uint32
		Flags, Type uint16
		Handle      uint64
		Offset      uint64
		Length      uint32
	}
	if err := s.read(&ask); err != nil {
		return err
	}
	if ask.Magic != askMagic || ask.Length > maxRequest {
		return errors.New("the client sends what is no request")
	}
	var data []byte
	var failed uint32
	switch ask.Type {
	case cmdRead:
		data = make([]byte, ask.Length)
		if _, err := s.disk.ReadAt(data, int64(ask.Offset)); err != nil {
			data, failed = nil, errIO
		}
	case cmdWrite:
		block := make([]byte, ask.Length)
		if _, err := io.ReadFull(s.r, block); err != nil {
			return err
		}
		if err := s.disk.writeAt(block, ask.Offset, ask.Flags&forced != 0); err != nil {
			failed = errIO
		}
	case cmdFlush:
		s.disk.Flush()
	case cmdDisconnect:
		return io.EOF
	default:
		failed = errInvalid
	}
	return errors.Join(s.put(uint32(replyMagic), failed, ask.Handle, data), s.w.Flush())
}
