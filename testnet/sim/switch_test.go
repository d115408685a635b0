package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// wire gives both ends of a connection from a to b.
func wire(t *testing.T, s *Switch) (ours, theirs net.Conn) {
	t.Helper()
	l, err := s.Listen("b", "b:1")
	if err != nil {
		t.Fatal(err)
	}
	ours, err = s.Dial(context.Background(), "a", "b:1")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return ours, theirs
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("received %q, %v; want %q", got, err, text)
	}
}

func TestALinkDelaysAndKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSwitch(1)
		a, b := wire(t, s)
		s.Set("a", "b", func(f *Faults) { f.Delay, f.Jitter = time.Second, time.Second })
		begin := time.Now()
		send(t, a, "one ")
		send(t, a, "two")
		receive(t, b, "one two")
		if took := time.Since(begin); took < time.Second || took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestACutLinkHoldsWhatWasSentOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSwitch(1)
		a, b := wire(t, s)
		s.Set("a", "b", func(f *Faults) { f.Cut = true })
		send(t, a, "question")
		send(t, b, "the other way")
		receive(t, a, "the other way")
		_ = b.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read over a cut link: %v", err)
		}
		_ = b.SetReadDeadline(time.Time{})
		s.Heal()
		receive(t, b, "question")
	})
}

func TestADialHangsWhileTheWayIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSwitch(1)
		wire(t, s)
		s.Set("b", "a", func(f *Faults) { f.Cut = true })
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := s.Dial(ctx, "a", "b:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial over a cut link: %v", err)
		}
		s.Heal()
		if _, err := s.Dial(context.Background(), "a", "b:1"); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial to an address without a listener: %v", err)
		}
	})
}

func TestAnUnansweredMessageArrivesAndItsAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSwitch(1)
		a, b := wire(t, s)
		s.Set("a", "b", func(f *Faults) { f.Unanswered = 1 })
		send(t, a, "question")
		receive(t, b, "question")
		send(t, b, "answer")
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, errBroken) {
			t.Errorf("the answer: %v", err)
		}
	})
}

func TestASlowLinkTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSwitch(1)
		a, b := wire(t, s)
		s.Set("a", "b", func(f *Faults) { f.BytesPerSecond = 1000 })
		begin := time.Now()
		send(t, a, string(make([]byte, 10_000)))
		receive(t, b, string(make([]byte, 10_000)))
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("10,000 bytes at 1,000 a second took %s", took)
		}
	})
}

func TestADarkHostSaysGoodbyeToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSwitch(1)
		a, b := wire(t, s)
		s.Dark("b", true)
		b.Close()
		_ = a.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read from a dark host: %v", err)
		}
		_ = a.SetReadDeadline(time.Time{})
		s.Reset("b")
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, errBroken) {
			t.Errorf("read after its restart: %v", err)
		}
	})
}

func TestCloseDeliversWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSwitch(1)
		a, b := wire(t, s)
		s.Set("a", "b", func(f *Faults) { f.Delay = time.Second })
		send(t, a, "last words")
		a.Close()
		receive(t, b, "last words")
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the last words: %v", err)
		}
		if _, err := b.Write([]byte("hello?")); !errors.Is(err, errBroken) {
			t.Errorf("a write to who has gone: %v", err)
		}
	})
}
