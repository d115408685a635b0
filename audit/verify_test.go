package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// sign signs a checkpoint with the key of a node.
func (w *world) sign(by int, c ledger.Checkpoint) []byte {
	w.t.Helper()
	key, err := nodeKey(w.net.Plan.Nodes[by].Dir)
	w.must(err)
	signer, err := ledger.NewSigner(c.Origin, key)
	w.must(err)
	note, err := ledger.SignCheckpoint(c, signer)
	w.must(err)
	return note
}

func TestAuditOfASmallNetwork(t *testing.T) { auditNetwork(t, 3, 3_000) }

// auditNetwork holds an audit to what it promises, on a network of some size.
func auditNetwork(t *testing.T, nodes, listings int) {
	w := newWorld(t, nodes, listings)
	t.Run("what is right passes", w.passes)
	t.Run("proofs", w.proofs)
	t.Run("one changed byte on the way", w.changedOnTheWay)
	t.Run("one changed byte, signed", w.changedAndSigned)
	t.Run("a check as of then", w.then)
	t.Run("one changed record", w.changedRecord)
}

func (w *world) passes(t *testing.T) {
	for _, bodies := range []bool{false, true} {
		replica, report, err := Verify(w.ctx, w.log(), w.options(bodies))
		if err != nil {
			t.Fatalf("bodies %v: %v", bodies, err)
		}
		if report.Size != w.net.Node("n1").Head().Size || report.SignedBy != "n1" || report.Missing != 0 {
			t.Errorf("report is %+v", report)
		}
		if len(report.Cosigners) != len(w.net.Plan.Nodes)-1 {
			t.Errorf("cosigned by %v", report.Cosigners)
		}
		states, err := replica.States(w.ctx, w.tls)
		if err != nil || len(states) != len(w.net.Plan.Nodes) {
			t.Errorf("%d states were read: %v", len(states), err)
		}
		for _, s := range states {
			if s.Err != nil {
				t.Errorf("%s: %v", s.Name, s.Err)
			}
		}
		if err := replica.Close(); err != nil {
			t.Error(err)
		}
	}
	o := w.options(false)
	o.Network[0]++
	if _, _, err := Verify(w.ctx, w.log(), o); err == nil {
		t.Error("the ledger of another network passes")
	}
}

func (w *world) proofs(t *testing.T) {
	log := w.log()
	leaf := uint64(2)
	before, err := log.Checkpoint(w.ctx)
	w.must(err)
	w.list("member-1", 10, 10_000_000)
	w.settle()
	proof, err := Prove(w.ctx, log, &leaf, before.Note)
	w.must(err)
	proven, err := VerifyProof(proof, log.verifier)
	if err != nil || proven.Index != 2 || proven.Since.Size != before.Size || proven.Checkpoint.Size <= before.Size {
		t.Fatalf("proven: %+v, %v", proven, err)
	}
	for i, c := range proof {
		if c == '\n' || c == ' ' {
			continue
		}
		bad := bytes.Clone(proof)
		bad[i] ^= 1
		got, err := VerifyProof(bad, log.verifier)
		if err == nil && (got.Index != 2 || got.Checkpoint != proven.Checkpoint || *got.Since != *proven.Since || !bytes.Equal(got.Leaf.Encode(), proven.Leaf.Encode())) {
			t.Fatalf("with byte %d changed it proves something else: %+v", i, got)
		}
	}
}

// changedOnTheWay: the node is honest and somebody changes a byte of what it sends.
func (w *world) changedOnTheWay(t *testing.T) {
	const bad = 15
	inLeaf := func(change func(leaf []byte)) func(string, []byte) []byte {
		return func(path string, data []byte) []byte {
			if strings.HasPrefix(path, "/tile/entries/000") {
				change(leafAt(t, data, bad))
			}
			return data
		}
	}
	for name, c := range map[string]struct {
		edit func(string, []byte) []byte
		want string
	}{
		"signature": {inLeaf(func(leaf []byte) { leaf[1+4+headerLength(leaf)+1+9]++ }), "leaf 15: "},
		"outcome":   {inLeaf(func(leaf []byte) { leaf[len(leaf)-33]++ }), "leaf 15: "},
		"proposer":  {inLeaf(func(leaf []byte) { leaf[1+4+headerLength(leaf)+1+64+8]++ }), "leaf 15: "},
		"digest":    {inLeaf(func(leaf []byte) { leaf[len(leaf)-1]++ }), "leaf 15: "},
		"hash tile": {func(path string, data []byte) []byte {
			if strings.HasPrefix(path, "/tile/0/000") {
				data[32*bad]++
			}
			return data
		}, "tile/0/000"},
		"checkpoint": {func(path string, data []byte) []byte {
			if path == "/checkpoint" {
				data[40]++
			}
			return data
		}, "open checkpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Verify(w.ctx, w.through(c.edit), w.options(false))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the audit says %v, not %q", err, c.want)
			}
		})
	}
}

func headerLength(leaf []byte) int {
	return int(leaf[1])<<24 | int(leaf[2])<<16 | int(leaf[3])<<8 | int(leaf[4])
}

// changedAndSigned: the node itself forges its history, tree and checkpoint.
func (w *world) changedAndSigned(t *testing.T) {
	for name, c := range map[string]struct {
		change func(leaf *risk.Leaf)
		want   string
	}{
		"signature": {func(l *risk.Leaf) { l.Signatures[0][9]++ }, "signature"},
		"outcome":   {func(l *risk.Leaf) { l.Outcomes[0] = risk.Outcome{Status: risk.Refused, Refusal: risk.BadField} }, "state digest"},
		"refusal":   {func(l *risk.Leaf) { l.Refusal, l.Outcomes = risk.NotPermitted, nil }, "its outcome is"},
		"stamp":     {func(l *risk.Leaf) { l.At++ }, "digest"},
		"digest":    {func(l *risk.Leaf) { l.State[0]++ }, "state digest"},
	} {
		t.Run(name, func(t *testing.T) {
			leaves := w.leaves()
			leaf, err := risk.DecodeLeaf(leaves[15])
			w.must(err)
			c.change(leaf)
			leaves[15] = leaf.Encode()
			_, _, err = Verify(w.ctx, w.forge(0, leaves), w.options(false))
			bad, ok := errors.AsType[*BadLeaf](err)
			if !ok || bad.Leaf != 15 || !strings.Contains(bad.Reason, c.want) {
				t.Errorf("the audit says %v, not %q of leaf 15", err, c.want)
			}
		})
	}
}

// then: the answer of an earlier size is given again later.
func (w *world) then(t *testing.T) {
	log := w.log()
	signed, err := log.Checkpoint(w.ctx)
	w.must(err)
	const subject = "10.77.0.1"
	if advice := w.checkAt(signed.Size, subject); advice != "allow" {
		t.Errorf("before it is listed: %s", advice)
	}
	w.list("member-1", 2, 77<<16)
	w.settle()
	after, err := log.Checkpoint(w.ctx)
	w.must(err)
	if before, now := w.checkAt(signed.Size, subject), w.checkAt(after.Size, subject); before != "allow" || now != "step_up" {
		t.Errorf("as of %d: %s, as of %d: %s", signed.Size, before, after.Size, now)
	}
}

func (w *world) checkAt(size uint64, value string) string {
	w.t.Helper()
	log := w.log()
	signed, err := log.Checkpoint(w.ctx)
	w.must(err)
	replica, _, err := VerifyAt(w.ctx, log, signed, size, w.options(true))
	w.must(err)
	defer replica.Close()
	keys, err := node.LoadTokenKeys(filepath.Join(w.net.Plan.Nodes[0].Dir, "token.keys"))
	w.must(err)
	past, err := replica.Past(w.ctx, keys)
	w.must(err)
	said, err := past.Keyring()
	w.must(err)
	ring, err := client.NewKeyring(said)
	w.must(err)
	lines, err := client.NewRowReader(strings.NewReader(value+"\n"), client.QuestionRows(client.RowOptions{Format: client.FormatValues, Identity: "ip"}))
	w.must(err)
	advice := ""
	checker := &client.Checker{Answer: func(a client.Answer) error {
		advice = a.Error + a.Response.GetAdvice()
		return nil
	}}
	_, err = checker.RunOffline(w.ctx, lines, ring, func(ctx context.Context, req *apiv1.CheckRequest) (*apiv1.CheckResponse, error) {
		return past.Check(ctx, req)
	})
	w.must(err)
	return advice
}

// changedRecord changes one byte of one record in the database of one node, behind
// its back.
func (w *world) changedRecord(t *testing.T) {
	last := w.net.Plan.Nodes[len(w.net.Plan.Nodes)-1]
	w.must(w.net.Kill(last.Name))
	key := tamper(t, filepath.Join(last.Dir, "data", "state"))
	w.must(w.net.Start(last.Name))
	w.must(w.net.AwaitReady(w.ctx, last.Name))
	replica, _, err := Verify(w.ctx, w.log(), w.options(false))
	w.must(err)
	defer replica.Close()
	states, err := replica.States(w.ctx, w.tls)
	w.must(err)
	for _, s := range states {
		if s.Name != last.Name && s.Err != nil {
			t.Errorf("%s: %v", s.Name, s.Err)
		}
		if s.Name == last.Name {
			bad, ok := errors.AsType[*BadRecord](s.Err)
			if !ok || !bytes.Equal(bad.Key, key) {
				t.Errorf("%s: %v; record %x was changed", s.Name, s.Err, key)
			}
		}
	}
}

// A node whose database somebody has changed computes another state as soon as the
// law touches that record. The others' ledgers contradict it, and it says so.
func TestADivergedNodeStopsSigning(t *testing.T) {
	w := newWorld(t, 3, 1_000)
	last := w.net.Plan.Nodes[2]
	w.must(w.net.Kill(last.Name))
	key := tamper(t, filepath.Join(last.Dir, "data", "state"))
	w.must(w.net.Start(last.Name))
	w.must(w.net.AwaitReady(w.ctx, last.Name))
	w.lift("member-1", risk.ParseListingRecordKey(key))

	w.await("a word of the node that has diverged", func() bool {
		err := w.net.Node(last.Name).Ready()
		return err != nil && strings.Contains(err.Error(), "diverged")
	})
	key2 := w.verifierOf(2)
	_, err := newLog(last.HTTP, key2, w.tls).Checkpoint(w.ctx)
	if err == nil || !strings.Contains(err.Error(), "diverged") {
		t.Errorf("its checkpoint: %v", err)
	}
	w.settle()
	signed, err := w.log().Checkpoint(w.ctx)
	if err != nil || bytes.Contains(signed.Note, []byte(last.ID.String())) {
		t.Errorf("the others' checkpoint carries its word: %v\n%s", err, signed.Note)
	}
	// What it has is put aside, and the others rebuild it.
	w.must(w.net.Kill(last.Name))
	w.must(w.net.Start(last.Name))
	w.must(w.net.AwaitReady(w.ctx, last.Name))
	w.await("the rebuilt node's signature", func() bool {
		signed, err := newLog(last.HTTP, key2, w.tls).Checkpoint(w.ctx)
		return err == nil && signed.Size == w.net.Node("n1").Head().Size
	})
}

func (w *world) verifierOf(node int) ledger.Verifier {
	w.t.Helper()
	key, err := nodeKey(w.net.Plan.Nodes[node].Dir)
	w.must(err)
	verifier, err := ledger.NewVerifier(w.log().origin, key.Public().(ed25519.PublicKey))
	w.must(err)
	return verifier
}

func nodeKey(dir string) (ed25519.PrivateKey, error) {
	return node.LoadSigningKey(filepath.Join(dir, "log.key"))
}

// lift ends a listing.
func (w *world) lift(profile string, id risk.ListingID) {
	w.t.Helper()
	c, err := w.net.Client(profile, "")
	w.must(err)
	defer c.Close()
	author, err := client.NewAuthor(w.ctx, c)
	w.must(err)
	body := risk.NewBody(nil)
	receipt, err := author.Do(w.ctx, &risk.Listings{}, []risk.Item{{Op: risk.ItemLift, Target: id, Reason: risk.LiftWithdrawn, Commitment: body.Commit()}}, []risk.Body{body})
	w.must(err)
	if receipt.Outcomes[0].Status != "lifted" {
		w.t.Fatalf("the lift came to %v", receipt.Outcomes[0])
	}
}

// tamper flips a bit of a listing's record, at the version that it has.
func tamper(t *testing.T, state string) (key []byte) {
	t.Helper()
	name, err := os.ReadFile(filepath.Join(state, "CURRENT"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := badger.OpenManaged(badger.DefaultOptions(filepath.Join(state, strings.TrimSpace(string(name)))).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	txn := db.NewTransactionAt(^uint64(0), true)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{risk.TableListings}})
	it.Rewind()
	for range 700 {
		it.Next()
	}
	key = it.Item().KeyCopy(nil)
	version := it.Item().Version()
	value, err := it.Item().ValueCopy(nil)
	it.Close()
	if err != nil {
		t.Fatal(err)
	}
	value[2+binary.BigEndian.Uint16(value)/2] ^= 1 // its length stands before the record
	if err := txn.Set(key, value); err != nil {
		t.Fatal(err)
	}
	if err := txn.CommitAt(version, nil); err != nil {
		t.Fatal(err)
	}
	return key
}
