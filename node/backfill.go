package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/store"
)

// Chunk gives a finished part of the ledger to a node that lacks it.
func (s *peerService) Chunk(_ context.Context, req *apiv1.ChunkRequest) (*apiv1.ChunkResponse, error) {
	chunk, err := s.node.store.ReadChunk(req.Before)
	if errors.Is(err, store.ErrNotHeld) {
		return nil, status.Errorf(codes.NotFound, "before: this node holds the ledger from leaf %d to %d", s.node.store.LedgerFrom(), s.node.Head().Size)
	}
	if err != nil {
		return nil, internal(err)
	}
	return &apiv1.ChunkResponse{Chunk: chunk.Encode()}, nil
}

const (
	firstRetry    = 50 * time.Millisecond // connections may not be up yet; then twice as long each time
	backfillRetry = 5 * time.Second
	chunkPatience = 30 * time.Second
)

// backfill fetches the ledger behind the image that this node was brought up
// with, backwards, from whoever has it. Each chunk proves itself against the
// tree that this node trusts already, so it does not matter who gave it.
func (n *Node) backfill(ctx context.Context) error {
	told, retry := uint64(0), firstRetry
	for {
		before := n.store.LedgerFrom()
		if before == 0 {
			if told > 0 {
				n.log.Info("the ledger is here whole", "fetched", told)
				told = 0
			}
			if !pause(ctx, time.Second) { // an image may come at any time
				return nil
			}
			continue
		}
		if told == 0 {
			told = before
			n.log.Info("fetching the older ledger from the others", "from", before)
		}
		if err := n.fetchChunk(ctx, before); err != nil {
			if n.store.Err() != nil || ctx.Err() != nil {
				return nil // who applies says why
			}
			n.log.Debug("the older ledger could not be fetched yet", "error", err)
			if !pause(ctx, retry) {
				return nil
			}
			retry = min(2*retry, backfillRetry)
			continue
		}
		retry = firstRetry
	}
}

// fetchChunk asks one node after the other, the last good one first.
func (n *Node) fetchChunk(ctx context.Context, before uint64) error {
	if err := n.disk.hold(); err != nil {
		return err
	}
	others, err := n.recordedOthers()
	if err != nil {
		return err
	}
	places := placesOf(others)
	failed := errors.New("no other node is known")
	for i := range places {
		at := (n.chunkSource + i) % len(places)
		if failed = n.chunkFrom(ctx, places[at], before); failed == nil {
			n.chunkSource = at
			return nil
		}
	}
	return failed
}

func (n *Node) chunkFrom(ctx context.Context, from place, before uint64) error {
	conn, err := n.peers.dial(from)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, chunkPatience)
	defer cancel()
	resp, err := apiv1.NewPeersClient(conn).Chunk(ctx, &apiv1.ChunkRequest{Before: before})
	if err != nil {
		return fmt.Errorf("%s: %w", from.api, err)
	}
	chunk, err := store.DecodeChunk(resp.Chunk)
	if err == nil {
		err = n.store.AddChunk(before, chunk)
	}
	if err != nil {
		n.log.Error("alarm", "error", fmt.Errorf("part of the ledger before %d that %s gave: %w", before, from.api, err))
		return err
	}
	return nil
}
