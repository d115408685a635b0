package testnet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// submit sends bytes to one node, once.
func (n *network) submit(profile, at string, signed []byte) (*apiv1.Receipt, error) {
	return apiv1.NewCommandsClient(n.conn(profile, at)).Submit(n.ctx, &apiv1.SubmitRequest{Signed: signed})
}

// refused demands one status with one text, and that no node's ledger grew.
func (n *network) refused(name string, err error, code codes.Code, want string, before risk.Head) {
	n.t.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), want) {
		n.t.Errorf("%s: %v; want %s and %q", name, err, code, want)
	}
	for _, at := range n.names() {
		if head := n.Node(at).Head(); head != before {
			n.t.Errorf("%s: the ledger of %s went from %v to %v", name, at, before, head)
		}
	}
}

// withUnknown gives a message a field that no program knows.
func withUnknown[M proto.Message](m M) M {
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	return m
}

// crowded is a validly signed header that names one item more than is allowed;
// nobody who encodes by the rules can make it.
func crowded(t *testing.T, by *client.Author) []byte {
	t.Helper()
	items, bodies := publication(time.Now().Add(time.Hour), "")
	one, err := by.Sign(&risk.Listings{}, items, bodies)
	if err != nil {
		t.Fatal(err)
	}
	two, err := by.Sign(&risk.Listings{}, append(items, items...), append(bodies, bodies...))
	if err != nil {
		t.Fatal(err)
	}
	size := len(two.Header) - len(one.Header)
	item := one.Header[len(one.Header)-size:]
	header := bytes.Clone(one.Header[:len(one.Header)-size-2])
	header = binary.BigEndian.AppendUint16(header, risk.MaxItems+1)
	header = append(header, bytes.Repeat(item, risk.MaxItems+1)...)
	s := &risk.Signed{Header: header, Bodies: slices.Repeat(bodies, risk.MaxItems+1)}
	for _, key := range by.Keys {
		s.Signatures = append(s.Signatures, ed25519.Sign(key, risk.SigningBytes(header)))
	}
	return s.Encode()
}

func TestACommandThatIsTooLargeIsRefused(t *testing.T) {
	n := start(t, 1, 1)
	member := n.author("member-1")
	items, _ := publication(time.Now().Add(time.Hour), "")
	body := risk.NewBody(make([]byte, risk.MaxBodyBytes+1))
	items[0].Commitment = body.Commit()
	fat, err := member.Sign(&risk.Listings{}, items, []risk.Body{body})
	if err != nil {
		t.Fatal(err)
	}
	before := n.Node("n1").Head()
	_, err = n.submit("member-1", "n1", crowded(t, member))
	n.refused("513 items", err, codes.InvalidArgument, "at most 512", before)
	_, err = n.submit("member-1", "n1", make([]byte, 4<<20+1))
	n.refused("over the message limit", err, codes.ResourceExhausted, "larger than max", before)
	_, err = n.submit("member-1", "n1", make([]byte, risk.MaxEntryBytes+1))
	n.refused("over the entry limit", err, codes.InvalidArgument, "malformed", before)
	// The law judges what is in a body, so this one becomes a leaf that says no.
	receipt, err := n.submit("member-1", "n1", fat.Encode())
	if err != nil || !receipt.Recorded || receipt.Result == "accepted" && receipt.Outcomes[0].Status != "refused" {
		t.Errorf("a body over its limit: %v, %v", receipt, err)
	}
}

func TestTheSecondSignatureCannotBeTakenOff(t *testing.T) {
	n := start(t, 1, 1)
	hub := n.author(hubName)
	if len(hub.Keys) < 2 {
		t.Fatal("the hub has one key only; the test needs two")
	}
	stripped, err := hub.Sign(&risk.RaiseProtocol{Version: 1}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	stripped.Signatures = stripped.Signatures[:1]
	before := n.Node("n1").Head()
	_, err = n.submit(hubName, "n1", stripped.Encode())
	n.refused("stripped", err, codes.Unauthenticated, "bad_signature", before)

	alone := *hub
	alone.Keys = hub.Keys[:1]
	receipt, err := alone.Do(n.ctx, &risk.RetireKey{Reporter: hub.Reporter, Key: risk.PublicKey{}.ID()}, nil, nil)
	if err == nil || receipt.GetResult() != "needs_cosigner" {
		t.Errorf("one hub key alone: %v, %v", receipt, err)
	}
}

func TestARetiredKeySignsNoMore(t *testing.T) {
	n := start(t, 2, 1)
	member := n.author("member-1")
	key := publicKey(member.Keys[0]).ID()
	receipt, err := n.author(hubName).Do(n.ctx, &risk.RetireKey{Reporter: member.Reporter, Key: key}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	items, bodies := publication(time.Now().Add(time.Hour), "")
	signed, err := member.Sign(&risk.Listings{}, items, bodies)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range n.names() {
		if err := n.Node(at).AwaitSize(n.ctx, receipt.Leaf+1); err != nil {
			t.Fatal(err)
		}
	}
	before := n.Node("n1").Head()
	for _, at := range n.names() {
		_, err := n.submit("member-1", at, signed.Encode())
		n.refused("retired key at "+at, err, codes.Unauthenticated, "key_retired", before)
	}
}

func TestTheSameBytesAgainGiveTheFirstReceipt(t *testing.T) {
	n := start(t, 2, 1)
	items, bodies := publication(time.Now().Add(time.Hour), "")
	signed, err := n.author("member-1").Sign(&risk.Listings{}, items, bodies)
	if err != nil {
		t.Fatal(err)
	}
	first, err := n.submit("member-1", "n1", signed.Encode())
	if err != nil || first.Repeated {
		t.Fatalf("receipt %v, %v", first, err)
	}
	again, err := n.submit("member-1", "n2", signed.Encode())
	if err != nil || !again.Repeated || again.Leaf != first.Leaf || again.Result != first.Result || again.AtMs != first.AtMs ||
		!proto.Equal(again.Outcomes[0], first.Outcomes[0]) || !bytes.Equal(again.CommandId, first.CommandId) {
		t.Errorf("again: %v, %v; first: %v", again, err, first)
	}
}

// A wait as long as there is must not turn into none: through a follower, whose
// view comes a moment after the leader's, the caller would miss its own write.
func TestTheLongestWaitIsAWait(t *testing.T) {
	n := start(t, 2, 1)
	for i := range 5 {
		items, bodies := publication(time.Now().Add(time.Hour), fmt.Sprint(i))
		signed, err := n.author("member-1").Sign(&risk.Listings{}, items, bodies)
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := apiv1.NewCommandsClient(n.conn("member-1", "n2")).Submit(n.ctx, &apiv1.SubmitRequest{Signed: signed.Encode(), WaitMs: math.MaxInt64})
		if err != nil || !receipt.Visible {
			t.Errorf("receipt %v, %v", receipt, err)
		}
	}
}

func TestARuleThatCostsTooMuchIsNotPublished(t *testing.T) {
	n := start(t, 1, 1)
	before := n.Node("n1").Head()
	nested := "subjects.exists(a, subjects.exists(b, subjects.exists(c, subjects.exists(d, a.kind == d.kind))))"
	source := fmt.Sprintf("name: x\non_error: {pre: deny, in: deny, post: deny}\nrules:\n  - {id: dear, phase: pre, when: '%s', advice: deny, reason: {en: a., zh: a}, mode: on}\n", nested)
	if _, err := rules.Compile([]byte(source)); err == nil {
		t.Fatal("the rule is not dear; the test is of no use")
	}
	body := risk.NewBody([]byte(source))
	_, err := n.author(hubName).Do(n.ctx, &risk.PublishRules{Hash: sha256.Sum256([]byte(source))},
		[]risk.Item{{Op: risk.ItemDocument, Commitment: body.Commit()}}, []risk.Body{body})
	n.refused("dear rule", err, codes.InvalidArgument, "dear", before)
}

// A field that the node does not know might have changed the question.
func TestUnknownFieldsOfAQuestionAreRefusedWhereverTheyStand(t *testing.T) {
	n := start(t, 1, 1)
	checks := apiv1.NewChecksClient(n.conn(hubName, "n1"))
	plain := func() *apiv1.Subject { return &apiv1.Subject{Kind: "device", Value: "x"} }
	token := func() *apiv1.AskedToken { return &apiv1.AskedToken{Epoch: 1, Token: make([]byte, 16)} }
	questions := map[string]*apiv1.CheckRequest{
		"request": withUnknown(&apiv1.CheckRequest{Subjects: []*apiv1.Subject{plain()}}),
		"payment": {Payment: withUnknown(&apiv1.Payment{}), Subjects: []*apiv1.Subject{plain()}},
		"subject": {Subjects: []*apiv1.Subject{plain(), withUnknown(plain())}},
		"token":   {ScopesVersion: 1 << 40, Subjects: []*apiv1.Subject{{Kind: "device", Tokens: []*apiv1.AskedToken{withUnknown(token())}}}},
		"scope": {ScopesVersion: 1 << 40, Subjects: []*apiv1.Subject{{Kind: "ip", Tokens: []*apiv1.AskedToken{
			{Epoch: 1, Token: make([]byte, 16), Scope: withUnknown(&apiv1.Scope{Family: 1, Length: 32})}}}}},
	}
	for name, q := range questions {
		if _, err := checks.Check(n.ctx, q); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "does not know") {
			t.Errorf("%s: %v", name, err)
		}
		batch, err := checks.CheckBatch(n.ctx, &apiv1.CheckBatchRequest{Checks: []*apiv1.CheckRequest{{Subjects: []*apiv1.Subject{plain()}}, q}})
		if err != nil || batch.Checks[0].Error != "" || batch.Checks[0].Advice != "allow" ||
			!strings.Contains(batch.Checks[1].Error, "does not know") || batch.Checks[1].Advice != "" {
			t.Errorf("%s in a batch: %v, %v", name, batch, err)
		}
	}
	if _, err := checks.CheckBatch(n.ctx, withUnknown(&apiv1.CheckBatchRequest{})); status.Code(err) != codes.InvalidArgument {
		t.Errorf("batch: %v", err)
	}
}

func TestTheBoundsOfAQuestionHold(t *testing.T) {
	n := start(t, 1, 1)
	checks := apiv1.NewChecksClient(n.conn(hubName, "n1"))
	subject := []*apiv1.Subject{{Kind: "device", Value: "x"}}
	batch := func(size int) *apiv1.CheckBatchRequest {
		return &apiv1.CheckBatchRequest{Checks: slices.Repeat([]*apiv1.CheckRequest{{Subjects: subject}}, size)}
	}
	if got, err := checks.CheckBatch(n.ctx, batch(1024)); err != nil || len(got.Checks) != 1024 {
		t.Errorf("1024 checks: %d answers, %v", len(got.GetChecks()), err)
	}
	if _, err := checks.CheckBatch(n.ctx, batch(1025)); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "at most 1024") {
		t.Errorf("1025 checks: %v", err)
	}
	for _, age := range []int64{-1, math.MinInt64} {
		if _, err := checks.Check(n.ctx, &apiv1.CheckRequest{MaxAgeMs: age, Subjects: subject}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("max_age %d: %v", age, err)
		}
	}
	for _, age := range []int64{math.MaxInt64, math.MaxInt64/1_000_000 + 1} {
		if a, err := checks.Check(n.ctx, &apiv1.CheckRequest{MaxAgeMs: age, Subjects: subject}); err != nil || a.Stale {
			t.Errorf("max_age %d: %v, %v; a very long age leaves the node's own limit", age, a, err)
		}
	}
	begin := time.Now()
	if _, err := checks.Check(n.ctx, &apiv1.CheckRequest{MinSize: math.MaxUint64, Subjects: subject}); status.Code(err) != codes.Unavailable {
		t.Errorf("min_size: %v", err)
	}
	if took := time.Since(begin); took > 2*node.DefaultConfig().Limits.SizeWait {
		t.Errorf("min_size was waited for %s, longer than the bound", took)
	}
	short, long := make([]byte, 15), make([]byte, 17)
	for name, s := range map[string]*apiv1.Subject{
		"no identifier":  {Kind: "device"},
		"both":           {Kind: "device", Value: "x", Tokens: []*apiv1.AskedToken{{Epoch: 1, Token: make([]byte, 16)}}},
		"short token":    {Kind: "device", Tokens: []*apiv1.AskedToken{{Epoch: 1, Token: short}}},
		"long token":     {Kind: "device", Tokens: []*apiv1.AskedToken{{Epoch: 1, Token: long}}},
		"alien scope":    {Kind: "device", Tokens: []*apiv1.AskedToken{{Epoch: 1, Token: make([]byte, 16), Scope: &apiv1.Scope{Family: 1 << 20}}}},
		"unknown role":   {Kind: "device", Role: "cook", Value: "x"},
		"kind in upper":  {Kind: "DEVICE", Value: "x"},
		"not text":       {Kind: "phone", Value: string([]byte{'+', 0})},
		"a whole novel":  {Kind: "device", Value: strings.Repeat("x", 1<<20)},
		"empty and role": {},
	} {
		req := &apiv1.CheckRequest{Subjects: []*apiv1.Subject{s}}
		if len(s.Tokens) > 0 {
			req.ScopesVersion = 1 << 40
		}
		if a, err := checks.Check(n.ctx, req); status.Code(err) != codes.InvalidArgument || len(err.Error()) > 1000 {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
}

// cut and heal speak to the node's fault control socket.
func (n *network) fault(name, word string) {
	n.t.Helper()
	planned, err := n.planned(name)
	if err != nil {
		n.t.Fatal(err)
	}
	p := &Processes{Nodes: []ProcessNode{{Name: name, Config: planned.Config}}}
	if err := p.fault(name, word); err != nil {
		n.t.Fatal(err)
	}
}

// until asks again and again; the test's context ends it.
func (n *network) until(what string, done func() bool) {
	n.t.Helper()
	for !done() {
		select {
		case <-n.ctx.Done():
			n.t.Fatalf("never came: %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestACutNodeSaysThatItIsStaleAndHeals(t *testing.T) {
	n := start(t, 3, 3)
	follower := n.names()[0]
	if follower == n.Leader() {
		follower = n.names()[1]
	}
	checks := apiv1.NewChecksClient(n.conn(hubName, follower))
	ask := func() *apiv1.CheckResponse {
		a, err := checks.Check(n.ctx, &apiv1.CheckRequest{MaxAgeMs: 1000, Subjects: []*apiv1.Subject{{Kind: "device", Tokens: []*apiv1.AskedToken{{Epoch: 1, Token: make([]byte, 16)}}}}, ScopesVersion: 1 << 40})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := ask(); a.Stale || a.Advice != "allow" {
		t.Fatalf("before the cut: %v", a)
	}
	n.fault(follower, "cut")
	n.until("a stale answer of the cut node", func() bool { return ask().Stale })
	a := ask()
	if a.Advice == "allow" || !slices.ContainsFunc(a.Reasons, func(r *apiv1.Reason) bool { return r.Rule == risk.ReasonStale }) {
		t.Errorf("a stale answer is %v", a)
	}
	items, bodies := publication(time.Now().Add(time.Hour), "")
	signed, err := n.author("member-1").Sign(&risk.Listings{}, items, bodies)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.submit("hub", follower, signed.Encode()); status.Code(err) != codes.Unavailable {
		t.Errorf("the cut node took a command: %v", err)
	}
	n.until("the others to go on", func() bool {
		leader := n.Leader()
		if leader == "" || leader == follower {
			return false
		}
		_, err := n.submit("hub", leader, signed.Encode())
		return err == nil
	})
	n.fault(follower, "heal")
	n.until("a fresh answer of the healed node", func() bool { return !ask().Stale })
	n.agree()
}

func TestAnOverrideEndsByItself(t *testing.T) {
	n := start(t, 1, 1)
	r := n.reports(hubName, "n1", risk.KindPhone, "+8613800138000")
	own := n.client(hubName, "n1")
	exception := client.Exception{Kind: risk.KindPhone, Value: "+8613800138000", Advice: risk.Observe,
		Until: time.Now().Add(time.Second), Comment: "for a second"}
	if _, err := own.PutOverride(n.ctx, exception); err != nil {
		t.Fatal(err)
	}
	if a := n.check("n1", "phone", "+8613800138000", r.Size); a.Advice != "observe" {
		t.Errorf("with the exception: %v", a)
	}
	n.until("the end of the exception", func() bool { return n.check("n1", "phone", "+8613800138000", 0).Advice == "step_up" })
	if list, err := own.Overrides(n.ctx); err != nil || len(list) != 0 {
		t.Errorf("what has ended is still shown: %v, %v", list, err)
	}
	overrides := apiv1.NewOverridesClient(n.conn(hubName, "n1"))
	sound := func() *apiv1.Override {
		return &apiv1.Override{Kind: "phone", Advice: "observe", Comment: "c", ExpiresAtMs: time.Now().Add(time.Hour).UnixMilli(),
			Tokens: []*apiv1.AskedListing{{Epoch: 1, Token: make([]byte, 16)}}}
	}
	for name, spoil := range map[string]func(*apiv1.Override){
		"no end":           func(o *apiv1.Override) { o.ExpiresAtMs = 0 },
		"passed":           func(o *apiv1.Override) { o.ExpiresAtMs = 1 },
		"never ends":       func(o *apiv1.Override) { o.ExpiresAtMs = math.MaxInt64 },
		"no comment":       func(o *apiv1.Override) { o.Comment = "" },
		"unknown kind":     func(o *apiv1.Override) { o.Kind = "cat" },
		"unknown advice":   func(o *apiv1.Override) { o.Advice = "shrug" },
		"no token":         func(o *apiv1.Override) { o.Tokens = nil },
		"short token":      func(o *apiv1.Override) { o.Tokens[0].Token = []byte{1} },
		"unknown field":    func(o *apiv1.Override) { withUnknown(o) },
		"unknown in token": func(o *apiv1.Override) { withUnknown(o.Tokens[0]) },
	} {
		o := sound()
		spoil(o)
		if _, err := overrides.PutOverride(n.ctx, o); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := own.Overrides(n.ctx); err != nil || len(list) != 0 {
		t.Errorf("what was refused left %v, %v", list, err)
	}
}

func TestOnlyItsOwnInstitutionChangesAnOverride(t *testing.T) {
	n := start(t, 2, 1)
	overrides := apiv1.NewOverridesClient(n.conn("member-1", "n1"))
	o := &apiv1.Override{Kind: "phone", Advice: "observe", Comment: "c", ExpiresAtMs: time.Now().Add(time.Hour).UnixMilli(),
		Tokens: []*apiv1.AskedListing{{Epoch: 1, Token: make([]byte, 16)}}}
	_, put := overrides.PutOverride(n.ctx, o)
	_, remove := overrides.RemoveOverride(n.ctx, o)
	_, list := overrides.ListOverrides(n.ctx, &apiv1.OverridesRequest{})
	for name, err := range map[string]error{"put": put, "remove": remove, "list": list} {
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A certificate of the right CA is not enough: what it says counts.
func TestACertificateOpensOnlyItsOwnDoors(t *testing.T) {
	n := start(t, 1, 1)
	peers := apiv1.NewPeersClient(n.conn("member-1", "n1"))
	stream, forward := peers.Forward(n.ctx, &apiv1.SubmitRequest{Signed: []byte{1}})
	if forward == nil {
		_, forward = stream.Recv()
	}
	_, index := peers.ReadIndex(n.ctx, &apiv1.ReadIndexRequest{})
	for name, err := range map[string]error{"Forward": forward, "ReadIndex": index} {
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s by a member: %v", name, err)
		}
	}
	dir := n.Plan.Dir
	caPEM, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	caKey, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := node.LoadAuthority(caPEM, caKey)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := ca.Issue(node.Identity{Network: "elsewhere", Institution: hubName, Role: node.RoleHub, Name: hubName}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"tls.pem": certPEM, "tls.key": keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, "profiles", hubName, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(n.ctx, 3*time.Second)
	defer cancel()
	if _, err := apiv1.NewRegistryClient(n.conn(hubName, "n1")).Network(ctx, &apiv1.NetworkRequest{}); status.Code(err) != codes.Unavailable && status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a certificate of another network was let in: %v", err)
	}
}

func TestATokenKeyOfAnotherNetworkStopsTheNode(t *testing.T) {
	n := start(t, 1, 1)
	head := n.Node("n1").Head()
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(n.Plan.Nodes[0].Dir, "token.keys")
	right, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"another key":   {node.FormatTokenKeys([]node.TokenKey{{Epoch: 1, Secret: [32]byte{1}}}), "epoch 1 is not the network's; get it from the hub"},
		"another epoch": {node.FormatTokenKeys([]node.TokenKey{{Epoch: 2, Secret: [32]byte{1}}}), "epoch 1 is missing"},
		"empty":         {nil, "holds no key"},
		"binary":        {[]byte{0, 1, 2, 0xff}, "token.keys:1: is not"},
	} {
		if err := os.WriteFile(file, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := n.Start("n1"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: started: %v", name, err)
		}
	}
	if err := os.WriteFile(file, right, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Start("n1"); err != nil {
		t.Fatal(err)
	}
	if got := n.Node("n1").Head(); got != head {
		t.Errorf("head %v, was %v", got, head)
	}
}
