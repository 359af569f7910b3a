package hub

import "errors"

// errCut is why nothing more is sent where a packet could not be completed.
var errCut = errors.New("a packet was cut off")

// A sender sends packets on one connection, from any goroutine: one packet after the other, each as
// a whole or, between begin and end, in pieces.
type sender struct {
	write   func([]byte) error // bounds its own time
	sending chan struct{}      // holds an element while somebody sends, which may take time
	broken  error              // of a write: the peer may have a part of a packet
}

func newSender(write func([]byte) error) sender {
	return sender{write: write, sending: make(chan struct{}, 1)}
}

func (s *sender) begin() { s.sending <- struct{}{} }
func (s *sender) end()   { <-s.sending }

// tryBegin is begin, unless that would have to wait.
func (s *sender) tryBegin() bool {
	select {
	case s.sending <- struct{}{}:
		return true
	default:
		return false
	}
}

// piece sends a part of a packet. After an error nothing more is sent.
func (s *sender) piece(b []byte) error {
	if s.broken == nil {
		s.broken = s.write(b)
	}
	return s.broken
}

// packet sends a packet, or several.
func (s *sender) packet(b []byte) error {
	s.begin()
	defer s.end()
	return s.piece(b)
}

// pass sends the packet whose header from has taken last, see [packetReader.pass]. Others may send
// until the first piece of it is there.
func (s *sender) pass(from *packetReader, taken []byte, length int) (readErr, writeErr error) {
	begun := false
	readErr, writeErr = from.pass(taken, length, func(piece []byte) error {
		if !begun {
			s.begin()
			begun = true
		}
		return s.piece(piece)
	})
	if !begun {
		return readErr, writeErr
	}
	defer s.end()
	if readErr != nil {
		s.broken = errCut
	}
	return readErr, writeErr
}
