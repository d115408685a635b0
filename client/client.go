package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// Client speaks to the nodes of one network under one profile.
//
// Questions go to the endpoint that was asked for. Without such a wish they go
// to the profile's own node, and to another one when that does not answer.
// Commands may enter anywhere, so they always go on to another node.
type Client struct {
	profile *Profile
	tls     *tls.Config
	reach   Reach
	pinned  bool // the caller named an endpoint; questions stay there

	mu      sync.Mutex
	sent    *Outbox // opened when somebody first writes
	conns   map[string]*grpc.ClientConn
	nodes   []string // addresses; the asked one first
	current int
	keys    *Keyring
}

// Dial prepares connections; none is made before the first call. Endpoint is
// empty for the profile's own node.
func Dial(p *Profile, endpoint string) (*Client, error) { return DialVia(nil, p, endpoint) }

// Reach opens a connection to an address; nil is the machine's own network.
type Reach func(ctx context.Context, address string) (net.Conn, error)

// DialVia is Dial over another network than the machine's.
func DialVia(reach Reach, p *Profile, endpoint string) (*Client, error) {
	config, err := p.TLS()
	if err != nil {
		return nil, err
	}
	c := &Client{profile: p, tls: config, reach: reach, conns: map[string]*grpc.ClientConn{}}
	c.pinned = endpoint != "" && endpoint != p.Endpoint
	if !c.pinned {
		endpoint = p.Endpoint
	}
	if _, _, err := net.SplitHostPort(endpoint); err != nil {
		return nil, fmt.Errorf("endpoint: %q is not host:port", endpoint)
	}
	c.nodes = []string{endpoint}
	return c, nil
}

// Close ends all connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
	if c.sent != nil {
		_ = c.sent.Close()
		c.sent = nil
	}
}

// outbox opens the profile's; nil if it names none.
func (c *Client) outbox() (*Outbox, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.profile.Outbox == "" || c.sent != nil {
		return c.sent, nil
	}
	var err error
	c.sent, err = OpenOutbox(c.profile.Outbox)
	return c.sent, err
}

// Profile is who is speaking.
func (c *Client) Profile() *Profile { return c.profile }

// TLSConfig serves the HTTP side of a node under the same credentials.
func (c *Client) TLSConfig() *tls.Config { return c.tls }

// Endpoint is the address that questions go to first.
func (c *Client) Endpoint() string { return c.nodes[0] }

// Conn gives the connection to one address.
func (c *Client) Conn(address string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.conns[address]; conn != nil {
		return conn, nil
	}
	conn, err := dialNode(address, c.tls, c.reach)
	if err == nil {
		c.conns[address] = conn
	}
	return conn, err
}

const (
	// patience is how long a question goes on while no node answers.
	patience = 5 * time.Second
	// askTimeout bounds one attempt, so that a node that hangs is passed over.
	askTimeout = 10 * time.Second
)

// Ask calls a node, and again while none answers; a second one has its turn even
// if the first took all the time. It is for what may be asked twice.
func (c *Client) Ask(ctx context.Context, call func(context.Context, grpc.ClientConnInterface) error) error {
	deadline := time.Now().Add(patience)
	var before error
	for tries, wait := 1, firstWait; ; tries, wait = tries+1, nextWait(wait) {
		once, cancel := context.WithTimeout(ctx, askTimeout)
		address, err := c.attempt(once, !c.pinned, call)
		cancel()
		if ctx.Err() != nil && before != nil {
			err = before // it says more than that the caller's time is over
		}
		before = err
		late := !time.Now().Before(deadline) && (tries > 1 || c.pinned)
		if !retryable(err) || late || !pause(ctx, wait) {
			return explain(address, err)
		}
	}
}

// attempt calls the current node once. A node that does not answer is passed
// over in the next attempt, if that may go elsewhere.
func (c *Client) attempt(ctx context.Context, elsewhere bool, call func(context.Context, grpc.ClientConnInterface) error) (string, error) {
	c.mu.Lock()
	at := c.current
	if !elsewhere {
		at = 0
	}
	address := c.nodes[at]
	c.mu.Unlock()
	conn, err := c.Conn(address)
	if err != nil {
		return address, err
	}
	err = call(ctx, conn)
	// A node that sheds load is there: it is asked again, and nobody else learns what
	// this institution asks because of it.
	if retryable(err) && status.Code(err) != codes.ResourceExhausted && elsewhere {
		c.mu.Lock()
		if c.current == at {
			c.current = (at + 1) % len(c.nodes)
		}
		c.mu.Unlock()
	}
	return address, err
}

// Network says which network this is, and makes the other nodes known to c.
func (c *Client) Network(ctx context.Context) (*apiv1.NetworkResponse, error) {
	var network *apiv1.NetworkResponse
	err := c.Ask(ctx, func(ctx context.Context, conn grpc.ClientConnInterface) (err error) {
		network, err = apiv1.NewRegistryClient(conn).Network(ctx, &apiv1.NetworkRequest{})
		return err
	})
	if err != nil {
		return nil, err
	}
	c.know(network)
	return network, nil
}

func (c *Client) know(network *apiv1.NetworkResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range network.Nodes {
		if n.Api != "" && !slices.Contains(c.nodes, n.Api) {
			c.nodes = append(c.nodes, n.Api)
		}
	}
}

// Submit hands a signed command to a node, once.
func (c *Client) Submit(ctx context.Context, in *apiv1.SubmitRequest) (*apiv1.Receipt, error) {
	var receipt *apiv1.Receipt
	address, err := c.attempt(ctx, true, func(ctx context.Context, conn grpc.ClientConnInterface) (err error) {
		receipt, err = apiv1.NewCommandsClient(conn).Submit(ctx, in)
		return err
	})
	return receipt, explain(address, err)
}

const (
	firstWait = 50 * time.Millisecond
	lastWait  = time.Second
)

func nextWait(wait time.Duration) time.Duration { return min(wait*2, lastWait) }

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// retryable errors say that the outcome is not known, or that there was none.
func retryable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}
