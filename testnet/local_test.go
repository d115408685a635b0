package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules/industry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick makes elections short, and the patience with them; the code is the same.
func quick(cfg *node.Config) {
	cfg.Limits.SubmitWait = 4 * time.Second
	cfg.Raft.Heartbeat, cfg.Raft.Election, cfg.Raft.Lease = 300*time.Millisecond, 300*time.Millisecond, 150*time.Millisecond
}

// network is a running network and the test that uses it.
type network struct {
	*Local
	t   *testing.T
	ctx context.Context
}

// start gives a network that runs beside that of another test: most of their time is
// elections and syncs, in which no processor is busy.
func start(t *testing.T, nodes, voters int) *network {
	t.Helper()
	t.Parallel()
	return startAlone(t, nodes, voters)
}

// startAlone is for who looks at what belongs to the whole process.
func startAlone(t *testing.T, nodes, voters int) *network {
	t.Helper()
	return startTuned(t, Options{Nodes: nodes, Voters: voters, Tune: quick})
}

func startTuned(t *testing.T, o Options) *network {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	o.Dir, o.Rules, o.Now = t.TempDir(), industry.Source, time.Now()
	l, err := NewLocal(ctx, o, log)
	t.Cleanup(func() {
		defer cancel()
		if l != nil {
			if err := l.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return &network{Local: l, t: t, ctx: ctx}
}

func (n *network) client(profile, at string) *client.Client {
	n.t.Helper()
	c, err := n.Client(profile, at)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Close)
	return c
}

// reports has an institution list identifiers, through a node of its choice.
func (n *network) reports(profile, at string, kind risk.Kind, values ...string) client.ImportResult {
	n.t.Helper()
	result, err := n.tryReport(profile, at, kind, values...)
	if err != nil {
		n.t.Fatalf("%s reports through %s: %v", profile, at, err)
	}
	return result
}

func (n *network) tryReport(profile, at string, kind risk.Kind, values ...string) (client.ImportResult, error) {
	c := n.client(profile, at)
	author, err := client.NewAuthor(n.ctx, c)
	if err != nil {
		return client.ImportResult{}, err
	}
	keys, err := c.Keyring(n.ctx)
	if err != nil {
		return client.ImportResult{}, err
	}
	template := client.NewReport(kind, time.Now())
	rows, err := template.OpenRows(strings.NewReader(strings.Join(values, "\n")), time.Time{},
		client.RowOptions{Format: client.FormatValues, Identity: kind.String()})
	if err != nil {
		return client.ImportResult{}, err
	}
	importer := &client.Importer{Template: template, Keys: keys, To: author,
		Reject: func(r client.Reject) error { return errors.New(r.Reason) }}
	return importer.Run(n.ctx, rows)
}

// check asks one node about one identifier, at a size it must have reached.
func (n *network) check(at string, field, value string, size uint64) *apiv1.CheckResponse {
	n.t.Helper()
	q := &client.Question{MinSize: size}
	if err := q.Set(field, value); err != nil {
		n.t.Fatal(err)
	}
	answer, err := n.client(n.institution(at), at).Check(n.ctx, q)
	if err != nil {
		n.t.Fatalf("check %s at %s: %v", value, at, err)
	}
	return answer
}

// institution names who runs a node.
func (n *network) institution(name string) string {
	planned, err := n.planned(name)
	if err != nil {
		n.t.Fatal(err)
	}
	return planned.Institution
}

func (n *network) names() []string {
	var names []string
	for _, planned := range n.Plan.Nodes {
		if n.Node(planned.Name) != nil {
			names = append(names, planned.Name)
		}
	}
	return names
}

// agree waits until all running nodes are at one size and compares their roots.
func (n *network) agree() {
	n.t.Helper()
	size := uint64(0)
	for _, name := range n.names() {
		size = max(size, n.Node(name).Head().Size)
	}
	var heads []risk.Head
	for _, name := range n.names() {
		if err := n.Node(name).AwaitSize(n.ctx, size); err != nil {
			n.t.Fatalf("%s does not reach size %d: %v", name, size, err)
		}
		heads = append(heads, n.Node(name).Head())
	}
	if len(slices.Compact(heads)) != 1 {
		n.t.Fatalf("the roots differ: %v", heads)
	}
}

func values(from, count int) []string {
	var list []string
	for i := from; i < from+count; i++ {
		list = append(list, fmt.Sprintf("198.%d.%d.%d", 18+i>>16, i>>8&255, i&255))
	}
	return list
}

func TestWhatOneInstitutionListsEveryNodeAnswers(t *testing.T) {
	n := start(t, 5, 3)
	result := n.reports("member-1", "n2", risk.KindIP, values(0, 1500)...)
	if result.Accepted != 1500 || result.Rejected != 0 {
		t.Fatalf("result %+v", result)
	}
	for _, name := range n.names() {
		if a := n.check(name, "ip", "198.18.2.7", result.Size); !a.Listed || a.Advice != "step_up" || len(a.Reasons) == 0 {
			t.Errorf("%s: a listed address is answered %v", name, a)
		}
		if a := n.check(name, "ip", "203.0.113.9", result.Size); a.Listed || a.Advice != "allow" {
			t.Errorf("%s: a clean address is answered %v", name, a)
		}
	}
	again := n.reports("member-1", "n5", risk.KindIP, values(0, 1500)...)
	if again.Accepted != 0 || again.Unchanged != 1500 {
		t.Errorf("the same list again: %+v", again)
	}
	n.agree()
}

func TestAcknowledgedListingsSurviveTheLeader(t *testing.T) {
	n := start(t, 3, 3)
	first := n.reports("member-1", "n2", risk.KindIP, values(0, 600)...)
	leader := n.Leader()
	if leader == "" {
		t.Fatal("nobody leads")
	}
	if err := n.Kill(leader); err != nil {
		t.Fatal(err)
	}
	for _, name := range n.names() {
		if a := n.check(name, "ip", "198.18.1.1", first.Size); !a.Listed {
			t.Errorf("%s forgot a listing when %s died", name, leader)
		}
	}
	survivor := n.names()[0]
	second := n.reports(n.institution(survivor), survivor, risk.KindIP, values(600, 600)...)
	if second.Accepted != 600 {
		t.Fatalf("after the leader died: %+v", second)
	}
	if err := n.Start(leader); err != nil {
		t.Fatal(err)
	}
	if err := n.AwaitReady(n.ctx, leader); err != nil {
		t.Fatal(err)
	}
	if a := n.check(leader, "ip", "198.18.3.3", second.Size); !a.Listed {
		t.Errorf("%s came back without what was listed meanwhile: %v", leader, a)
	}
	n.agree()
}

// The caller does not see an election: the one call that it made is answered.
func TestAWriteWaitsForTheNextLeader(t *testing.T) {
	n := start(t, 3, 3)
	items, bodies := publication(time.Now().Add(time.Hour), "")
	signed, err := n.author("member-1").Sign(&risk.Listings{}, items, bodies)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Kill(n.Leader()); err != nil {
		t.Fatal(err)
	}
	receipt, err := n.submit(hubName, n.names()[0], signed.Encode())
	if err != nil || receipt.Result != risk.Accepted.String() || !receipt.Visible {
		t.Errorf("a write right after the leader died: %v, %v", receipt, err)
	}
}

func TestPrefixesAndParentsAreAskedWhenTheyAreListed(t *testing.T) {
	n := start(t, 1, 1)
	if a := n.check("n1", "ip", "203.0.113.77", 0); a.Listed {
		t.Fatalf("nothing is listed yet: %v", a)
	}
	r := n.reports("hub", "n1", risk.KindIP, "203.0.113.0/24")
	if a := n.check("n1", "ip", "203.0.113.77", r.Size); !a.Listed {
		t.Errorf("an address in a listed prefix is answered %v", a)
	}
	r = n.reports("hub", "n1", risk.KindDomain, "fraud.example")
	for field, value := range map[string]string{"domain": "pay.fraud.example", "email": "a@pay.fraud.example", "url": "https://pay.fraud.example/x"} {
		if a := n.check("n1", field, value, r.Size); !a.Listed {
			t.Errorf("%s %s under a listed domain is answered %v", field, value, a)
		}
	}
}

func TestARuleSetComesIntoForceEverywhereAndGoesBack(t *testing.T) {
	n := start(t, 3, 3)
	c := n.client(hubName, "n1")
	author, err := client.NewAuthor(n.ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	version, err := c.PublishRules(n.ctx, author, append(slices.Clone(industry.Source), demoRule...))
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := client.ActivateRules(n.ctx, author, version)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range n.names() {
		if a := n.check(name, "ip", "203.0.113.9", receipt.Leaf+1); a.RulesVersion != version {
			t.Errorf("%s answers by rule set %d, not %d", name, a.RulesVersion, version)
		}
	}
	if _, err := c.RollbackRules(n.ctx, author); err != nil {
		t.Fatal(err)
	}
	n.agree()
	if a := n.check("n3", "ip", "203.0.113.9", 0); a.RulesVersion != 1 {
		t.Errorf("after the rollback rule set %d decides, not 1", a.RulesVersion)
	}
}

// A node that missed what the log has dropped gets an image, and checks go on
// everywhere meanwhile.
func TestANodeThatFellBehindGetsAnImage(t *testing.T) {
	t.Parallel()
	n := startTuned(t, Options{Nodes: 3, Voters: 3, Tune: func(cfg *node.Config) {
		quick(cfg)
		cfg.Raft.TrailingLogs, cfg.Raft.SnapshotThreshold, cfg.Raft.SnapshotInterval = 4, 8, 100*time.Millisecond
	}})
	n.reports("member-1", "n2", risk.KindIP, values(0, 100)...)
	_, known := n.Node("n3").Log()
	if err := n.Kill("n3"); err != nil {
		t.Fatal(err)
	}
	dropped := func(name string) bool {
		first, _ := n.Node(name).Log()
		return first > known+1
	}
	var last client.ImportResult
	for i := 0; i < 40 || !dropped("n1") || !dropped("n2"); i++ {
		last = n.reports("member-1", "n2", risk.KindIP, values(1000+10*i, 10)...)
	}
	if err := n.Start("n3"); err != nil {
		t.Fatal(err)
	}
	if err := n.AwaitReady(n.ctx, "n3"); err != nil {
		t.Fatal(err)
	}
	for value, listed := range map[string]bool{"198.18.0.7": true, "198.18.5.100": true, "203.0.113.9": false} {
		if a := n.check("n3", "ip", value, last.Size); a.Listed != listed {
			t.Errorf("%s is answered %v at n3", value, a)
		}
	}
	if images := n.Node("n3").ImagesReceived(); images == 0 {
		t.Error("n3 got no image, so the test shows nothing")
	}
	n.agree()
	n.hasWholeLedger("n3")
}

// hasWholeLedger waits until a node has fetched what was before its image, and
// compares it with what the first node holds.
func (n *network) hasWholeLedger(name string) {
	n.t.Helper()
	n.must(n.Node(name).AwaitLedger(n.ctx))
	for i := range n.Node(name).Head().Size {
		want, err := n.Node("n1").Leaf(i)
		n.must(err)
		if got, err := n.Node(name).Leaf(i); err != nil || !bytes.Equal(got, want) {
			n.t.Fatalf("%s: leaf %d is not the first node's: %v", name, i, err)
		}
	}
}

// A node without the key of an epoch in use would miss what is listed under it.
// So an epoch opens only where the key is, and a node that lost it does not start.
func TestAnEpochOpensOnlyWhereItsKeyIs(t *testing.T) {
	n := start(t, 1, 1)
	c := n.client(hubName, "n1")
	author, err := client.NewAuthor(n.ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	before := n.Node("n1").Head()
	if _, err := author.Do(n.ctx, &risk.OpenEpoch{Epoch: 2, Commitment: risk.Hash{2}}, nil, nil); err == nil || !strings.Contains(err.Error(), "does not hold the key of epoch 2") {
		t.Errorf("opened without the key: %v", err)
	}
	if head := n.Node("n1").Head(); head != before {
		t.Errorf("the refused command left %v, before it was %v", head, before)
	}
	old := n.reports("hub", "n1", risk.KindPhone, "+8613800138000")

	second := node.TokenKey{Epoch: 2, Secret: [32]byte{2}}
	n.restartWithKeys(func(keys []node.TokenKey) []node.TokenKey { return append(keys, second) })
	author, err = client.NewAuthor(n.ctx, n.client(hubName, "n1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := author.Do(n.ctx, &risk.OpenEpoch{Epoch: 2, Commitment: risk.CommitEpochKey(second.Secret)}, nil, nil); err != nil {
		t.Fatal(err)
	}
	fresh := n.reports("hub", "n1", risk.KindPhone, "+8613800138001")
	for value, size := range map[string]uint64{"+8613800138000": old.Size, "+8613800138001": fresh.Size} {
		if a := n.check("n1", "phone", value, size); !a.Listed {
			t.Errorf("%s, listed under one of two epochs, is answered %v", value, a)
		}
	}
	if err := n.tryRestartWithKeys(func(keys []node.TokenKey) []node.TokenKey { return keys[:1] }); err == nil || !strings.Contains(err.Error(), "the key of epoch 2 is missing") {
		t.Errorf("started without a key that is in use: %v", err)
	}
}

func (n *network) restartWithKeys(change func([]node.TokenKey) []node.TokenKey) {
	n.t.Helper()
	if err := n.tryRestartWithKeys(change); err != nil {
		n.t.Fatal(err)
	}
	if err := n.AwaitReady(n.ctx, "n1"); err != nil {
		n.t.Fatal(err)
	}
}

// tryRestartWithKeys stops n1, changes its token keys and starts it.
func (n *network) tryRestartWithKeys(change func([]node.TokenKey) []node.TokenKey) error {
	n.t.Helper()
	if err := n.Stop(); err != nil {
		n.t.Fatal(err)
	}
	file := filepath.Join(n.Plan.Nodes[0].Dir, "token.keys")
	keys, err := node.LoadTokenKeys(file)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(file, node.FormatTokenKeys(change(keys)), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return n.Start("n1")
}

// Who was told that its listing is visible reads it at once, on the node that
// told it, whichever that is.
func TestAReceiptIsVisibleWhereItWasGiven(t *testing.T) {
	t.Parallel()
	n := startTuned(t, Options{Nodes: 3, Voters: 3, Tune: func(c *node.Config) {
		quick(c)
		c.Raft.CommitTimeout = 200 * time.Millisecond // so long a follower does not hear that something is committed
	}})
	for i := range 3 {
		for _, name := range n.names() {
			value := values(100*i, 1)[0]
			last := n.reports(n.institution(name), name, risk.KindIP, value)
			if size := n.Node(name).Head().Size; size < last.Size {
				t.Errorf("%s: the receipt is there at leaf %d, and the view ends at %d", name, last.Size-1, size)
			}
			if a := n.check(name, "ip", value, 0); !a.Listed {
				t.Fatalf("%s: its own listing %d is answered %v", name, i, a)
			}
		}
	}
}
