package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

// tokenOf is the token of an identifier under the test keyring.
func tokenOf(t testing.TB, kind risk.Kind, value string) string {
	t.Helper()
	ring, err := token.NewKeyring(token.NewKey(1, [32]byte(keyringResponse(1).Keys[0].Secret)))
	if err != nil {
		t.Fatal(err)
	}
	asked, err := ring.List(kind, value)
	if err != nil {
		t.Fatal(err)
	}
	return string(asked.Token[:])
}

func checkText(t testing.TB, c *client.Client, text string, o client.RowOptions) (answers []string, err error) {
	t.Helper()
	return checkPatiently(t, c, text, o, time.Minute)
}

func checkPatiently(t testing.TB, c *client.Client, text string, o client.RowOptions, patience time.Duration) (answers []string, err error) {
	t.Helper()
	rows, err := client.NewRowReader(strings.NewReader(text), client.QuestionRows(o))
	if err != nil {
		t.Fatal(err)
	}
	checker := &client.Checker{Client: c, Patience: patience, Answer: func(a client.Answer) error {
		what := a.Error
		if what == "" {
			what = a.Response.Advice
		}
		answers = append(answers, fmt.Sprintf("%d %s", a.Line, what))
		return nil
	}}
	count, err := checker.Run(t.Context(), rows)
	if err == nil && count != len(answers) {
		t.Errorf("counted %d answers, gave %d", count, len(answers))
	}
	return answers, err
}

// devices is a file in which every tenth device is listed, and what is right.
func devices(t testing.TB, count int) (text string, listed map[string]bool, want []string) {
	var b strings.Builder
	listed = map[string]bool{}
	for i := range count {
		value, advice := fmt.Sprintf("d-%d", i), "allow"
		if i%10 == 3 {
			advice, listed[tokenOf(t, risk.KindDevice, value)] = "deny", true
		}
		fmt.Fprintln(&b, value)
		want = append(want, fmt.Sprintf("%d %s", i+1, advice))
	}
	return b.String(), listed, want
}

var deviceLines = client.RowOptions{Format: client.FormatValues, Identity: "device"}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d answers, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("answer %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestAnswersComeInTheOrderOfTheFile(t *testing.T) {
	text, listed, want := devices(t, 5000)
	p := newPKI(t)
	n := p.startNode(t, listed)
	got, err := checkText(t, dialNode(t, p, n.address, ""), text, deviceLines)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, want)
	if n.raw != 0 {
		t.Errorf("%d raw values were sent", n.raw)
	}
}

func TestABrokenStreamIsAskedAgainWhereItBroke(t *testing.T) {
	text, listed, want := devices(t, 5000)
	p := newPKI(t)
	n := p.startNode(t, listed)
	n.breaks = []int{3, 4, 20, 37}
	got, err := checkText(t, dialNode(t, p, n.address, ""), text, deviceLines)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, want)
}

func TestAnotherNodeAnswersForADeadOneUnlessOneWasNamed(t *testing.T) {
	text, listed, want := devices(t, 3000)
	p := newPKI(t)
	always := make([]int, 1000)
	for i := range always {
		always[i] = i + 5 // the first four batches are answered
	}
	dying, other := p.startNode(t, listed), p.startNode(t, listed)
	dying.breaks, dying.peers = always, []string{other.address}
	got, err := checkText(t, dialNode(t, p, dying.address, ""), text, deviceLines)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, want)

	home := p.startNode(t, listed)
	home.peers = []string{dying.address}
	c := dialNode(t, p, home.address, dying.address)
	if _, err = checkPatiently(t, c, text, deviceLines, 300*time.Millisecond); status.Code(err) != codes.Unavailable {
		t.Errorf("a named node that is dead: %v", err)
	}
	if home.batches != 0 {
		t.Errorf("%d batches went to a node that was not asked", home.batches)
	}
}

func TestTheTokenKeyComesFromTheOwnNode(t *testing.T) {
	text, listed, want := devices(t, 300)
	p := newPKI(t)
	home, asked := p.startNode(t, nil), p.startNode(t, listed)
	asked.keyring = &apiv1.KeyringResponse{Keys: []*apiv1.TokenKey{{Epoch: 1, Secret: make([]byte, 31)}}, ScopesVersion: 1}
	got, err := checkText(t, dialNode(t, p, home.address, asked.address), text, deviceLines)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, want)
}

func TestScopesThatComeIntoUseAreFetched(t *testing.T) {
	p := newPKI(t)
	n := p.startNode(t, map[string]bool{tokenOf(t, risk.KindIP, "10.1.0.0/16"): true})
	c := dialNode(t, p, n.address, "")
	if _, err := c.Keyring(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	n.keyring = keyringResponse(2, &apiv1.Scope{Family: 1, Length: 16})
	n.mu.Unlock()
	got, err := checkText(t, c, "10.1.2.3\n10.2.2.3\n", client.RowOptions{Format: client.FormatValues, Identity: "ip"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, []string{"1 deny", "2 allow"})

	n.mu.Lock()
	n.keyring = keyringResponse(3, &apiv1.Scope{Family: 1, Length: 16})
	n.mu.Unlock()
	var q client.Question
	if err := q.Set("payer.ip", "10.1.9.9"); err != nil {
		t.Fatal(err)
	}
	if answer, err := c.Check(t.Context(), &q); err != nil || answer.Advice != "deny" {
		t.Errorf("one check: %v, %v", answer, err)
	}
}

func TestRowsThatCannotBeAskedStandInTheirPlace(t *testing.T) {
	p := newPKI(t)
	n := p.startNode(t, map[string]bool{tokenOf(t, risk.KindIP, "5.6.7.8"): true})
	n.keyring = keyringResponse(1, &apiv1.Scope{Family: 1, Length: 32})
	text := "a,m,cur,who\n" +
		"1.2.3.4,100,CNY,\"over\ntwo lines\"\n" + // 2
		"5.6.7.8,,,\n" + // 4
		"1.2.3.400,,,\n" + // 5
		",,,\n" + // 6
		"1.2.3.4,1.5,,\n" + // 7
		"1.2.3.4,,,,\n" + // 8
		"1.2.3.4,1,XXX,\n" + // 9
		"5.6.7.8,1,,"
	got, err := checkText(t, dialNode(t, p, n.address, ""), text, client.RowOptions{Format: client.FormatCSV,
		Columns: columns("a=ip", "m=amount", "cur=currency", "who=payee.device")})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"2 contains", "4 deny", "5 ip: ", "6 subject: is missing", "7 amount: ", "8 the record has 5 fields", "9 currency: XXX", "10 deny"}
	want[0] = "2 device: contains a control character"
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range got {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q…", got[i], want[i])
		}
	}
}

func TestACheckerEndsWhenTheCallerHasEnough(t *testing.T) {
	text, listed, _ := devices(t, 5000)
	p := newPKI(t)
	c := dialNode(t, p, p.startNode(t, listed).address, "")
	enough := errors.New("enough")
	rows, err := client.NewRowReader(strings.NewReader(text), client.QuestionRows(deviceLines))
	if err != nil {
		t.Fatal(err)
	}
	checker := &client.Checker{Client: c, Answer: func(a client.Answer) error {
		if a.Line == 1000 {
			return enough
		}
		return nil
	}}
	if _, err := checker.Run(t.Context(), rows); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rows, _ = client.NewRowReader(strings.NewReader(text), client.QuestionRows(deviceLines))
	checker.Answer = func(a client.Answer) error {
		if a.Line == 1000 {
			cancel()
		}
		return nil
	}
	if _, err := checker.Run(ctx, rows); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAStrangerIsNotAnswered(t *testing.T) {
	p := newPKI(t)
	n := p.startNode(t, nil)
	c := dialNode(t, newPKI(t), n.address, "")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Keyring(ctx); err == nil {
		t.Error("a certificate of another CA was good enough")
	}
}

// A node refuses batches that wait for too long behind others of the same run. They are
// asked again, fewer at a time, of the same node.
func TestWhatANodeHasNoTimeForIsAskedAgain(t *testing.T) {
	text, listed, want := devices(t, 5000)
	p := newPKI(t)
	n, other := p.startNode(t, listed), p.startNode(t, listed)
	n.peers = []string{other.address}
	seen := 0
	n.says(func(out *apiv1.CheckResponse) {
		if seen++; seen > 128*3 && seen <= 128*4 {
			*out = apiv1.CheckResponse{Error: "too many", ErrorCode: uint32(codes.ResourceExhausted), RetryAfterMs: 50}
		}
	})
	got, err := checkText(t, dialNode(t, p, n.address, ""), text, deviceLines)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, want)
	if other.answered() > 0 {
		t.Errorf("%d checks went to another node", other.answered())
	}
}
