package node

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// inbox takes the messages of one stream in as they come and notes when, so that one
// can be refused for its age and not only be late. gRPC itself tells only when a
// message is asked for.
type inbox struct {
	*admission
	messages chan *mail
	room     chan struct{} // one place: some bytes have been given back
	left     chan struct{} // closed when nobody takes messages any more
	held     atomic.Int64  // bytes of the messages that wait
	waiting  atomic.Int64  // messages that wait, or are about to
	err      error         // why there are no more; read it when messages is closed
}

// mail is one message of a stream.
type mail struct {
	rawRequest
	at int64
}

const (
	inboxMessages = 256     // beyond, the caller is held up by the flow control of HTTP/2
	inboxBytes    = 1 << 20 // likewise
	// inboxesBytes are those of all streams together. Beyond, one message waits on each.
	inboxesBytes = 64 << 20
)

var mails = sync.Pool{New: func() any { return &mail{} }}

func (m *mail) discard() {
	m.free()
	mails.Put(m)
}

// receiver is what an inbox needs of a stream.
type receiver interface {
	Context() context.Context
	RecvMsg(m any) error
}

// newInbox starts the goroutine that reads. It ends when the handler has left, with which
// its stream ends at the latest, and gives back what nobody has taken.
func newInbox(stream receiver, a *admission) *inbox {
	in := &inbox{admission: a, messages: make(chan *mail, inboxMessages), room: make(chan struct{}, 1), left: make(chan struct{})}
	go func() {
		in.read(stream)
		close(in.messages)
		<-in.left
		for m := range in.messages { // nobody will read them
			in.letGo(m)
			m.discard()
		}
	}()
	return in
}

func (in *inbox) read(stream receiver) {
	done := stream.Context().Done()
	for {
		m := mails.Get().(*mail)
		if in.err = stream.RecvMsg(&m.rawRequest); in.err != nil {
			m.discard()
			return
		}
		m.at = in.clock()
		in.waiting.Add(1)
		for !in.keep(m) {
			select {
			case <-in.room:
			case <-done:
				in.err = stream.Context().Err()
				m.discard()
				return
			}
		}
		select {
		case in.messages <- m:
		case <-done:
			in.err = stream.Context().Err()
			in.letGo(m)
			m.discard()
			return
		}
	}
}

// keep counts a message in, unless others wait before it and there is too much of them.
func (in *inbox) keep(m *mail) bool {
	size := int64(cap(m.data))
	own, all := in.held.Add(size), in.mailed.Add(size)
	if in.waiting.Load() > 1 && (own > inboxBytes || all > inboxesBytes) {
		in.letGo(m)
		return false
	}
	return true
}

func (in *inbox) letGo(m *mail) {
	in.held.Add(-int64(cap(m.data)))
	in.mailed.Add(-int64(cap(m.data)))
}

// next gives the next message; the caller discards it. The error is io.EOF when the
// caller has sent all.
func (in *inbox) next() (*mail, error) {
	m, ok := <-in.messages
	if !ok {
		return nil, in.err
	}
	in.waiting.Add(-1)
	in.letGo(m)
	select {
	case in.room <- struct{}{}:
	default:
	}
	return m, nil
}

// tooLate says that a message has waited for too long while so many checks wait behind
// it that a moment in which the machine stood still is not the reason. A stream with
// one message behind is as busy as its caller keeps it.
func (a *admission) tooLate(m *mail, in *inbox, checks int) bool {
	behind := in.waiting.Load()
	return a.patience > 0 && behind > 1 && behind*int64(checks) >= crowd && a.clock()-m.at > int64(a.patience)
}

// serve answers the messages of a stream, in their order.
func (s *checkService) serve(stream interface {
	receiver
	SendMsg(m any) error
}) error {
	who, out, last := callerOf(stream.Context()), &rawResponse{}, 1
	in := newInbox(stream, s.admission)
	defer close(in.left)
	for {
		m, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// How many checks a message holds is known when it was read; that of the one
		// before is as good.
		if s.admission.tooLate(m, in, last) {
			err = s.admission.refuse(m.data, out)
		} else {
			last, err = s.batch(stream.Context(), m.data, who, out)
		}
		m.discard()
		if err != nil {
			return err
		}
		if err := stream.SendMsg(out); err != nil {
			return err
		}
	}
}
