package consensus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// tcpServer is a replica as production runs it: sockets, and a log on disk.
type tcpServer struct {
	Server
	dir     string
	machine *testMachine
	*Replica
}

func (s *tcpServer) start(t *testing.T) {
	t.Helper()
	at := or(s.Address, "127.0.0.1:0")
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s.Address = listener.Addr().String()
	var dialer net.Dialer
	cfg := Config{
		ID: s.ID, Advertise: s.Address, Dir: s.dir,
		Listener: listener,
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		},
		Logger:    slog.New(slog.DiscardHandler),
		Heartbeat: 200 * time.Millisecond, Election: 200 * time.Millisecond, Lease: 100 * time.Millisecond,
		SnapshotThreshold: 50, SnapshotInterval: 20 * time.Millisecond, TrailingLogs: 20,
	}
	if s.Replica, err = Start(cfg, s.machine); err != nil {
		t.Fatal(err)
	}
}

// await polls in real time; the test's own deadline ends it.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("half a minute has passed and still not: %s", what)
		}
	}
}

func (s *tcpServer) publish(t *testing.T, count int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() {
			text := fmt.Sprint(i)
			if _, _, err := s.Propose(t.Context(), func(at int64) []byte { return payload(at, text) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestRealSocketsAndLogOnDisk(t *testing.T) {
	defer goleak.VerifyNone(t)
	var servers []*tcpServer
	var want []Server
	for i := range 3 {
		s := &tcpServer{Server: Server{ID: fmt.Sprint("s", i+1), Voter: true}, dir: t.TempDir(), machine: &testMachine{}}
		s.start(t)
		servers, want = append(servers, s), append(want, s.Server)
	}
	first := servers[0]
	if err := first.Bootstrap(); err != nil {
		t.Fatal(err)
	}
	await(t, "the founder leads", first.Ready)
	// The others come late, to a log that is cut already.
	first.publish(t, 200)
	await(t, "the log is cut", func() bool { return first.Stats().First > 100 })
	await(t, "all are voters", func() bool { return first.Reconcile(t.Context(), want) == nil })
	first.publish(t, 200)
	same := func(count int) func() bool {
		return func() bool {
			for _, s := range servers {
				if len(s.machine.texts()) != count || fmt.Sprint(s.machine.entries()) != fmt.Sprint(first.machine.entries()) {
					return false
				}
			}
			return true
		}
	}
	await(t, "all hold the same", same(400))
	if first.machine.opened() == 0 {
		t.Error("no image was sent")
	}

	// One comes back after a power failure, from its own log.
	last := servers[2]
	if err := last.Stop(); err != nil {
		t.Fatal(err)
	}
	last.machine = last.machine.crash()
	last.start(t)
	await(t, "it has everything again", same(400))

	for _, s := range servers {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	if err := first.Stop(); err != nil {
		t.Errorf("a second Stop answers %v", err)
	}
}

// BenchmarkPropose is one voter with its log on disk.
func BenchmarkPropose(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	r, err := Start(Config{
		ID: "s1", Advertise: listener.Addr().String(), Dir: b.TempDir(), Listener: listener,
		Dial:   func(context.Context, string) (net.Conn, error) { return nil, net.ErrClosed },
		Logger: slog.New(slog.DiscardHandler),
	}, &testMachine{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Stop()
	if err := r.Bootstrap(); err != nil {
		b.Fatal(err)
	}
	for !r.Ready() {
		<-r.Changes()
	}
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := r.Propose(b.Context(), func(at int64) []byte { return payload(at, "x") }); err != nil {
				b.Error(err)
			}
		}
	})
}
