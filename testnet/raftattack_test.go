package testnet

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// intruder speaks raft with the certificate of one node, or of anybody.
type intruder struct {
	config *tls.Config
	meant  string // the server that it wants
	closed chan struct{}
}

func (i *intruder) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := (&tls.Dialer{Config: i.config}).DialContext(ctx, "tcp", string(to))
	if err != nil {
		return nil, err
	}
	_, err = conn.Write(append([]byte{1, byte(len(i.meant))}, i.meant...))
	return conn, err
}

func (i *intruder) Accept() (net.Conn, error) {
	<-i.closed
	return nil, net.ErrClosed
}

func (i *intruder) Close() error {
	close(i.closed)
	return nil
}

func (i *intruder) Addr() net.Addr { return &net.TCPAddr{} }

// certificateOf gives what a node of the network shows.
func (n *network) certificateOf(name string) *tls.Config {
	n.t.Helper()
	planned, err := n.planned(name)
	if err != nil {
		n.t.Fatal(err)
	}
	creds, err := node.LoadCredentials(filepath.Join(n.Plan.Dir, "ca.pem"), filepath.Join(planned.Dir, "tls.pem"), filepath.Join(planned.Dir, "tls.key"))
	if err != nil {
		n.t.Fatal(err)
	}
	config := creds.ClientTLS(nil)
	config.ServerName, config.VerifyConnection = "127.0.0.1", nil
	return config
}

// The known attacks on raft's port, over TLS, with the certificate of a node of the
// network that does not lead: entries, configurations and images in its own name, in
// the leader's and in that of a stranger, in this term and the next.
func TestAttacksOnRaftChangeNothing(t *testing.T) {
	n := start(t, 3, 3)
	n.reports("member-1", "", risk.KindIP, "192.0.2.1", "192.0.2.2")
	leader, from, victim := n.roles()
	term, size := n.Node(leader).Status().Term, n.Node(leader).Status().Size
	conf := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "evil", Address: "evil:1"}}})
	transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: &intruder{config: n.certificateOf(from), meant: n.Node(victim).Server(), closed: make(chan struct{})}, MaxPool: 1, Timeout: 2 * time.Second})
	defer transport.Close()
	to := raft.ServerAddress(n.plannedRaft(victim))
	taken, refusals := 0, ""
	for _, as := range []string{n.Node(from).Server(), n.Node(leader).Server(), "00112233445566778899aabbccddeeff"} {
		header := raft.RPCHeader{ProtocolVersion: 3, ID: []byte(as), Addr: []byte("127.0.0.1:1")}
		for _, in := range []uint64{term, term + 1, 1 << 63} {
			for _, entries := range [][]*raft.Log{nil, {nil}, {{Index: 2, Term: in, Data: []byte("forged")}}, {{Index: 2, Term: in, Type: 99}},
				{{Index: 2, Term: in, Type: raft.LogConfiguration, Data: conf}}, {{Index: 2, Term: in, Data: make([]byte, 2<<20)}}} {
				resp := new(raft.AppendEntriesResponse)
				err := transport.AppendEntries("x", to, &raft.AppendEntriesRequest{RPCHeader: header, Term: in, PrevLogEntry: 1, PrevLogTerm: 1, Entries: entries, LeaderCommitIndex: 99}, resp)
				if err == nil && resp.Success {
					taken++
				} else if err != nil {
					refusals += err.Error() + "\n"
				}
			}
			for _, content := range []string{"poison", strings.Repeat("bomb", 1<<18)} {
				resp := new(raft.InstallSnapshotResponse)
				err := transport.InstallSnapshot("x", to, &raft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: 1, Term: in, LastLogIndex: 1 << 40, LastLogTerm: in,
					Configuration: conf, ConfigurationIndex: 1 << 40, Size: 6}, resp, strings.NewReader(content))
				if err == nil && resp.Success {
					taken++
				}
			}
		}
	}
	if taken > 0 {
		t.Errorf("%d messages were taken", taken)
	}
	// They came as far as the guards that this is about.
	for _, want := range []string{"is not that of server", "leads in term", "whether this server leads"} {
		if !strings.Contains(refusals, want) {
			t.Errorf("nothing was refused with %q:\n%s", want, refusals)
		}
	}
	if now := n.Node(leader).Status(); now.Term != term || now.Size != size || !n.Node(leader).Leads() {
		t.Errorf("term %d and size %d have become %d and %d; it leads: %v", term, size, now.Term, now.Size, n.Node(leader).Leads())
	}
	n.reports("member-1", "", risk.KindIP, "192.0.2.3")
	n.sameRoots()
}

// roles names the leader and the two others.
func (n *network) roles() (leader, one, other string) {
	leader = n.Leader()
	var rest []string
	for _, p := range n.Plan.Nodes {
		if p.Name != leader {
			rest = append(rest, p.Name)
		}
	}
	return leader, rest[0], rest[1]
}

func (n *network) plannedRaft(name string) string {
	n.t.Helper()
	planned, err := n.planned(name)
	if err != nil {
		n.t.Fatal(err)
	}
	return planned.Raft
}

// sameRoots waits until all nodes hold the same.
func (n *network) sameRoots() {
	n.t.Helper()
	n.eventually("all nodes hold the same", func() bool {
		first := n.Node(n.Plan.Nodes[0].Name).Head()
		for _, p := range n.Plan.Nodes {
			if n.Node(p.Name).Head() != first {
				return false
			}
		}
		return first.Size > 0
	})
}

// Whoever has no certificate of a node does not get past the handshake; ten thousand
// connections that say nothing cost little, at every port, and hold up nobody.
func TestIdleConnectionsHoldUpNobody(t *testing.T) {
	n := startAlone(t, 3, 3)
	leader, _, _ := n.roles()
	planned, err := n.planned(leader)
	if err != nil {
		t.Fatal(err)
	}
	before := heapInUse()
	for _, address := range []string{planned.Raft, planned.API, planned.HTTP} {
		var conns []net.Conn
		for range 3_400 { // ten thousand in all; a process has so many files
			conn, err := net.DialTimeout("tcp", address, 2*time.Second)
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		if grown := heapInUse() - before; grown > 64<<20 {
			t.Errorf("%d idle connections at %s: the heap has grown by %d MiB", len(conns), address, grown>>20)
		}
		n.reports("member-1", "", risk.KindPhone, "+8613800138"+address[len(address)-3:])
		for _, conn := range conns {
			conn.Close()
		}
	}
	n.sameRoots()
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
