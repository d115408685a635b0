package testnet

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// ports of a node, by name.
func (p *PlannedNode) ports() map[string]string {
	return map[string]string{"raft": p.Raft, "api": p.API, "http": p.HTTP}
}

// shown is the serial number of the certificate that is shown at an address.
func (c *caller) shown(address string) string {
	c.t.Helper()
	conn, err := tls.Dial("tcp", address, c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// eventually waits until something holds that no channel tells of.
func (n *network) eventually(what string, holds func() bool) {
	n.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			n.t.Fatalf("%s: not in time", what)
		}
	}
}

func TestARunningNodeShowsItsNewCertificateAtAllPorts(t *testing.T) {
	n := start(t, 2, 1)
	c := n.caller("n2", node.RoleNode, "hub", "n1")
	before := map[string]string{}
	for port, address := range c.at.ports() {
		before[port] = c.shown(address)
	}
	cert, key, err := n.authority().Issue(node.Identity{Network: n.Plan.Network, Institution: "member-1", Role: node.RoleNode, Name: "n2"},
		[]string{"127.0.0.1", "localhost"}, time.Now().Add(time.Minute))
	err = errors.Join(err, os.WriteFile(filepath.Join(c.at.Dir, "tls.key"), key, 0o600), os.WriteFile(filepath.Join(c.at.Dir, "tls.pem"), cert, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for port, address := range c.at.ports() {
		n.eventually(port+" shows the new certificate", func() bool { return c.shown(address) != before[port] })
	}
	if err := n.Node("n2").Ready(); err != nil {
		t.Errorf("the node is not ready any more: %v", err)
	}
	rows, err := n.client("hub", "n1").Status(n.ctx)
	if err != nil || len(rows) != 2 || rows[1].CertificateExpiresAtMs <= rows[0].CertificateExpiresAtMs {
		t.Errorf("cluster status: %v, %v; the certificate of n2 ends later than that of n1", rows, err)
	}
}

// Who is of the right CA, and of no role here or of another network, is met at no
// port.
func TestACertificateOfNoRoleOpensNoPort(t *testing.T) {
	n := start(t, 1, 1)
	opens := func(network, role string) {
		c := n.callerAs("n1", node.Identity{Network: network, Institution: "hub", Role: role, Name: "n1"})
		for _, door := range []string{"raft", "/risknet.v1.Registry/Network", "GET /livez"} {
			if err := c.tries(n.ctx, door); err == nil {
				t.Errorf("%s of network %s is let in at %s", role, network, door)
			}
		}
	}
	opens(n.Plan.Network, "inviter")
	opens(n.Plan.Network, "admin")
	opens("elsewhere", node.RoleNode)
	opens("elsewhere", node.RoleHub)
}

// A node that was taken out of the network does not go on with it alone, though
// nobody tells it anything else any more.
func TestANodeThatHasLeftDoesNotRecoverTheNetwork(t *testing.T) {
	n := start(t, 3, 1)
	planned, err := n.planned("n3")
	n.must(err)
	cfg, err := node.LoadConfig(planned.Config)
	n.must(err)
	n.must(n.Kill("n3"))
	_, err = n.author(hubName).Do(n.ctx, &risk.RemoveNode{Node: planned.ID}, nil, nil)
	n.must(err)
	n.must(n.Node("n2").AwaitSize(n.ctx, n.Node("n1").Head().Size))
	info, err := node.Recover(n.ctx, cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "it has left") || info.Asked.Refused != 2 {
		t.Errorf("asked %+v, %v", info.Asked, err)
	}
}

func TestANodeHearsAWitnessOfItselfAlone(t *testing.T) {
	n := start(t, 2, 1)
	ask := func(institution, name, about string) error {
		planned, err := n.planned(about)
		if err != nil {
			t.Fatal(err)
		}
		c := n.caller("n1", node.RoleNode, institution, name)
		_, err = apiv1.NewPeersClient(c.conn).Witness(n.ctx, &apiv1.WitnessRequest{Node: planned.ID.String()})
		return err
	}
	if err := ask("member-1", "n2", "n2"); err != nil {
		t.Errorf("n2 asks of n2: %v", err)
	}
	for name, err := range map[string]error{"n2 asks of n1": ask("member-1", "n2", "n1"), "n2 of another institution": ask("hub", "n2", "n2")} {
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A stolen key is ended by one command, of whoever is first: its holder with
// another key, or the hub with one key of its own.
func TestWhatARetiredKeySignsIsRefused(t *testing.T) {
	n := start(t, 2, 1)
	thief := n.author("member-1")
	stolen := publicKey(thief.Keys[0]).ID()
	report := func(a *client.Author) string {
		items, bodies := publication(time.Now().Add(time.Hour), "")
		receipt, err := a.Do(n.ctx, &risk.Listings{}, items, bodies)
		if err != nil {
			return err.Error()
		}
		return receipt.Result
	}
	second := newParty("spare", risk.RoleMember, 2)
	for _, key := range second.publicKeys() {
		if _, err := thief.Do(n.ctx, &risk.AddKey{Reporter: thief.Reporter, Key: key}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	holder := func(i int) *client.Author {
		return &client.Author{Network: thief.Network, Reporter: thief.Reporter, Keys: second.keys[i : i+1], To: thief.To}
	}
	hub := n.author(hubName)
	hub.Keys = hub.Keys[:1]
	for _, c := range []struct {
		by     *client.Author
		stolen *client.Author
		id     risk.ID
	}{{holder(0), thief, stolen}, {hub, holder(0), publicKey(second.keys[0]).ID()}} {
		if got := report(c.stolen); got != risk.Accepted.String() && !strings.Contains(got, "unchanged") {
			t.Fatalf("before: %s", got)
		}
		size := n.Node("n1").Head().Size
		if _, err := c.by.Do(n.ctx, &risk.RetireKey{Reporter: thief.Reporter, Key: c.id}, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := n.Node("n1").Head().Size; got != size+1 {
			t.Errorf("it took %d commands", got-size)
		}
		if got := report(c.stolen); !strings.Contains(got, risk.KeyRetired.String()) {
			t.Errorf("what the key signs afterwards: %s", got)
		}
	}
	if got := report(holder(1)); got != risk.Accepted.String() {
		t.Errorf("the key that is left: %s", got)
	}
}
