package replay

import (
	"testing"

	"github.com/risknet/risknet/risk"
)

// arena is a network of ten institutions at rest.
func arena(t *testing.T) *network {
	t.Helper()
	everybody := []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	n, err := found(1_767_225_600_000, everybody, defaultRules(&Options{}), 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *network) reports(t *testing.T, by, terminal uint32, item risk.Item, body risk.ListingBody) {
	t.Helper()
	n.now++
	item.Expiry, item.SourceDate = n.now+90*day, n.now
	if err := n.publish(n.members[by], terminal, item, body); err != nil {
		t.Fatal(err)
	}
}

// answer is what institution 9 is told about a payment at a terminal.
func (n *network) answer(t *testing.T, terminal uint32) *risk.Verdict {
	t.Helper()
	v, err := n.ask(n.members[9], &Payment{At: n.now, Customer: 9, Terminal: terminal, Amount: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// liftsAll ends the listings of the leaves from one to another, as errors.
func (n *network) liftsAll(t *testing.T, from, to uint64) {
	t.Helper()
	for from < to {
		var items []risk.Item
		var bodies []risk.Body
		for ; from < to && len(items) < risk.MaxItems; from++ {
			body := risk.Body{Data: []byte{}}
			items = append(items, risk.Item{Op: risk.ItemLift, Target: risk.ItemID{Leaf: from}, Reason: risk.LiftError, Commitment: body.Commit()})
			bodies = append(bodies, body)
		}
		n.now++
		if err := n.send(&n.hub, &risk.Listings{}, items, bodies); err != nil {
			t.Fatal(err)
		}
	}
}

// One institution reports the hundred busiest merchants ten thousand times within an
// hour, with the highest proof that it can claim and every code there is. Nobody is
// denied, and when the hub has lifted the reports, its word confirms nobody's any more.
func TestTenThousandFalseReportsDenyNobody(t *testing.T) {
	const merchants, codes = 100, 100
	n := arena(t)
	begin, first := n.now, n.store.Head().Size
	for code := range uint16(codes) {
		for m := range uint32(merchants) {
			n.reports(t, 0, m, risk.Item{Code: 1 + code}, risk.ListingBody{Tier: 3})
		}
	}
	if n.now-begin > 3_600_000 || n.store.Head().Size-first != merchants*codes {
		t.Fatalf("%d reports in %d ms", n.store.Head().Size-first, n.now-begin)
	}
	for m := range uint32(merchants) {
		if v := n.answer(t, m); v.Advice > risk.StepUp || !v.Listed || v.Weights[0].Origins != 1 {
			t.Fatalf("merchant %d: %s, %s", m, v.Advice, v.Weights[0].String())
		}
	}
	n.liftsAll(t, first, n.store.Head().Size)
	for m := range uint32(merchants) {
		if v := n.answer(t, m); v.Advice != risk.Allow || v.Listed {
			t.Fatalf("merchant %d after the lift: %s", m, v.Advice)
		}
	}
	n.reports(t, 0, 7, risk.Item{Code: 1}, risk.ListingBody{Tier: 3})
	if v := n.answer(t, 7); v.Advice > risk.Observe || v.Weights[0].Confidence != 0 || v.Weights[0].Precision > 10 {
		t.Errorf("its next report: %s, %s, precision %d", v.Advice, v.Weights[0].String(), v.Weights[0].Precision)
	}
	n.reports(t, 1, 7, risk.Item{Code: 1}, risk.ListingBody{Tier: 2})
	if v := n.answer(t, 7); v.Advice > risk.StepUp || v.Weights[0].Origins != 1 {
		t.Errorf("it confirms another's report: %s, %s", v.Advice, v.Weights[0].String())
	}
}

// One institution heaps every code and list on one merchant: a check of it costs no more
// than its share, and the answer stays small.
func TestHeapingListingsOnOneMerchantCostsLittle(t *testing.T) {
	n := arena(t)
	for code := range uint16(risk.MaxCode) {
		n.reports(t, 0, 1, risk.Item{Code: 1 + code}, risk.ListingBody{Tier: 3})
	}
	n.reports(t, 1, 1, risk.Item{Code: 3}, risk.ListingBody{Tier: 2})
	n.reports(t, 2, 1, risk.Item{Code: 3}, risk.ListingBody{Tier: 2})
	v := n.answer(t, 1)
	if len(v.Reasons) > risk.MaxVoices+8 || v.Weights[0].Origins != 3 {
		t.Errorf("%d reasons, %s", len(v.Reasons), v.Weights[0].String())
	}
	n.now++
	item := risk.Item{Code: risk.MaxCode + 1, Expiry: n.now + day, SourceDate: n.now}
	if err := n.publish(n.members[0], 1, item, risk.ListingBody{Tier: 3}); err == nil {
		t.Error("a code beyond the largest was taken")
	}
}

// Five institutions that took over one list know what one of them knows; five own cases
// are five.
func TestFiveCopiesOfOneListAreOneVoice(t *testing.T) {
	n := arena(t)
	wild := risk.OriginNamed(risk.OriginCopy, "a list that everybody takes")
	var one uint16
	for by := range uint32(5) {
		n.reports(t, by, 1, risk.Item{Code: 3, Origin: wild}, risk.ListingBody{Tier: 3})
		v := n.answer(t, 1)
		if by == 0 {
			one = v.Weights[0].Confidence
		}
		if w := v.Weights[0]; w.Confidence != one || w.Origins != 1 || v.Advice > risk.StepUp {
			t.Errorf("with %d copies: %s, %s", by+1, v.Advice, w.String())
		}
		n.reports(t, by, 2, risk.Item{Code: 3}, risk.ListingBody{Tier: 1})
	}
	if v := n.answer(t, 2); v.Weights[0].Origins != 5 || v.Advice != risk.Deny {
		t.Errorf("five own cases: %s, %s", v.Advice, v.Weights[0].String())
	}
}

// Three institutions that lie together reach everybody but those whom the hub protects.
func TestThreeColludersDoNotReachTheProtected(t *testing.T) {
	n := arena(t)
	asked, err := n.token(risk.KindTerminal, 1)
	if err != nil {
		t.Fatal(err)
	}
	content := risk.ProtectionBody{Token: asked.Token, Epoch: asked.Epoch, Covers: "a hospital", Comment: "approved by two"}
	data, err := content.Encode()
	if err != nil {
		t.Fatal(err)
	}
	body := risk.Body{Data: data}
	item := risk.Item{Op: risk.ItemProtect, Kind: risk.KindTerminal, Scope: asked.Scope, Expiry: n.now + 30*day, Commitment: body.Commit()}
	if err := n.send(&n.hub, &risk.Protect{}, []risk.Item{item}, []risk.Body{body}); err != nil {
		t.Fatal(err)
	}
	for by := range uint32(3) {
		for terminal := uint32(1); terminal <= 2; terminal++ {
			n.reports(t, by, terminal, risk.Item{Code: 3}, risk.ListingBody{Tier: 3})
		}
	}
	if v := n.answer(t, 1); v.Advice != risk.StepUp || !v.Listed {
		t.Errorf("the protected one: %s, %s", v.Advice, v.Weights[0].String())
	}
	if v := n.answer(t, 2); v.Advice != risk.Deny {
		t.Errorf("another: %s, so the test shows nothing", v.Advice)
	}
	n.now += 31 * day
	if v := n.answer(t, 1); v.Advice <= risk.StepUp {
		t.Errorf("when the protection has ended: %s", v.Advice)
	}
}
