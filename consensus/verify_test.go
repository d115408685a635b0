package consensus

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// rotten is oldLog with a flipped bit in one entry.
func rotten(t *testing.T, entry string) (dir string) {
	t.Helper()
	dir, _ = oldLog(t)
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(raw, []byte(entry)); at >= 0 {
			raw[at] ^= 1
			if err := os.WriteFile(name, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	t.Fatalf("no file has %q", entry)
	return ""
}

// startOn starts a server with a log, whose state stands at an entry of oldLog.
func startOn(t *testing.T, dir string, at uint64) (*Replica, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	position := position(at)
	position.Term = logEntry(at).Term
	return Start(Config{
		ID: "s1", Advertise: listener.Addr().String(), Dir: dir, Listener: listener,
		Dial:   func(context.Context, string) (net.Conn, error) { return nil, net.ErrClosed },
		Logger: slog.New(slog.DiscardHandler),
	}, &testMachine{state: testState{At: position}})
}

// What the state does not have yet must be whole before raft reads it, and the entry
// at which it stands before log and state are compared.
func TestDamageBehindTheStateIsMetBeforeRaft(t *testing.T) {
	for _, at := range []uint64{12, 39, 40} {
		r, err := startOn(t, rotten(t, "entry 40;"), at)
		if err == nil {
			_ = r.Stop()
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), cureDamage) {
			t.Errorf("with a state at %d a start answers %v", at, err)
		}
	}
}

// What the state has is read beside raft, and damage there ends the server as well.
func TestDamageBeforeTheStateIsMetBesideRaft(t *testing.T) {
	for _, entry := range []string{"entry 12;", "entry 30;", "entry 39;"} {
		r, err := startOn(t, rotten(t, entry), 40)
		if err != nil {
			t.Errorf("%q: %v", entry, err)
			continue
		}
		select {
		case err := <-r.Failed():
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), cureDamage) {
				t.Errorf("%q: it fails of %v", entry, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%q: nobody has met it", entry)
		}
		if err := r.Stop(); err != nil {
			t.Errorf("%q: %v", entry, err)
		}
	}
}

// unreadable is a log on a disk that fails.
type unreadable struct{ logStore }

func (unreadable) GetLog(uint64, *raft.Log) error { return &os.PathError{Op: "read", Err: syscall.EIO} }

// Who is told that the log is damaged throws it away; it may be whole.
func TestADiskThatFailsIsNoDamageOfTheLog(t *testing.T) {
	dir, _ := oldLog(t)
	log := open(t, dir)
	defer log.Close()
	r := &Replica{disk: newDisk(unreadable{log}, &Config{StallAfter: time.Hour, StallLimit: time.Hour}, func(err error) error { return err }, quiet()),
		delivery: newDelivery(&testMachine{}, position(60))}
	r.verifyOld(60)
	failed := r.delivery.broken.Load()
	if failed == nil {
		t.Fatal("nothing has failed")
	}
	if err := *failed; !errors.Is(err, ErrDisk) || errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), cureDamage) {
		t.Errorf("it fails of %v", err)
	}
}

// A log that raft cuts, or that an image replaces, while it is read is no damage.
func TestACutWhileTheLogIsReadIsNoDamage(t *testing.T) {
	dir, _ := oldLog(t)
	log := open(t, dir)
	defer log.Close()
	r := &Replica{disk: newDisk(log, &Config{StallAfter: time.Hour, StallLimit: time.Hour}, func(err error) error { t.Error(err); return err }, quiet()),
		delivery: newDelivery(&testMachine{}, position(60))}
	if err := log.DeleteRange(12, 50); err != nil {
		t.Fatal(err)
	}
	if _, err := verifyEntry(log, 40, 0); err != nil && !r.cutMeanwhile(40, err) {
		t.Errorf("an entry that was cut is damage: %v", err)
	}
	r.verifyOld(60)
	if err := log.DeleteRange(51, 64); err != nil {
		t.Fatal(err)
	}
	if _, err := verifyEntry(log, 60, 0); err == nil || !r.cutMeanwhile(60, err) {
		t.Errorf("an entry of a log that was dropped is damage: %v", err)
	}
	r.verifyOld(60)
	if err := r.delivery.broken.Load(); err != nil {
		t.Error(*err)
	}
}
