package testnet

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// conn speaks to a node as a profile, without what the client room adds.
func (n *network) conn(profile, at string) grpc.ClientConnInterface {
	n.t.Helper()
	planned, err := n.planned(at)
	if err != nil {
		n.t.Fatal(err)
	}
	conn, err := n.client(profile, at).Conn(planned.API)
	if err != nil {
		n.t.Fatal(err)
	}
	return conn
}

func (n *network) author(profile string) *client.Author {
	n.t.Helper()
	a, err := client.NewAuthor(n.ctx, n.client(profile, "n1"))
	if err != nil {
		n.t.Fatal(err)
	}
	return a
}

// publication is one listing, ready to be signed.
func publication(expires time.Time, note string) ([]risk.Item, []risk.Body) {
	content := risk.ListingBody{Token: risk.Token{1}, Epoch: 1, Part: risk.PartSuspect, Action: risk.Deny, Purposes: risk.AllPurposes, Note: note}
	data, err := content.Encode()
	if err != nil {
		panic(err)
	}
	body := risk.NewBody(data)
	item := risk.Item{Op: risk.ItemPublish, Kind: risk.KindPhone, Code: 1, Level: 2, List: risk.ListBlack,
		Origin: risk.Origin{Kind: risk.OriginOwn}, Commitment: body.Commit()}
	if !expires.IsZero() {
		item.Expiry = expires.UnixMilli()
	}
	return []risk.Item{item}, []risk.Body{body}
}

// Each bad command gets one clear error, and the ledger stays as it was.
func TestABadCommandIsRefusedAndLeavesNothing(t *testing.T) {
	n := start(t, 1, 1)
	member := n.author("member-1")
	commands := apiv1.NewCommandsClient(n.conn("member-1", "n1"))
	items, bodies := publication(time.Now().Add(time.Hour), "")
	sound, err := member.Sign(&risk.Listings{}, items, bodies)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := func(change func(*risk.Signed)) []byte {
		s := &risk.Signed{Header: bytes.Clone(sound.Header), Bodies: append([]risk.Body(nil), sound.Bodies...)}
		for _, sig := range sound.Signatures {
			s.Signatures = append(s.Signatures, bytes.Clone(sig))
		}
		change(s)
		return s.Encode()
	}
	resigned := func(change func(*risk.Command)) []byte {
		cmd, err := risk.DecodeCommand(sound.Header)
		if err != nil {
			t.Fatal(err)
		}
		change(cmd)
		s, err := risk.Sign(cmd, sound.Bodies, member.Keys...)
		if err != nil {
			t.Fatal(err)
		}
		return s.Encode()
	}
	stranger := ed25519.NewKeyFromSeed(make([]byte, 32))
	now := time.Now().UnixMilli()
	before := n.Node("n1").Head()
	for name, c := range map[string]struct {
		signed []byte
		want   string
	}{
		"nothing":         {nil, "malformed"},
		"truncated":       {sound.Encode()[:100], "malformed: command: is cut short"},
		"one byte more":   {append(sound.Encode(), 0), "unknown fields are refused"},
		"unsigned":        {spoilt(func(s *risk.Signed) { s.Signatures = nil }), "bad_signature"},
		"wrongly signed":  {spoilt(func(s *risk.Signed) { s.Signatures[0][5] ^= 1 }), "bad_signature"},
		"body swapped":    {spoilt(func(s *risk.Signed) { s.Bodies[0] = risk.NewBody([]byte("other")) }), "body_mismatch: bodies[0]"},
		"body missing":    {spoilt(func(s *risk.Signed) { s.Bodies = nil }), "body_mismatch"},
		"another network": {resigned(func(c *risk.Command) { c.Network[0] ^= 1 }), "wrong_network"},
		"too new":         {resigned(func(c *risk.Command) { c.Time, c.NotAfter = now+10*60_000, now+20*60_000 }), "too_new: time"},
		"too old":         {resigned(func(c *risk.Command) { c.Time, c.NotAfter = now-20*60_000, now-10*60_000 }), "too_old: not_after"},
		"unknown key": {func() []byte {
			cmd, _ := risk.DecodeCommand(sound.Header)
			cmd.Signers[0].Key = publicKey(stranger).ID()
			s, err := risk.Sign(cmd, sound.Bodies, stranger)
			if err != nil {
				t.Fatal(err)
			}
			return s.Encode()
		}(), "unknown_key"},
	} {
		_, err := commands.Submit(n.ctx, &apiv1.SubmitRequest{Signed: c.signed})
		if err == nil || !strings.Contains(status.Convert(err).Message(), c.want) {
			t.Errorf("%s: error is %v; it should say %q", name, err, c.want)
		}
	}
	request := &apiv1.SubmitRequest{Signed: sound.Encode()}
	request.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	if _, err := commands.Submit(n.ctx, request); status.Code(err) != codes.InvalidArgument {
		t.Errorf("unknown field: %v", err)
	}
	if head := n.Node("n1").Head(); head != before {
		t.Errorf("what was refused left %v, before it was %v", head, before)
	}
}

func TestAListingWithoutExpiryIsRefusedInItsLeaf(t *testing.T) {
	n := start(t, 1, 1)
	items, bodies := publication(time.Time{}, "")
	receipt, err := n.author("member-1").Do(n.ctx, &risk.Listings{}, items, bodies)
	if err != nil || receipt.Outcomes[0].Refusal != "bad_expiry" {
		t.Errorf("receipt %v, %v", receipt, err)
	}
}

func TestARuleSetWithAFaultIsNotPublished(t *testing.T) {
	n := start(t, 1, 1)
	author := n.author(hubName)
	before := n.Node("n1").Head()
	for name, source := range map[string]string{
		"no yaml":      "{",
		"unknown fact": "name: x\non_error: {pre: deny, in: deny, post: deny}\nrules:\n  - {id: a, phase: pre, when: payment.amout > 1, advice: deny, reason: {en: a., zh: a}, mode: on}\n",
		"empty set":    "name: x\non_error: {pre: deny, in: deny, post: deny}\nrules: []\n",
	} {
		body := risk.NewBody([]byte(source))
		items := []risk.Item{{Op: risk.ItemDocument, Commitment: body.Commit()}}
		_, err := author.Do(n.ctx, &risk.PublishRules{Hash: sha256.Sum256([]byte(source))}, items, []risk.Body{body})
		if err == nil || !strings.Contains(err.Error(), "rules:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if head := n.Node("n1").Head(); head != before {
		t.Errorf("the ledger went on to %v", head)
	}
}

// The same bytes from many callers through all nodes are one leaf.
func TestARepeatedCommandIsAppliedOnce(t *testing.T) {
	n := start(t, 3, 3)
	items, bodies := publication(time.Now().Add(time.Hour), "once")
	signed, err := n.author("member-1").Sign(&risk.Listings{}, items, bodies)
	if err != nil {
		t.Fatal(err)
	}
	before := n.Node(n.Leader()).Head().Size
	var wait sync.WaitGroup
	leaves := make([]uint64, 20)
	for i := range leaves {
		commands := apiv1.NewCommandsClient(n.conn("member-1", n.names()[i%3]))
		wait.Go(func() {
			receipt, err := commands.Submit(n.ctx, &apiv1.SubmitRequest{Signed: signed.Encode()})
			if err != nil || receipt.Result != "accepted" || !receipt.Visible {
				t.Errorf("receipt %v, %v", receipt, err)
			}
			leaves[i] = receipt.GetLeaf()
		})
	}
	wait.Wait()
	for _, leaf := range leaves {
		if leaf != leaves[0] {
			t.Errorf("leaves %v differ", leaves)
		}
	}
	n.agree()
	if size := n.Node("n1").Head().Size; size != before+1 {
		t.Errorf("the ledger grew from %d to %d", before, size)
	}
}

func TestABadQuestionGetsAnErrorThatKeepsItsSecret(t *testing.T) {
	n := start(t, 2, 1)
	own := apiv1.NewChecksClient(n.conn(hubName, "n1"))
	foreign := apiv1.NewChecksClient(n.conn("member-1", "n1"))
	card := "4111111111111112"
	ask := func(s ...*apiv1.Subject) *apiv1.CheckRequest { return &apiv1.CheckRequest{Subjects: s} }
	many := make([]*apiv1.Subject, risk.MaxSubjects+1)
	for i := range many {
		many[i] = &apiv1.Subject{Kind: "device", Value: "x"}
	}
	for name, c := range map[string]struct {
		at   apiv1.ChecksClient
		req  *apiv1.CheckRequest
		code codes.Code
		want string
	}{
		"check digit":      {own, ask(&apiv1.Subject{Kind: "card", Value: card}), codes.InvalidArgument, "subjects[0].bad_field: card"},
		"unknown kind":     {own, ask(&apiv1.Subject{Kind: "cat", Value: "x"}), codes.InvalidArgument, "kind"},
		"too many":         {own, ask(many...), codes.InvalidArgument, "at most 16"},
		"negative amount":  {own, &apiv1.CheckRequest{Payment: &apiv1.Payment{Amount: -1}}, codes.InvalidArgument, "payment.amount"},
		"foreign raw":      {foreign, ask(&apiv1.Subject{Kind: "device", Value: "x"}), codes.PermissionDenied, "send tokens"},
		"old scopes":       {foreign, &apiv1.CheckRequest{Subjects: []*apiv1.Subject{{Kind: "ip", Tokens: []*apiv1.AskedToken{{Scope: &apiv1.Scope{Family: 1, Length: 32}, Token: make([]byte, 16)}}}}}, codes.FailedPrecondition, "scopes_version"},
		"size never there": {own, &apiv1.CheckRequest{MinSize: 1 << 40, Subjects: many[:1]}, codes.Unavailable, "min_size"},
	} {
		_, err := c.at.Check(n.ctx, c.req)
		message := status.Convert(err).Message()
		if status.Code(err) != c.code || !strings.Contains(message, c.want) || strings.Contains(message, card) {
			t.Errorf("%s: %v; want %s and %q", name, err, c.code, c.want)
		}
	}
	if _, err := apiv1.NewTokensClient(n.conn("member-1", "n1")).Keyring(n.ctx, &apiv1.KeyringRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("the token keys were given to another institution: %v", err)
	}
	if _, err := apiv1.NewPeersClient(n.conn(hubName, "n1")).ReadIndex(n.ctx, &apiv1.ReadIndexRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a client called what is for nodes: %v", err)
	}
}

func TestAnOldViewSaysSo(t *testing.T) {
	n := start(t, 1, 1)
	checks := apiv1.NewChecksClient(n.conn(hubName, "n1"))
	answer, err := checks.Check(n.ctx, &apiv1.CheckRequest{MaxAgeMs: 1, Subjects: []*apiv1.Subject{{Kind: "device", Value: "x"}}})
	for err == nil && !answer.Stale { // it was fresh to the millisecond
		answer, err = checks.Check(n.ctx, &apiv1.CheckRequest{MaxAgeMs: 1, Subjects: []*apiv1.Subject{{Kind: "device", Value: "x"}}})
	}
	if err != nil || answer.Advice != "step_up" || answer.Reasons[0].Rule != risk.ReasonStale {
		t.Errorf("answer %v, %v", answer, err)
	}
}

func TestAStreamKeepsOrderAndPutsErrorsInPlace(t *testing.T) {
	n := start(t, 1, 1)
	stream, err := apiv1.NewChecksClient(n.conn(hubName, "n1")).CheckStream(n.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		batch := &apiv1.CheckBatchRequest{}
		for j := range 4 {
			one := &apiv1.CheckRequest{Subjects: []*apiv1.Subject{{Kind: "device", Value: "x"}}}
			if (i+j)%3 == 0 {
				one.Subjects[0].Kind = "cat"
			}
			batch.Checks = append(batch.Checks, one)
		}
		if err := stream.Send(batch); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for j, one := range got.Checks {
			if (one.Error != "") != ((i+j)%3 == 0) {
				t.Fatalf("batch %d answer %d is %v", i, j, one)
			}
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

// An institution's own exception stands in the answer, and ends.
func TestAnOverrideIsVisibleAndItsOwn(t *testing.T) {
	n := start(t, 2, 1)
	r := n.reports("hub", "n1", risk.KindPhone, "+8613800138000")
	own := n.client("member-1", "n2")
	if _, err := own.PutOverride(n.ctx, client.Exception{Kind: risk.KindPhone, Value: "+8613800138000", Advice: risk.Observe,
		Until: time.Now().Add(time.Hour), Comment: "a customer of ours, seen in person"}); err != nil {
		t.Fatal(err)
	}
	a := n.check("n2", "phone", "+8613800138000", r.Size)
	overridden := false
	for _, reason := range a.Reasons {
		overridden = overridden || reason.Rule == risk.ReasonOverride && strings.Contains(reason.Text, "seen in person")
	}
	if !a.Listed || a.Advice != "observe" || !overridden {
		t.Errorf("with the exception: %v", a)
	}
	if a := n.check("n1", "phone", "+8613800138000", r.Size); a.Advice != "step_up" {
		t.Errorf("the exception of one institution changed another's answer: %v", a)
	}
	if _, err := own.PutOverride(n.ctx, client.Exception{Kind: risk.KindPhone, Value: "+8613800138001", Advice: risk.Allow, Comment: "for ever"}); err == nil {
		t.Error("an exception without an end was taken")
	}
}

func TestStrangersDoNotConnect(t *testing.T) {
	n := start(t, 1, 1)
	planned := n.Plan.Nodes[0]
	elsewhere, err := node.NewAuthority("testnet", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM, err := elsewhere.Issue(node.Identity{Network: "testnet", Institution: "hub", Role: "node", Name: "n1"}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	forged, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	for name, certs := range map[string][]tls.Certificate{"nobody": nil, "another CA": {forged}} {
		for door, address := range map[string]string{"api": planned.API, "http": planned.HTTP, "raft": planned.Raft} {
			config := &tls.Config{InsecureSkipVerify: true, Certificates: certs} //nolint:gosec // the server is what is tested
			transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
			resp, err := (&http.Client{Transport: transport, Timeout: 3 * time.Second}).Get("https://" + address + "/livez")
			if err == nil {
				resp.Body.Close()
				t.Errorf("%s was let in at %s", name, door)
			}
		}
	}
}

func TestADirectoryOfAnotherNetworkIsRefused(t *testing.T) {
	n := start(t, 1, 1)
	head := n.Node("n1").Head()
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	planned := n.Plan.Nodes[0]
	text, err := os.ReadFile(planned.Config)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(text), n.Plan.ID.String(), strings.Repeat("ab", 32), 1)
	other = strings.Replace(other, "founding: founding.bin\n", "", 1)
	if err := os.WriteFile(planned.Config, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Start("n1"); err == nil || !strings.Contains(err.Error(), "is a directory of network "+n.Plan.ID.String()) {
		t.Errorf("started: %v", err)
	}
	if err := os.WriteFile(planned.Config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Start("n1"); err != nil {
		t.Fatal(err)
	}
	if got := n.Node("n1").Head(); got != head {
		t.Errorf("head %v, was %v", got, head)
	}
}
