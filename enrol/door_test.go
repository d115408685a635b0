package enrol

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/risknet/risknet/risk"
)

// silent connects and says nothing, as anybody can who reaches the listener.
func silent(t *testing.T, dial func(ctx context.Context, address string) (net.Conn, error), address string) net.Conn {
	t.Helper()
	conn, err := dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// joinsBy says how long the joiner waited until the operator was asked.
func joinsBy(t *testing.T, d *desk, line *pipes) (waited time.Duration, err error) {
	o, began := d.options(), time.Now()
	o.Dial, o.Waiting = line.dial, func(Terms, risk.PublicKey) { waited = time.Since(began) }
	_, err = Join(t.Context(), o)
	return waited, err
}

func TestSilentStrangersKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newPipes()
		d := invites(t, func(o *Offer) { o.Listener, o.Advertise = line, "127.0.0.1:1" })
		for range maxGuests - 1 {
			silent(t, line.dial, "")
		}
		if waited, err := joinsBy(t, d, line); err != nil || waited != 0 {
			t.Errorf("met after %s: %v", waited, err)
		}
		<-d.done
	})
}

func TestAJoinerOutlastsAFullHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newPipes()
		d := invites(t, func(o *Offer) { o.Listener, o.Advertise = line, "127.0.0.1:1" })
		for range maxGuests {
			silent(t, line.dial, "")
		}
		if waited, err := joinsBy(t, d, line); err != nil || waited != strangerTime {
			t.Errorf("met after %s: %v", waited, err)
		}
		<-d.done
	})
}

// Many who prove nothing cost no attempt, and the operator hears of them seldom.
func TestTheOperatorIsNotFloodedByStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newPipes()
		d := invites(t, func(o *Offer) { o.Listener, o.Advertise = line, "127.0.0.1:1" })
		for range 8 * maxGuests { // sixteen in ten seconds: 80 s until the last is gone
			silent(t, line.dial, "")
		}
		<-d.done
		if !errors.Is(d.err, ErrExpired) {
			t.Errorf("ended with %v", d.err)
		}
		if n := len(d.notices); n != 2 {
			t.Fatalf("%d notices in 80 s, want 2", n)
		}
		<-d.notices
		if last := <-d.notices; !strings.Contains(last.Error(), "so did ") {
			t.Errorf("the second does not count those before it: %v", last)
		}
	})
}

// The operator thinks for minutes; others are met meanwhile, and asked for after.
func TestGuestsAreMetWhileTheOperatorThinks(t *testing.T) {
	asked, answer := make(chan struct{}, 2), make(chan error)
	d := invites(t, func(o *Offer) {
		o.Approve = func(context.Context, Request) error { asked <- struct{}{}; return <-answer }
	})
	first := d.knows()
	first.asks(named("n6"), nil)
	<-asked             // so that it is the first who waits
	second := d.knows() // has its welcome meanwhile
	second.asks(named("n6"), nil)
	first.conn.Close()
	answer <- nil // for nobody: the first has gone
	<-d.notices
	answer <- nil
	if err := expectWord(second.conn, wordApproved); err != nil {
		t.Errorf("the second: %v", err)
	}
}

func TestNobodyIsLeftWhenAnInvitationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, began := newPipes(), time.Now()
		d := invites(t, func(o *Offer) { o.Listener, o.Advertise, o.TTL = line, "127.0.0.1:1", 5*time.Second })
		first, last := silent(t, line.dial, ""), silent(t, line.dial, "")
		if err := tls.Client(last, pinned(d.invitation.Token().CA)).HandshakeContext(t.Context()); err != nil {
			t.Fatal(err) // one speaks TLS and is silent then
		}
		<-d.done
		if open := time.Since(began); !errors.Is(d.err, ErrExpired) || open != 5*time.Second {
			t.Errorf("ended after %s with %v", open, d.err)
		}
		for _, conn := range []net.Conn{first, last} {
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("a guest is still there")
			}
		}
		if len(d.notices) != 0 {
			t.Errorf("its end is told as an attempt: %v", <-d.notices)
		}
	})
}
