package testnet

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/risknet/risknet/risk"
)

// The leader itself forges: a configuration in which somebody of its own is a server,
// one without the others, an entry that is none, a stamp of tomorrow. It has the
// right certificate, the right term and the right place in the log.
func TestALeaderCannotForgeWhatDoesNotFollow(t *testing.T) {
	n := start(t, 3, 3)
	n.reports("member-1", "", risk.KindIP, "192.0.2.1")
	n.sameRoots()
	leader, other, victim := n.roles()
	transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: &intruder{config: n.certificateOf(leader), meant: n.Node(victim).Server(), closed: make(chan struct{})}, MaxPool: 1, Timeout: 2 * time.Second})
	defer transport.Close()
	server := func(name string, suffrage raft.ServerSuffrage) raft.Server {
		return raft.Server{ID: raft.ServerID(n.Node(name).Server()), Address: raft.ServerAddress(n.plannedRaft(name)), Suffrage: suffrage}
	}
	all := []raft.Server{server(leader, raft.Voter), server(other, raft.Voter), server(victim, raft.Voter)}
	phantom := raft.Server{ID: "00112233445566778899aabbccddeeff", Address: "127.0.0.1:1", Suffrage: raft.Nonvoter}
	moved := server(other, raft.Voter)
	moved.Address = "127.0.0.1:1"
	configuration := func(servers ...raft.Server) *raft.Log {
		return &raft.Log{Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{Servers: servers})}
	}
	for _, forged := range []struct {
		name  string
		entry *raft.Log
		says  string
	}{
		{"the leader alone", configuration(all[0]), "change at a time"},
		{"a server of nobody", configuration(append(all[:3:3], phantom)...), "no record of its node"},
		{"another's place", configuration(all[0], moved, all[2]), "the record of node"},
		{"another without its vote", configuration(all[0], server(other, raft.Nonvoter), all[2]), "suffrage is voter"},
		{"no entry", &raft.Log{Data: []byte("forged")}, "not admitted"},
		{"an entry of tomorrow", n.stamped(time.Now().Add(24*time.Hour), leader), "ahead of this node's clock"},
		{"a stamp in another's name", n.stamped(time.Now(), other), "has stamped it, and"},
	} {
		now := n.Node(victim).Status()
		forged.entry.Index, forged.entry.Term = now.Applied+1, now.Term
		err := transport.AppendEntries("x", raft.ServerAddress(n.plannedRaft(victim)), &raft.AppendEntriesRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte(n.Node(leader).Server()), Addr: []byte(n.plannedRaft(leader))},
			Term:      now.Term, PrevLogEntry: now.Applied, PrevLogTerm: now.Term, Entries: []*raft.Log{forged.entry}, LeaderCommitIndex: now.Applied + 1},
			new(raft.AppendEntriesResponse))
		if err == nil || !strings.Contains(err.Error(), forged.says) {
			t.Fatalf("%s: the answer is %v, want %q in it", forged.name, err, forged.says)
		}
		if after := n.Node(victim).Status(); after.Size != now.Size {
			t.Errorf("%s: the ledger has %d leaves, want %d", forged.name, after.Size, now.Size)
		}
	}
	for _, image := range []struct {
		name, content string
		size          int64
	}{
		{"a poisoned image", "poison", 6},
		{"an image that sends for ever", strings.Repeat("bomb", 8<<20), 6},
		{"an image larger than the disk", "bomb", 1 << 60},
	} {
		now := n.Node(victim).Status()
		resp := new(raft.InstallSnapshotResponse)
		err := transport.InstallSnapshot("x", raft.ServerAddress(n.plannedRaft(victim)), &raft.InstallSnapshotRequest{
			RPCHeader:       raft.RPCHeader{ProtocolVersion: 3, ID: []byte(n.Node(leader).Server()), Addr: []byte(n.plannedRaft(leader))},
			SnapshotVersion: 1, Term: now.Term, LastLogIndex: now.Applied + 5, LastLogTerm: now.Term, Size: image.size,
			Configuration: raft.EncodeConfiguration(raft.Configuration{Servers: all[:1]}), ConfigurationIndex: now.Applied + 5}, resp, strings.NewReader(image.content))
		if err == nil && resp.Success {
			t.Errorf("%s is taken", image.name)
		}
		if after := n.Node(victim).Status(); after.Size != now.Size || after.Applied < now.Applied {
			t.Errorf("%s: the ledger has %d leaves, want %d", image.name, after.Size, now.Size)
		}
	}
	n.reports("member-1", "", risk.KindIP, "192.0.2.2")
	n.sameRoots()
}

// stamped is an entry in a node's name.
func (n *network) stamped(at time.Time, in string) *raft.Log {
	n.t.Helper()
	planned, err := n.planned(in)
	n.must(err)
	e := &risk.Entry{At: at.UnixMilli(), Proposer: planned.ID, Signed: &risk.Signed{Header: []byte("header")}}
	return &raft.Log{Data: e.Encode()}
}

// What is sent on one connection is bounded before anybody decodes it: 66 MiB of one
// entry, and a megabyte of entries that would be a hundred.
func TestHugeMessagesTakeLittle(t *testing.T) {
	n := startAlone(t, 3, 3)
	leader, from, _ := n.roles()
	i := &intruder{config: n.certificateOf(from), meant: n.Node(leader).Server()}
	for _, message := range []struct{ name, head, block string }{
		{"one entry", "\x00\x81\xa7Entries\x91\x81\xa4Data\xc6\x04\x20\x00\x00", strings.Repeat("x", 64<<10)},
		{"large entries", "\x00\x81\xa7Entries\xdc\x00\x20", "\x81\xa4Data\xc6\x00\x10\x00\x00" + strings.Repeat("x", 1<<20)},
		{"empty entries", "\x00\x81\xa7Entries\xdd\x04\x00\x00\x00", strings.Repeat("\x80", 64<<10)},
	} {
		before := heapInUse()
		conn, err := i.Dial(raft.ServerAddress(n.plannedRaft(leader)), 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
		_, err = conn.Write([]byte(message.head))
		block, sent, peak := []byte(message.block), 0, int64(0)
		for err == nil && sent < 66<<20 {
			_, err = conn.Write(block)
			sent += len(block)
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, int64(m.HeapAlloc)-before)
		}
		conn.Close()
		t.Logf("%s: %d MiB sent, the heap grew by %d MiB", message.name, sent>>20, peak>>20)
		if sent >= 66<<20 || peak > 64<<20 {
			t.Errorf("%s: %d MiB are taken, and the heap grew by %d MiB; want at most 64", message.name, sent>>20, peak>>20)
		}
	}
	n.reports("member-1", "", risk.KindIP, "192.0.2.1")
	n.sameRoots()
}
