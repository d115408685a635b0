package enrol

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// maxGuests is how many connections are met at a time.
	maxGuests = 16
	// maxWrong is how many attempts may fail before the invitation ends.
	maxWrong = 5
	// quietTime lies between two notices of attempts that proved nothing: anybody
	// can make as many of these as they like.
	quietTime = time.Minute
)

// Wait lets one node in and returns. It closes the listener, and all that it
// started has ended by then.
//
// Guests are met several at a time, so that one who says nothing keeps nobody
// out. Who has proved the secret waits here for the operator, one at a time.
//
// If we crash here before the record is written, nothing has happened. After it,
// the network knows a node that may not exist: the next invitation under this
// name, with [Hub.Replace], takes its record away.
func (i *Invitation) Wait(ctx context.Context) (*Joined, error) {
	limited, cancel := context.WithDeadlineCause(ctx, i.token.Expires, ErrExpired)
	limited, end := context.WithCancelCause(limited)
	d := &door{Invitation: i, end: end, seats: make(chan struct{}, maxGuests), proved: make(chan *meeting)}
	defer d.group.Wait()
	defer cancel()
	context.AfterFunc(limited, func() { i.offer.Listener.Close() })
	d.group.Go(func() { d.open(limited) })
	for {
		select {
		case m := <-d.proved:
			joined, err := m.run(ctx, limited)
			if err == nil || m.final {
				return joined, err
			}
			d.failed(limited, m, err)
		case <-limited.Done():
			return nil, context.Cause(limited)
		}
	}
}

// door is where guests come in while an invitation waits.
type door struct {
	*Invitation
	end    context.CancelCauseFunc // of the invitation
	seats  chan struct{}           // one taken for each guest
	proved chan *meeting           // who has proved the secret and asked
	group  sync.WaitGroup

	mu     sync.Mutex
	wrong  int
	told   time.Time // of the last attempt that proved nothing
	untold int       // such attempts since then
}

// open meets guests until the invitation ends.
func (d *door) open(ctx context.Context) {
	defer d.offer.Listener.Close()
	for {
		select {
		case d.seats <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := d.offer.Listener.Accept()
		if err != nil {
			d.end(fmt.Errorf("invitation: %w", err)) // nothing, if it has ended already
			return
		}
		d.group.Go(func() {
			defer func() { <-d.seats }()
			d.greet(ctx, conn)
		})
	}
}

// greet meets one guest, and passes it on if it has the token.
func (d *door) greet(ctx context.Context, conn net.Conn) {
	m := &meeting{Invitation: d.Invitation, conn: tls.Server(conn, d.tls), from: conn.RemoteAddr().String()}
	m.stop = context.AfterFunc(ctx, func() { conn.Close() })
	err := m.hear(ctx)
	if err == nil {
		select {
		case d.proved <- m:
			return
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	m.leave()
	d.failed(ctx, m, err)
}

// failed counts an attempt, and tells the operator of it.
func (d *door) failed(ctx context.Context, m *meeting, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case ctx.Err() != nil: // it failed because the invitation has ended
		return
	case m.counts:
		d.wrong++
	case time.Since(d.told) < quietTime:
		d.untold++
		return
	default:
		if d.untold > 0 {
			err = fmt.Errorf("%w; so did %d others before it", err, d.untold)
		}
		d.told, d.untold = time.Now(), 0
	}
	if d.offer.Notice != nil {
		d.offer.Notice(fmt.Errorf("%s: %w", m.from, err))
	}
	if d.wrong >= maxWrong {
		d.end(ErrAttempts)
	}
}
