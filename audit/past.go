package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// walkAt walks the state that the leaves up to a size give. Leaves and bodies are
// our own.
func (r *Replica) walkAt(ctx context.Context, size uint64) (*walk, error) {
	st, remove, err := r.again(size)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	w := &walk{records: make(chan [2][]byte, 256), failed: make(chan error, 1), stop: stop, remove: remove}
	go func() {
		defer close(w.records)
		w.failed <- st.Records(ctx, func(risk.Head) error { return nil }, func(key, value []byte) error {
			select {
			case w.records <- [2][]byte{key, value}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return w, nil
}

// again applies the replica's own leaves once more, up to a size.
func (r *Replica) again(size uint64) (st *store.Store, remove func(), err error) {
	if size == r.Head().Size {
		return r.store, func() {}, nil
	}
	dir := filepath.Join(r.dir, fmt.Sprintf("at-%d", size))
	if st, err = store.Open(dir, store.Options{Network: r.options.Network, Logger: quiet}); err != nil {
		return nil, nil, err
	}
	remove = func() { _ = errors.Join(st.Close(), os.RemoveAll(dir)) }
	if err := r.feed(st, size); err != nil {
		remove()
		return nil, nil, err
	}
	return st, remove, nil
}

func (r *Replica) feed(to *store.Store, size uint64) error {
	var batch []store.Replayed
	for index := uint64(0); index < size; index++ {
		leaf, err := r.store.Leaf(index)
		if err != nil {
			return err
		}
		if batch = append(batch, store.Replayed{Leaf: leaf}); len(batch) == 256 || index == size-1 {
			if err := to.Replay(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

// Past answers checks as of the replica's own size. Keys are the token keys; the
// replica must have been made with bodies.
func (r *Replica) Past(ctx context.Context, keys []node.TokenKey) (*node.Past, error) {
	clock, err := r.store.Clock()
	if err != nil {
		return nil, err
	}
	return node.NewPast(ctx, r.store, keys, time.UnixMilli(clock.Time))
}
