package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/client"
)

// A node that knows nothing of the vectors and takes no commands is found out.
func TestANodeThatIsOtherwiseDoesNotPass(t *testing.T) {
	p := newPKI(t)
	n := p.startNode(t, nil)
	report, err := client.RunConformance(t.Context(), dialNode(t, p, n.address, ""))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(report.Failures, "\n")
	for _, want := range []string{
		"ip \"192.0.2.254\": listed is false for the raw value, want true",
		"ip \"192.0.2.253\": the answer names no size and root",
		"card \"4111111111111112\": the node takes it for an identifier",
		"command as it is \"listings\": the node answers",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the report has not %q", want)
		}
	}
	if strings.Contains(all, "token of") {
		t.Errorf("this program's own tokens failed: %s", all)
	}
}

func TestNoOtherNodeAnswersForTheApplicants(t *testing.T) {
	p := newPKI(t)
	other, n := p.startNode(t, nil), p.startNode(t, nil)
	n.peers, n.deaf = []string{other.address}, true
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := client.RunConformance(ctx, dialNode(t, p, n.address, "")); err == nil {
		t.Error("a run that was not finished is no run")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	other.mu.Lock()
	defer other.mu.Unlock()
	if n.checks == 0 || other.checks != 0 {
		t.Errorf("the node was asked %d times, the other one %d times", n.checks, other.checks)
	}
}
