package testnet

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/enrol"
	"github.com/risknet/risknet/risk"
)

// adds lets one more node in.
func (n *network) adds(voter bool) *Added {
	n.t.Helper()
	added, err := n.Add(n.ctx, voter)
	if err != nil {
		n.t.Fatal(err)
	}
	return added
}

// row is what cluster status says of a node; nil if it does not know it once.
func (n *network) row(name string) *apiv1.StatusRow {
	n.t.Helper()
	rows, err := n.client("hub", "").Status(n.ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	rows = slices.DeleteFunc(rows, func(r *apiv1.StatusRow) bool { return r.Name != name })
	if len(rows) != 1 {
		return nil
	}
	return rows[0]
}

// hub registers nodes as `node invite` does.
func (n *network) hub(profile string) *enrol.Hub {
	n.t.Helper()
	hub, err := enrol.NewHub(n.ctx, n.client(profile, ""))
	if err != nil {
		n.t.Fatal(err)
	}
	return hub
}

func newcomer(name string) (enrol.Terms, enrol.Request) {
	return enrol.Terms{Name: name, Institution: "member-3", Suffrage: risk.NonVoter},
		enrol.Request{Raft: "127.0.0.1:1", API: "127.0.0.1:2", HTTP: "127.0.0.1:3", LogKey: risk.PublicKey{Algorithm: risk.Ed25519}}
}

func TestANodeJoinsARunningNetworkAndHoldsAllOfIt(t *testing.T) {
	net := start(t, 3, 3)
	before := net.reports("member-1", "", risk.KindIP, "203.0.113.7")
	added := net.adds(false)
	if row := net.row("n4"); row == nil || row.Role != "follower" || row.Institution != "member-3" {
		t.Fatalf("cluster status: %+v", row)
	}
	if err := net.Node("n4").AwaitSize(net.ctx, before.Size); err != nil {
		t.Fatal(err)
	}
	own := net.client("member-3", "")
	if own.Endpoint() != added.Node.API {
		t.Errorf("the profile asks %s, the node listens at %s", own.Endpoint(), added.Node.API)
	}
	found, err := own.Listings(net.ctx, risk.KindIP, "203.0.113.7", before.Size)
	if err != nil || len(found) != 1 {
		t.Fatalf("its own node knows %v (%v)", found, err)
	}
	report := net.reports("member-3", "n4", risk.KindIP, "203.0.113.8")
	found, err = net.client("member-1", "").Listings(net.ctx, risk.KindIP, "203.0.113.8", report.Size)
	if err != nil || len(found) != 1 {
		t.Errorf("what it reported is known elsewhere as %v (%v)", found, err)
	}
	if voter := net.adds(true); voter.Node.Name != "n5" || voter.Node.Institution != "member-4" {
		t.Errorf("the next is %+v", voter.Node)
	}
	if err := awaitVoters(net.ctx, net.client("hub", ""), 4); err != nil {
		t.Error(err)
	}
}

// A join can break off after the record was written: the network then has a node
// that does not exist.
func TestAnAddAfterOneThatBrokeOffTakesItsPlace(t *testing.T) {
	net := start(t, 1, 1)
	terms, request := newcomer("n2")
	terms.Institution = "member-1"
	first, err := net.hub("hub").Register(net.ctx, terms, request)
	if err != nil {
		t.Fatal(err)
	}
	added := net.adds(false)
	row := net.row("n2")
	if row == nil || row.Role != "follower" || added.Node.ID == first.Node {
		t.Errorf("cluster status: %+v; the id was %s and is %s", row, first.Node, added.Node.ID)
	}
	own := net.client("member-1", "") // was there before, served by n1
	if own.Endpoint() != added.Node.API {
		t.Errorf("the profile asks %s, the node listens at %s", own.Endpoint(), added.Node.API)
	}
}

func TestAnAddLeavesANodeAloneThatCameInByHand(t *testing.T) {
	net := start(t, 1, 1)
	terms, request := newcomer("n2")
	terms.Institution = "acme-pay"
	if _, err := net.hub("hub").Register(net.ctx, terms, request); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"n3", "n4"} {
		if added := net.adds(false); added.Node.Name != want {
			t.Errorf("added %s, want %s", added.Node.Name, want)
		}
	}
	if row := net.row("n2"); row == nil || row.Institution != "acme-pay" {
		t.Errorf("n2 is %+v", row)
	}
}

// Nobody's record goes while its node is up, whoever's it is.
func TestAnAddLeavesANodeAloneThatIsUp(t *testing.T) {
	net := start(t, 1, 1)
	byHand := net.adds(false)
	net.Plan.Nodes = net.Plan.Nodes[:1] // as if somebody else had let it in
	if added := net.adds(false); added.Node.Name != "n3" {
		t.Errorf("added %s, want n3", added.Node.Name)
	}
	if row := net.row(byHand.Node.Name); row == nil || row.Role != "follower" {
		t.Errorf("%s is %+v", byHand.Node.Name, row)
	}
}

func TestWhatTheHubDoesNotRegister(t *testing.T) {
	net := start(t, 1, 1)
	known, err := net.client("hub", "").Network(net.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.hub("hub").Check(net.ctx, "n1"); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("a name in use: %v", err)
	}
	if _, err := net.hub("member-1").Check(net.ctx, "n2"); err == nil || !strings.Contains(err.Error(), "only the hub") {
		t.Errorf("a member that invites: %v", err)
	}
	terms, request := newcomer("n2")
	request.HTTP = known.Nodes[0].Raft
	if _, err := net.hub("hub").Register(net.ctx, terms, request); err == nil || !strings.Contains(err.Error(), "is an address of node n1") {
		t.Errorf("an address in use: %v", err)
	}
	// The last voter cannot be replaced: nobody would be left to order anything.
	hub := net.hub("hub")
	hub.Replace = true
	terms, request = newcomer("n1")
	if _, err := hub.Register(net.ctx, terms, request); err == nil || !strings.Contains(err.Error(), "last voter") {
		t.Errorf("the last voter: %v", err)
	}
	if row := net.row("n1"); row == nil || row.Role != "leader" {
		t.Errorf("n1 is %+v", row)
	}
}

func TestABrokenStateFileIsNamedWithItsCure(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut": `{"network":"testn`, "of nothing": "{}", "of another shape": `[1]`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir)
		if err == nil || !strings.Contains(err.Error(), "remove the directory and start again") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
