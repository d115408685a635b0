package enrol

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registry stands in for the network's records.
type registry struct {
	mu    sync.Mutex
	err   error
	terms []Terms
	asked []Request
}

func (r *registry) Register(_ context.Context, terms Terms, asked Request) (Membership, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.terms, r.asked = append(r.terms, terms), append(r.asked, asked)
	return Membership{Network: risk.Hash{7}, Origin: "test.example/log", Node: risk.ID{9}, TokenKeys: []node.TokenKey{{Epoch: 1, Secret: [32]byte{4}}}}, r.err
}

func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.terms)
}

// desk is a hub operator's machine with one open invitation.
type desk struct {
	t          *testing.T
	authority  *node.Authority
	registry   *registry
	invitation *Invitation
	notices    chan error
	done       chan struct{} // closed when the invitation has ended
	joined     *Joined
	err        error
}

func newAuthority(t *testing.T) *node.Authority {
	t.Helper()
	ca, err := node.NewAuthority("testnet", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// invites opens an invitation on loopback, unless change says otherwise, and
// waits in the background.
func invites(t *testing.T, change func(*Offer)) *desk {
	t.Helper()
	d := &desk{t: t, authority: newAuthority(t), registry: &registry{}, notices: make(chan error, 1000), done: make(chan struct{})}
	o := Offer{Terms: Terms{Name: "n6", Institution: "member-5", Suffrage: risk.NonVoter}, Network: "testnet", Inviter: "hub",
		Authority: d.authority, Registrar: d.registry, TTL: 10 * time.Minute, Notice: func(err error) { d.notices <- err }}
	if change != nil {
		change(&o)
	}
	if o.Listener == nil {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o.Listener, o.Advertise = listener, listener.Addr().String()
	}
	var err error
	if d.invitation, err = Open(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(d.done)
		d.joined, d.err = d.invitation.Wait(ctx)
	}()
	t.Cleanup(func() { cancel(); <-d.done })
	return d
}

// ends waits until the invitation is over.
func (d *desk) ends() (*Joined, error) {
	d.t.Helper()
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		d.t.Fatal("the invitation still waits")
	}
	return d.joined, d.err
}

// waits fails if the invitation is over.
func (d *desk) waits() {
	d.t.Helper()
	select {
	case <-d.done:
		d.t.Fatalf("the invitation has ended: %+v, %v", d.joined, d.err)
	default:
	}
}

// options are those of a joiner who does everything right.
func (d *desk) options() JoinOptions {
	return JoinOptions{Token: d.invitation.Token(), Dir: filepath.Join(d.t.TempDir(), "n6"),
		Raft: "127.0.0.1:7001", API: "127.0.0.1:7002", HTTP: "n6.example:7003"}
}

// leavesNothing fails if a join left anything where its directory would be.
func leavesNothing(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(entries) > 0 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}

// stranger is a joiner whose messages a test writes by hand.
type stranger struct {
	*joiner
	t *testing.T
}

func (d *desk) stranger(token Token) *stranger {
	d.t.Helper()
	o := d.options()
	o.Token = token
	keys, err := newKeys()
	if err != nil {
		d.t.Fatal(err)
	}
	conn, err := o.connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	return &stranger{joiner: &joiner{options: o, keys: keys, conn: conn}, t: d.t}
}

// knows gives a stranger who has the token and has proved it.
func (d *desk) knows() *stranger {
	d.t.Helper()
	s := d.stranger(d.invitation.Token())
	if err := s.meet(); err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (s *stranger) says(message any) {
	s.t.Helper()
	if err := send(s.conn, message); err != nil {
		s.t.Fatal(err)
	}
}

// hears gives the error that the inviter sent.
func (s *stranger) hears() string {
	s.t.Helper()
	var m word
	if err := receive(s.conn, &m); err != nil {
		s.t.Fatal(err)
	}
	return m.Error
}

// pipes is a listener within this process.
type pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipes() *pipes { return &pipes{incoming: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.incoming:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(ctx context.Context, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.incoming <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// impostor answers as an inviter would, but with a certificate of its choice and
// without the secret.
func impostor(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var h hello
		if receive(conn, &h) == nil {
			_ = send(conn, &welcome{Proof: h.Proof, Network: "testnet", Name: "n6", Institution: "member-5", Suffrage: "voter"})
		}
	}()
	t.Cleanup(func() { listener.Close(); <-over })
	return listener.Addr().String()
}
