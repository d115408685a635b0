package client_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

var errLost = status.Error(codes.Unavailable, "the leader was killed")

func TestALostReceiptIsAskedForWithTheSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.lose = func(attempt int) error {
			if attempt < 4 {
				return errLost
			}
			return nil
		}
		author, heard := n.author(), 0
		author.Retrying = func(error) { heard++ }
		receipt, err := author.Do(t.Context(), &risk.Admit{Reporter: risk.ID{2}, Role: risk.RoleMember, Keys: []risk.PublicKey{{Algorithm: risk.Ed25519, Bytes: [32]byte{9}}}}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(n.sent) != 4 || heard != 3 {
			t.Fatalf("sent %d times, heard %d times", len(n.sent), heard)
		}
		for i, again := range n.sent[1:] {
			if !bytes.Equal(again, n.sent[0]) {
				t.Errorf("attempt %d sends other bytes", i+2)
			}
		}
		if !receipt.Repeated || n.leaves != 2 {
			t.Errorf("repeated %t, %d leaves: the command must be applied once", receipt.Repeated, n.leaves)
		}
	})
}

func TestSendingEndsWithTheCommandsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.fail = func(int) error { return errLost }
		author, start := n.author(), time.Now()
		author.Lifetime = time.Minute
		_, err := author.Do(t.Context(), &risk.RemoveNode{Node: risk.ID{1}}, nil, nil)
		if status.Code(err) != codes.Unavailable {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(start); took < time.Minute || took > time.Minute+2*time.Second {
			t.Errorf("gave up after %s, and the command lives a minute", took)
		}
	})
}

func TestWhatIsFinalIsNotSentAgain(t *testing.T) {
	n := newNetwork(t)
	n.fail = func(int) error { return status.Error(codes.PermissionDenied, "not you") }
	if _, err := n.author().Do(t.Context(), &risk.RemoveNode{Node: risk.ID{1}}, nil, nil); err == nil || len(n.sent) != 1 {
		t.Errorf("error %v after %d attempts", err, len(n.sent))
	}
	n.fail = nil
	_, err := n.author().Do(t.Context(), &risk.RemoveNode{Node: risk.ID{1}}, nil, nil)
	if refused, ok := errors.AsType[*client.RefusedError](err); !ok || !strings.Contains(refused.Error(), "not_found: node: ") {
		t.Errorf("got %v", err)
	}
}
