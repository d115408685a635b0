package testnet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
)

// authority is the network's own CA.
func (n *network) authority() *node.Authority {
	n.t.Helper()
	cert, err := os.ReadFile(filepath.Join(n.Plan.Dir, "ca.pem"))
	key, keyErr := os.ReadFile(filepath.Join(n.Plan.Dir, "ca.key"))
	ca, caErr := node.LoadAuthority(cert, key)
	if err := errors.Join(err, keyErr, caErr); err != nil {
		n.t.Fatal(err)
	}
	return ca
}

// certificate is one that the network's CA has issued.
func (n *network) certificate(id node.Identity) tls.Certificate {
	n.t.Helper()
	cert, key, err := n.authority().Issue(id, []string{"127.0.0.1"}, time.Now())
	if err != nil {
		n.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		n.t.Fatal(err)
	}
	return pair
}

// caller shows one certificate at every door of one node.
type caller struct {
	t                       *testing.T
	at                      *PlannedNode
	role, institution, name string
	config                  *tls.Config
	conn                    *grpc.ClientConn
	web                     *http.Client
}

func (n *network) caller(at, role, institution, name string) *caller {
	n.t.Helper()
	return n.callerAs(at, node.Identity{Network: n.Plan.Network, Institution: institution, Role: role, Name: name})
}

func (n *network) callerAs(at string, id node.Identity) *caller {
	n.t.Helper()
	planned, err := n.planned(at)
	if err != nil {
		n.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(n.authority().CertificatePEM())
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Certificates: []tls.Certificate{n.certificate(id)}}
	conn, err := client.DialNode(planned.API, config)
	if err != nil {
		n.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	n.t.Cleanup(func() {
		_ = conn.Close()
		transport.CloseIdleConnections()
	})
	return &caller{n.t, planned, id.Role, id.Institution, id.Name, config, conn, &http.Client{Transport: transport, Timeout: 20 * time.Second}}
}

// tries gives what a door says to this caller: nil where it is let through,
// whatever comes of a request that is empty.
func (c *caller) tries(ctx context.Context, door string) error {
	switch {
	case door == "raft":
		return c.raft()
	case strings.HasPrefix(door, "GET "):
		return c.get(strings.Replace(strings.TrimPrefix(door, "GET "), "{leaf}", "0", 1))
	case strings.HasPrefix(door, "/"):
		return c.call(ctx, door)
	case door == "the Redis door":
		return c.redis(ctx)
	}
	_, err := apiv1.NewChecksClient(c.conn).Check(ctx, &apiv1.CheckRequest{Subjects: []*apiv1.Subject{{Kind: "device", Value: "x"}}})
	return refusal(err)
}

func (c *caller) call(ctx context.Context, method string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err == nil {
		_, _ = stream.SendMsg(&emptypb.Empty{}), stream.CloseSend() // what they met is told by the answer
		err = stream.RecvMsg(&emptypb.Empty{})
	}
	return refusal(err)
}

// refusal keeps of an answer only that the caller may not, or was not even let in:
// of that it hears as much as its system tells of a connection that was ended.
func refusal(err error) error {
	code, text := status.Code(err), status.Convert(err).Message()
	if code == codes.PermissionDenied && strings.Contains(text, "may not use") || code == codes.Unavailable && !strings.Contains(text, "does not lead") {
		return err
	}
	return nil
}

func (c *caller) redis(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: c.at.Redis, TLSConfig: c.config, Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	defer client.Close()
	return client.SIsMember(ctx, "risk:device", "x").Err()
}

func (c *caller) get(path string) error {
	resp, err := c.web.Get("https://" + c.at.HTTP + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode == http.StatusForbidden {
		return errors.New(string(text))
	}
	return nil
}

// raft is let in where the node hears what the caller wants, which is another
// server here, and then ends the connection without an alert.
func (c *caller) raft() error {
	conn, err := tls.Dial("tcp", c.at.Raft, c.config)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, _ = conn.Write([]byte{1, 1, 'x'})
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err = conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Every door, every role, of the node's own institution, of one that it serves and
// of another, over real TLS: whom the table lets in is let in, and whom it does not
// is told that this role may not use this door.
func TestTheWholeTableOfPermissionsHolds(t *testing.T) {
	t.Parallel()
	n := startTuned(t, Options{Nodes: 2, Voters: 1, Tune: func(cfg *node.Config) {
		quick(cfg)
		cfg.Development = true
		cfg.Serves = append(cfg.Serves, "guest")
		cfg.Redis.Plain = false
	}})
	doors := 0
	for _, role := range node.Roles {
		for _, from := range []struct {
			institution, name string
			covers            []string
		}{
			{"member-1", "n2", []string{"own", "served", "all", "recorded"}},
			{"guest", "n3", []string{"served", "all"}},
			{"hub", "n1", []string{"all", "recorded"}},
		} {
			c := n.caller("n2", role, from.institution, from.name)
			for _, row := range node.Permissions() {
				c.expects(n.ctx, row.Door, slices.Contains(from.covers, row.Extent(role).String()))
				doors++
			}
		}
	}
	t.Logf("%d times a door was tried", doors)
}

func (c *caller) expects(ctx context.Context, door string, allowed bool) {
	says := fmt.Sprintf("role %q of %s may not use %s", c.role, c.institution, door)
	switch {
	case door == "raft", door == "the Redis door" && c.role == node.RoleNode:
		says = "bad certificate" // all that TLS tells the other side
	case strings.HasPrefix(door, "raw ") && c.role == node.RoleNode:
		allowed = false // only the node itself, and not as a caller
		fallthrough
	case strings.HasPrefix(door, "raw ") && c.role == node.RoleOperator:
		says = "may not use /risknet.v1.Checks/Check" // which comes before it
	}
	err := c.tries(ctx, door)
	if allowed && err != nil {
		c.t.Errorf("%s of %s is refused at %s: %v", c.role, c.institution, door, err)
	}
	if !allowed && (err == nil || !strings.Contains(err.Error(), says)) {
		c.t.Errorf("%s of %s at %s: %v; want %q", c.role, c.institution, door, err, says)
	}
}
