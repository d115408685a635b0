package consensus

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func TestMessagesThatWouldStopRaftAreRefused(t *testing.T) {
	conf := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a:1"}}})
	nobody := raft.EncodeConfiguration(raft.Configuration{})
	entries := func(list ...*raft.Log) any {
		return &raft.AppendEntriesRequest{PrevLogEntry: 4, Entries: list}
	}
	image := func(version raft.SnapshotVersion, size int64, conf []byte) any {
		return &raft.InstallSnapshotRequest{SnapshotVersion: version, Size: size, LastLogIndex: 9, Configuration: conf}
	}
	command := func(index uint64, data string) *raft.Log {
		return &raft.Log{Index: index, Data: []byte(data)}
	}
	for _, test := range []struct {
		name    string
		message any
		says    string // empty: it passes
	}{
		{"a heartbeat", entries(), ""},
		{"entries of all kinds", entries(command(5, "x"), &raft.Log{Index: 6, Type: raft.LogNoop},
			&raft.Log{Index: 7, Type: raft.LogBarrier}, &raft.Log{Index: 8, Type: raft.LogConfiguration, Data: conf}), ""},
		{"an image", image(1, 10, conf), ""},
		{"a vote", &raft.RequestVoteRequest{}, ""},
		{"a nil entry", entries(nil), "not consecutive"},
		{"a gap", entries(command(6, "x")), "not consecutive"},
		{"an unknown type", entries(&raft.Log{Index: 5, Type: 99}), "type 99 is unknown"},
		{"a type of old", entries(&raft.Log{Index: 5, Type: raft.LogAddPeerDeprecated}), "type 2 is unknown"},
		{"a configuration that does not decode", entries(&raft.Log{Index: 5, Type: raft.LogConfiguration, Data: []byte{0xc1}}), "configuration"},
		{"a configuration of nobody", entries(&raft.Log{Index: 5, Type: raft.LogConfiguration, Data: nobody}), "has no servers"},
		{"a payload that is not admitted", entries(command(5, "future")), "too far ahead"},
		{"a payload that is too long", entries(&raft.Log{Index: 5, Data: make([]byte, MaxPayload+1)}), "the limit is"},
		{"an image for which there is no room", image(1, 1001, conf), "image of 1001 bytes: the disk"},
		{"an image of version 0", image(0, 10, conf), "out of range"},
		{"an image of no size", image(1, 0, conf), "out of range"},
		{"an image without a configuration", image(1, 10, nil), "image"},
	} {
		t.Run(test.name, func(t *testing.T) {
			room := func(bytes uint64) error {
				if bytes > 1000 {
					return errDiskFull
				}
				return nil
			}
			tr := &transport{terms: new(terms), held: func() error { return nil }, room: room, admit: func(_ string, payload []byte) error {
				if string(payload) == "future" {
					return errors.New("the stamp is too far ahead")
				}
				return nil
			}}
			err := tr.check(test.message)
			if (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Fatalf("the answer is %v, want %q in it", err, test.says)
			}
		})
	}
}

func FuzzDecodeConfiguration(f *testing.F) {
	f.Add(raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a:1"}}}))
	f.Add([]byte{})
	f.Add([]byte{0xc1})
	f.Add([]byte{0x81, 0xa7, 'S', 'e', 'r', 'v', 'e', 'r', 's', 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		conf, err := decodeConfiguration(data)
		if err == nil && len(conf.Servers) == 0 {
			t.Fatal("a configuration of nobody is accepted")
		}
	})
}

func TestRefusedPayloadGoesNowhere(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = func(c *Config) {
			c.Admit = func(_ string, payload []byte) error {
				if bytes.HasSuffix(payload, []byte("future")) {
					return errors.New("the stamp is too far ahead")
				}
				return nil
			}
		}
		servers := n.found(3)
		leader := n.leader()
		n.publish(leader, "now")
		_, err := leader.propose(n.within(5*time.Second), "future")
		if !errors.Is(err, ErrUnknownOutcome) {
			t.Fatalf("a payload that no other voter admits answers %v", err)
		}
		for _, s := range servers {
			if got := s.machine.texts(); len(got) > 1 {
				t.Fatalf("%s applied %v", s.ID, got)
			}
		}
	})
}

func TestGate(t *testing.T) {
	gate := new(Gate)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := gate.Listener(inner)
	defer listener.Close()
	accepted := make(chan net.Conn, 4)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	var direct net.Dialer
	plain := func(ctx context.Context, address string) (net.Conn, error) {
		return direct.DialContext(ctx, "tcp", address)
	}
	dial := gate.Dialer(plain)
	address := inner.Addr().String()

	out, err := dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	in := <-accepted
	gate.Cut()
	if _, err := out.Read(make([]byte, 1)); err == nil {
		t.Error("a dialled connection is open behind a cut gate")
	}
	if _, err := in.Read(make([]byte, 1)); err == nil {
		t.Error("an accepted connection is open behind a cut gate")
	}
	if _, err := dial(t.Context(), address); !errors.Is(err, errCut) {
		t.Errorf("a dial through a cut gate answers %v", err)
	}
	stranger, err := plain(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Read(make([]byte, 1)); err == nil {
		t.Error("a connection from outside is open behind a cut gate")
	}
	gate.Heal()
	out, err = dial(t.Context(), address)
	if err != nil {
		t.Fatalf("after the gate healed: %v", err)
	}
	if err := errors.Join(out.Close(), (<-accepted).Close()); err != nil {
		t.Fatal(err)
	}
	if len(gate.open) != 0 {
		t.Errorf("the gate remembers %d closed connections", len(gate.open))
	}
}

func TestRaftLogsThroughSlog(t *testing.T) {
	var out bytes.Buffer
	handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	var log hclog.Logger = newBridge(slog.New(handler))
	log.Debug("not seen")
	log.With("peer", "s2").Named("raft").Warn("failed to contact", "after", hclog.Fmt("%.1f s", 1.5))
	log.StandardLogger(nil).Print("plain")
	log.Error("failed to decode incoming command", "error", &net.OpError{Op: "read", Err: net.ErrClosed}) // a peer stopped
	log.Error("failed to decode incoming command", "error", errors.New("unknown rpc type 99"))
	want := "level=WARN msg=\"failed to contact\" peer=s2 after=\"1.5 s\"\nlevel=INFO msg=plain\n" +
		"level=ERROR msg=\"failed to decode incoming command\" error=\"unknown rpc type 99\"\n"
	if out.String() != want {
		t.Errorf("logged\n%s\nwant\n%s", out.String(), want)
	}
	if log.IsDebug() || !log.IsInfo() || log.GetLevel() != hclog.Info {
		t.Errorf("the level is %v", log.GetLevel())
	}
	if name := log.Named("a").Named("b").Name(); name != "a.b" {
		t.Errorf("the name is %q", name)
	}
}

func TestConfigIsRefusedByName(t *testing.T) {
	whole := Config{ID: "a", Advertise: "a:1", Dir: t.TempDir(), Listener: &pipeListener{}, Dial: (&network{}).dial}
	for field, spoil := range map[string]func(*Config){
		"ID:":        func(c *Config) { c.ID = "" },
		"Advertise:": func(c *Config) { c.Advertise = "" },
		"Dial:":      func(c *Config) { c.Dial = nil },
		"Dir:":       func(c *Config) { c.Dir = "" },
	} {
		cfg := whole
		spoil(&cfg)
		if _, err := Start(cfg, &testMachine{}); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("without %s the answer is %v", field, err)
		}
	}
}
