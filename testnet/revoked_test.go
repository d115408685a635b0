package testnet

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// revokes has the hub end certificates, with one of its keys.
func (n *network) revokes(certs ...*x509.Certificate) {
	n.t.Helper()
	hub := n.author(hubName)
	hub.Keys = hub.Keys[:1]
	for _, cert := range certs {
		receipt, err := hub.Do(n.ctx, &risk.RevokeCertificate{Fingerprint: risk.Hash(node.FingerprintOf(cert)), Reason: "a test"}, nil, nil)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, name := range n.names() {
			if err := n.Node(name).AwaitSize(n.ctx, receipt.Leaf+1); err != nil {
				n.t.Fatal(err)
			}
		}
	}
}

func (c *caller) certificate() *x509.Certificate { return c.config.Certificates[0].Leaf }

// What a revoked certificate has open ends at every node, with the streams on it,
// and no port lets it in again; others of the same institution stay.
func TestARevokedCertificateIsRefusedEverywhereAndCutOff(t *testing.T) {
	n := start(t, 2, 2)
	var streams []apiv1.Checks_CheckStreamClient
	var stolen []*caller
	for _, at := range []string{"n1", "n2"} {
		for _, role := range []string{node.RoleMember, node.RoleNode} {
			stolen = append(stolen, n.caller(at, role, "member-1", "n2"))
		}
	}
	stays := n.caller("n2", node.RoleMember, "member-1", "teller")
	for _, c := range append(stolen, stays) {
		if c.role != node.RoleMember {
			continue
		}
		stream, err := apiv1.NewChecksClient(c.conn).CheckStream(n.ctx)
		if err == nil {
			err = stream.Send(&apiv1.CheckBatchRequest{})
		}
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
	}
	var certs []*x509.Certificate
	for _, c := range stolen {
		if err := c.get("/livez"); err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c.certificate())
	}
	n.revokes(certs...)
	for i, stream := range streams[:len(streams)-1] {
		if _, err := stream.Recv(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("stream %d of a revoked certificate goes on: %v", i, err)
		}
	}
	for _, c := range stolen {
		doors := []string{"/risknet.v1.Registry/Network", "GET /livez"}
		if c.role == node.RoleNode {
			doors = append(doors, "raft", "/risknet.v1.Peers/ReadIndex")
		}
		for _, door := range doors {
			if err := c.tries(n.ctx, door); err == nil {
				t.Errorf("a revoked certificate of role %s is let in at %s of %s", c.role, door, c.at.Name)
			}
		}
	}
	goesOn(t, streams[len(streams)-1])
	if err := n.Kill("n2"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.Start("n2"), n.AwaitReady(n.ctx, "n2")); err != nil {
		t.Fatal(err)
	}
	again := n.caller("n2", node.RoleMember, "member-1", "teller")
	if err := again.get("/livez"); err != nil {
		t.Errorf("after a restart another certificate is refused: %v", err)
	}
	if err := stolen[len(stolen)-1].get("/livez"); err == nil {
		t.Error("after a restart a revoked certificate is let in")
	}
}

// goesOn fails where a stream has ended.
func goesOn(t *testing.T, last apiv1.Checks_CheckStreamClient) {
	t.Helper()
	err := last.Send(&apiv1.CheckBatchRequest{})
	if err == nil {
		_, err = last.Recv()
	}
	if err != nil {
		t.Errorf("another certificate of the institution was cut off too: %v", err)
	}
}

// A node whose certificate is revoked is out of everything, raft as well, until it
// has another, and then comes back without a restart.
func TestANodeWithARevokedCertificateIsOutUntilItHasAnother(t *testing.T) {
	n := start(t, 3, 3)
	planned, err := n.planned("n3")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(planned.Dir, "tls.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := readPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	hub := n.author(hubName)
	n.eventually("n1 leads", func() bool { return n.Leader() == "n1" || n.Leader() == "n2" })
	if _, err := hub.Do(n.ctx, &risk.RevokeCertificate{Fingerprint: risk.Hash(node.FingerprintOf(cert)), Reason: "stolen"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	n.eventually("n3 is down to the others", func() bool { return n.roleOf("n3") == "down" })
	result := n.reports("member-1", "n2", risk.KindIP, "203.0.113.7")
	if result.Accepted != 1 {
		t.Errorf("the others go on: %+v", result)
	}
	if size := n.Node("n3").Head().Size; size >= n.Node("n1").Head().Size {
		t.Errorf("n3 still hears what is new: %d leaves", size)
	}
	certPEM, keyPEM, err := n.authority().Issue(node.Identity{Network: n.Plan.Network, Institution: planned.Institution, Role: node.RoleNode, Name: "n3"},
		[]string{"127.0.0.1", "localhost"}, time.Now())
	err = errors.Join(err, os.WriteFile(filepath.Join(planned.Dir, "tls.key"), keyPEM, 0o600), os.WriteFile(filepath.Join(planned.Dir, "tls.pem"), certPEM, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Node("n3").AwaitSize(n.ctx, n.Node("n1").Head().Size); err != nil {
		t.Fatal(err)
	}
	n.eventually("n3 has its vote", func() bool { return n.roleOf("n3") == "voter" || n.roleOf("n3") == "leader" })
}

// roleOf is what n1 says of a node.
func (n *network) roleOf(name string) string {
	rows, err := n.client(hubName, "n1").Status(n.ctx)
	if err != nil {
		return ""
	}
	for _, row := range rows {
		if row.Name == name {
			return row.Role
		}
	}
	return ""
}

func readPEM(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
