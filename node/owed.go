package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// What this node has promised as a leader and a later leader did not have is owed: it
// lies in a directory of its own, a file for each entry, from before it leaves the log
// until it is a leaf or may not be one any more. The files are the truth; the channel
// only says that there is a new one.

const (
	// maxOwed is how many entries may be owed: as many as a leader has under way.
	maxOwed = 256
	// owedAgain is how soon what is still owed is handed over again.
	owedAgain = 5 * time.Second
)

func (n *Node) owedDir() string { return filepath.Join(n.cfg.Data, "owed") }

// takeBack is called by consensus with what a later leader did not have, before it is
// deleted here. If we crash behind it, the next start finds the file.
func (n *Node) takeBack(payload []byte) {
	entry, err := risk.DecodeEntry(payload)
	if err != nil || entry.Proposer != n.id {
		return // nobody has our word for it
	}
	if err := n.owe(entry.Signed.ID(), payload); err != nil {
		n.log.Error("alarm", "error", fmt.Errorf("a promise may be broken: command %s was taken out of the log and could not be noted: %w", entry.Signed.ID(), err))
		return
	}
	select {
	case n.owing <- struct{}{}:
	default: // it is known that there are some
	}
}

func (n *Node) owe(command risk.Hash, payload []byte) error {
	if err := os.MkdirAll(n.owedDir(), 0o700); err != nil {
		return err
	}
	if names, err := n.owed(); err != nil || len(names) >= maxOwed {
		return errors.Join(err, fmt.Errorf("%d are owed already", len(names)))
	}
	return writeFileSync(filepath.Join(n.owedDir(), command.String()), payload)
}

// owed names the files, without those that a crash left half written.
func (n *Node) owed() (names []string, err error) {
	entries, err := os.ReadDir(n.owedDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".new") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// keepPromises hands what is owed to whoever leads, until nothing is.
func (n *Node) keepPromises(ctx context.Context) error {
	tick := time.NewTicker(owedAgain)
	defer tick.Stop()
	for {
		if err := n.payAll(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("alarm", "error", fmt.Errorf("promises are not kept yet: %w", err))
		}
		select {
		case <-n.owing:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) payAll(ctx context.Context) error {
	names, err := n.owed()
	if err != nil || n.Head().Size == 0 {
		return err
	}
	for _, name := range names {
		if err := n.pay(ctx, filepath.Join(n.owedDir(), name)); errors.Is(err, errNotNow) || ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

var errNotNow = errors.New("nobody takes it now")

// pay hands one entry over. It stays owed while nobody could be asked.
func (n *Node) pay(ctx context.Context, file string) error {
	payload, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	entry, err := risk.DecodeEntry(payload)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", file, err), os.Remove(file))
	}
	command, err := risk.DecodeCommand(entry.Signed.Header)
	if err != nil || n.now().UnixMilli() > command.NotAfter {
		return os.Remove(file) // it may not be a leaf any more
	}
	once, cancel := context.WithTimeout(ctx, n.cfg.Limits.SubmitWait)
	defer cancel()
	req := &apiv1.SubmitRequest{Signed: entry.Signed.Encode(), Promise: n.promise(entry.Signed, entry.At)}
	receipt, err := n.ordered(once, req, entry.Signed, unheard)
	switch code := status.Code(err); {
	case err == nil:
		n.log.Info("a promised command was taken out of the log and proposed again", "command", entry.Signed.ID(), "leaf", receipt.Leaf)
	case code == codes.Unavailable || code == codes.ResourceExhausted || code == codes.DeadlineExceeded || code == codes.Canceled:
		return errNotNow
	default:
		n.log.Warn("a promised command is not taken any more", "command", entry.Signed.ID(), "error", err)
	}
	// If we crash here, it is handed over once more and gets its first outcome.
	return os.Remove(file)
}
