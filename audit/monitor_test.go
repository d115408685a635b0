package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/testnet"
)

// monitor watches for member-1, through its own node.
func (w *world) monitor(nodes Nodes) *Monitor {
	w.t.Helper()
	profile, err := client.LoadProfile(w.net.Plan.Profiles["member-1"])
	w.must(err)
	reporter, err := risk.ParseID(profile.Reporter)
	w.must(err)
	if nodes == nil {
		nodes = Network{TLS: w.tls}
	}
	m := &Monitor{Log: w.log(), Network: w.id, Dir: w.t.TempDir(), Nodes: nodes, Reporter: reporter,
		Outbox: func() (map[risk.Hash]*client.Sent, error) {
			file, err := os.Open(profile.Outbox)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			return client.ReadOutbox(file)
		}}
	w.t.Cleanup(func() { w.must(m.Close()) })
	return m
}

func (w *world) poll(m *Monitor) []Alarm {
	w.t.Helper()
	alarms, err := m.Poll(w.ctx)
	w.must(err)
	return alarms
}

// isShown holds an alarm's evidence to what a third party sees of it.
func (w *world) isShown(alarms []Alarm, kind EvidenceKind, accused ...string) {
	w.t.Helper()
	for _, a := range alarms {
		if len(a.Evidence) == 0 {
			continue
		}
		finding, err := VerifyEvidence(a.Evidence, w.id, a.Leaf)
		if err != nil || finding.Kind != kind {
			continue
		}
		if !slices.Equal(finding.Accused, accused) {
			w.t.Errorf("accused are %v, not %v: %s", finding.Accused, accused, finding.Text)
		}
		other := w.id
		other[3]++
		renamed := bytes.ReplaceAll(a.Evidence, []byte(w.id.String()), []byte(other.String()))
		for _, evidence := range [][]byte{a.Evidence, renamed} {
			if _, err := VerifyEvidence(evidence, other, a.Leaf); err == nil {
				w.t.Error("it holds in another network too")
			}
		}
		w.cannotBeBent(a, finding)
		return
	}
	w.t.Errorf("no evidence of %s among %v", kind, alarms)
}

// cannotBeBent: a changed byte leaves the evidence as it is, or worthless.
func (w *world) cannotBeBent(a Alarm, want *Finding) {
	w.t.Helper()
	for i := 0; i < len(a.Evidence); i += 3 {
		bent := bytes.Clone(a.Evidence)
		bent[i] ^= 1
		got, err := VerifyEvidence(bent, w.id, a.Leaf)
		sameWords := got != nil && (got.Text == want.Text || want.Kind == Backdated) // another cosigner may be left
		if err == nil && (!sameWords || !slices.Equal(got.Accused, want.Accused)) {
			w.t.Fatalf("with byte %d changed it shows something else: %+v", i, got)
		}
	}
}

func TestMonitor(t *testing.T) {
	w := newWorld(t, 3, 1_000)
	t.Run("an honest network", w.honest)
	t.Run("a promise that is dropped", w.droppedPromise)
	t.Run("a node that shows two histories", w.twoHistories)
	t.Run("two nodes with two histories", w.twoNodes)
	t.Run("somebody in our name", w.inOurName)
}

func (w *world) honest(t *testing.T) {
	m := w.monitor(nil)
	if alarms := w.poll(m); len(alarms) > 0 {
		t.Errorf("the first look: %v", alarms)
	}
	w.list("member-1", 600, 1<<20)
	w.settle()
	if alarms := w.poll(m); len(alarms) > 0 {
		t.Errorf("after a report: %v", alarms)
	}
	sent, err := m.Outbox()
	w.must(err)
	promised := 0
	for _, one := range sent {
		promised += len(one.Promises)
	}
	if len(sent) < 3 || promised < len(sent) {
		t.Errorf("of %d commands %d were promised", len(sent), promised)
	}
}

// droppedPromise: the leader gave its word and did nothing.
func (w *world) droppedPromise(t *testing.T) {
	leader := slices.IndexFunc(w.net.Plan.Nodes, func(n testnet.PlannedNode) bool { return n.Name == w.net.Leader() })
	key, err := nodeKey(w.net.Plan.Nodes[leader].Dir)
	w.must(err)
	log := w.log()
	signer, err := ledger.NewSigner(log.origin, key)
	w.must(err)
	now := time.Now()
	id := ledger.Hash{7}
	promise := ledger.Promise{Origin: log.origin, Command: id, At: now.Add(-time.Minute).UnixMilli(),
		By: now.Add(-30 * time.Second).UnixMilli(), NotAfter: now.Add(time.Hour).UnixMilli()}
	note, err := ledger.SignPromise(promise, signer)
	w.must(err)
	m := w.monitor(nil)
	m.Outbox = outboxWith(m.Outbox, id, string(note))
	alarms := w.poll(m)
	w.isShown(alarms, BrokenPromise, w.net.Plan.Nodes[leader].Name)
	if again := w.poll(m); len(again) > 0 {
		t.Errorf("it is said again: %v", again)
	}

	// What was denied was this promise. With another that the leader made of the same
	// command, and may have kept, it shows nothing.
	at := slices.IndexFunc(alarms, func(a Alarm) bool { return len(a.Evidence) > 0 })
	var other Evidence
	w.must(json.Unmarshal(alarms[at].Evidence, &other))
	kept := promise
	kept.NotAfter++
	swapped, err := ledger.SignPromise(kept, signer)
	w.must(err)
	other.Promise = string(swapped)
	data, err := other.Encode()
	w.must(err)
	if finding, err := VerifyEvidence(data, w.id, nil); err == nil {
		t.Errorf("denials of one promise accuse of another: %s", finding.Text)
	}

	// An accused that talks nonsense spoils nothing: two other institutions say it too.
	muddled := w.monitor(muddle{Network{TLS: w.tls}, w.net.Plan.Nodes[leader].Name})
	muddled.Outbox = outboxWith(muddled.Outbox, id, string(note))
	w.isShown(w.poll(muddled), BrokenPromise, w.net.Plan.Nodes[leader].Name)

	// Not one moment too soon: before its time a promise is not broken.
	early := w.monitor(nil)
	promise.By = time.Now().Add(time.Minute).UnixMilli()
	note, err = ledger.SignPromise(promise, signer)
	w.must(err)
	early.Outbox = outboxWith(early.Outbox, id, string(note))
	if alarms := w.poll(early); len(alarms) > 0 {
		t.Errorf("before its time: %v", alarms)
	}
}

func outboxWith(read func() (map[risk.Hash]*client.Sent, error), id ledger.Hash, promise string) func() (map[risk.Hash]*client.Sent, error) {
	return func() (map[risk.Hash]*client.Sent, error) {
		sent, err := read()
		if err == nil {
			sent[risk.Hash(id)] = &client.Sent{Promises: []string{promise}}
		}
		return sent, err
	}
}

// muddle has one node answer nonsense about a promise.
type muddle struct {
	Network
	node string
}

func (o muddle) Absent(ctx context.Context, n *risk.PutNode, promise string) (string, error) {
	if n.Name == o.node {
		return strings.Repeat("nonsense ", 2000), nil
	}
	return o.Network.Absent(ctx, n, promise)
}

// otherLedger shows the history of one node otherwise than it is.
type otherLedger struct {
	Network
	node string
	log  *Log
}

func (o otherLedger) Ledger(n *risk.PutNode, key ledger.Verifier) *Log {
	if n.Name == o.node {
		return o.log
	}
	return o.Network.Ledger(n, key)
}

// forked is the ledger with another leaf at some index.
func (w *world) forked(index int) [][]byte {
	w.t.Helper()
	leaves := w.leaves()
	leaf, err := risk.DecodeLeaf(leaves[index])
	w.must(err)
	leaf.State[0]++
	leaves[index] = leaf.Encode()
	return leaves
}

func (w *world) twoHistories(t *testing.T) {
	for name, cut := range map[string]int{"of one size": 0, "of two sizes": 2} {
		t.Run(name, func(t *testing.T) {
			m := w.monitor(nil)
			if alarms := w.poll(m); len(alarms) > 0 {
				t.Fatalf("before: %v", alarms)
			}
			leaves := w.forked(5)
			m.Log = w.forge(0, leaves[:len(leaves)-cut])
			m.replica.log = m.Log
			alarms, _ := m.Poll(w.ctx)
			w.isShown(alarms, map[int]EvidenceKind{0: TwoRoots, 2: TwoHistories}[cut], "n1")
		})
	}
}

func (w *world) twoNodes(t *testing.T) {
	for name, cut := range map[string]int{"of one size": 0, "of two sizes": 2} {
		t.Run(name, func(t *testing.T) {
			leaves := w.forked(5)
			m := w.monitor(otherLedger{Network{TLS: w.tls}, "n2", w.forge(1, leaves[:len(leaves)-cut])})
			w.isShown(w.poll(m), map[int]EvidenceKind{0: TwoRoots, 2: TwoHistories}[cut], "n1", "n2")
		})
	}
}

func (w *world) inOurName(t *testing.T) {
	m := w.monitor(nil)
	own := m.Outbox
	before, err := own()
	w.must(err)
	m.Outbox = func() (map[risk.Hash]*client.Sent, error) { return before, nil }
	w.list("member-1", 1, 3<<20) // with the key, past the outbox that we know
	w.settle()
	alarms := w.poll(m)
	if len(alarms) != 1 || !strings.Contains(alarms[0].Text, "in our name") {
		t.Errorf("alarms are %v", alarms)
	}
}

// A leader whose clock is far behind the others' stamps leaves that came after a
// checkpoint which the others had cosigned at their time.
func TestMonitorSeesBackdating(t *testing.T) {
	w := newWorldIn(t, 3, 100, func(name string) node.Environment {
		if name == "n1" {
			return node.Environment{} // the founder leads, ten minutes behind
		}
		return node.Environment{Now: func() time.Time { return time.Now().Add(10 * time.Minute) }}
	})
	if w.net.Leader() != "n1" {
		t.Fatalf("%s leads; the founder should", w.net.Leader())
	}
	m := w.monitor(nil)
	m.Outbox = nil
	w.poll(m)
	w.await("a cosignature by the others", func() bool {
		w.poll(m)
		return m.stamps.note != nil
	})
	w.list("member-1", 1, 5<<20)
	w.settle()
	w.isShown(w.poll(m), Backdated, "n1")
}

// One other's clock that is ahead makes nobody look as if it stamped too early.
func TestOneClockAheadAccusesNobody(t *testing.T) {
	w := newWorldIn(t, 3, 100, func(name string) node.Environment {
		if name != "n3" {
			return node.Environment{}
		}
		return node.Environment{Now: func() time.Time { return time.Now().Add(10 * time.Minute) }}
	})
	m := w.monitor(nil)
	m.Outbox = nil
	w.await("cosignatures by two", func() bool {
		w.poll(m)
		return m.stamps.note != nil
	})
	w.list("member-1", 1, 5<<20)
	w.settle()
	if alarms := w.poll(m); len(alarms) > 0 {
		t.Errorf("alarms are %v", alarms)
	}
}
