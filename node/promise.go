package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// A leader promises a command when it is on its own disk and nobody else's word has
// come yet: it will be a leaf by some time. From then on dropping it can be proven.
// The leader keeps its word over a loss of leadership and over a crash, because
// consensus hands back what is taken out of its log; see owed. It breaks it without
// guilt where no majority stands for as long, where its disk is lost, and where an image
// takes the place of its log.
const promiseWithin = 30 * time.Second

// promise signs the leader's word; nil if this node signs nothing, if the command would
// leave nothing under this stamp, or if it ends before the word would be due: a change
// of leaders takes longer than some commands live.
func (n *Node) promise(signed *risk.Signed, at int64) []byte {
	command, err := risk.DecodeCommand(signed.Header)
	if err != nil || command.NotAfter < at+promiseWithin.Milliseconds() || command.Time > at+risk.MaxAheadMillis || command.Params.Kind() == risk.KindResetTime {
		return nil
	}
	net, err := n.store.Network()
	if err != nil || net == nil || n.checkpoints.diverged.Load() != nil {
		return nil
	}
	p, err := n.pensFor(net.Origin)
	if err != nil {
		return nil
	}
	by := at + promiseWithin.Milliseconds()
	note, err := ledger.SignPromise(ledger.Promise{Origin: net.Origin, Command: ledger.Hash(signed.ID()), At: at, By: by, NotAfter: command.NotAfter}, p.signer)
	if err != nil {
		return nil
	}
	return note
}

// word gives a promise to whoever asked for it, once the entry is on disk, and
// never after the proposal has its answer.
type word struct {
	stored chan struct{}
	done   chan struct{}
	given  sync.WaitGroup
}

func newWord(give func()) *word {
	w := &word{stored: make(chan struct{}), done: make(chan struct{})}
	w.given.Go(func() {
		select {
		case <-w.stored:
		case <-w.done:
			select {
			case <-w.stored:
			default:
				return
			}
		}
		give()
	})
	return w
}

// end returns when the promise has been given, or never will be.
func (w *word) end() {
	close(w.done)
	w.given.Wait()
}

// withPromise adds the leader's promise to the error of a command whose outcome is
// not known.
func withPromise(err error, promise []byte) error {
	if len(promise) == 0 {
		return err
	}
	detailed, failed := status.Convert(err).WithDetails(&apiv1.Promised{Promise: promise})
	if failed != nil {
		return err
	}
	return detailed.Err()
}

// absentFresh is how old the view of a node may be that says what is not there.
const absentFresh = 2 * time.Second

// Absent signs that a promised command is no leaf here. It is said only while it can
// be known: by a node whose view is complete, of a command whose outcome could not
// yet have been forgotten.
func (s *commandService) Absent(_ context.Context, req *apiv1.AbsentRequest) (*apiv1.AbsentResponse, error) {
	n := s.node
	if err := errors.Join(n.ready(), n.tooOldToDeny()); err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	promise, err := n.readPromise(req.Promise)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "promise: %v", err)
	}
	found, head, err := n.store.Known(risk.Hash(promise.Command), promise.NotAfter)
	if err != nil {
		return nil, refusalStatus(err)
	}
	if found != nil {
		return &apiv1.AbsentResponse{Leaf: &found.Leaf}, nil
	}
	if err := n.saveAnchor(); err != nil {
		return nil, internal(err)
	}
	p, err := n.pensFor(promise.Origin)
	if err != nil {
		return nil, internal(err)
	}
	note, err := ledger.SignAbsence(ledger.Absence{Origin: promise.Origin, Command: promise.Command, Promise: promise.Hash(),
		Time: n.now().UnixMilli(), Size: head.Size, Root: ledger.Hash(head.Root)}, p.signer)
	if err != nil {
		return nil, internal(err)
	}
	return &apiv1.AbsentResponse{Absence: note}, nil
}

// readPromise does not ask who signed: the answer says nothing but what is true of the
// promise's own words, and whoever signed it may have another key by now, or be gone.
func (n *Node) readPromise(note []byte) (ledger.Promise, error) {
	net, err := n.store.Network()
	if err != nil || net == nil {
		return ledger.Promise{}, errors.Join(err, errNoState)
	}
	return ledger.ReadPromise(note, net.Origin)
}

func (n *Node) tooOldToDeny() error {
	if age := n.checker.Age(); age > absentFresh {
		return fmt.Errorf("the view is %s old; ask again in a moment", age.Round(time.Millisecond))
	}
	return nil
}
