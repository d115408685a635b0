package store

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sync/errgroup"

	"github.com/risknet/risknet/risk"
)

// tokensAtOnce is how many tokens a reader of links hands over at a time.
const tokensAtOnce = 1024

// Tokens yields each token that has a listing, once, in no order, with the sum of its
// links. The links are read on as many processors as there are, each a part of the
// space of tokens; yield is called by the caller alone.
func (r *Reader) Tokens(version uint64, yield func(risk.Kind, risk.Token, uint16) error) error {
	return r.gen.scan(version, func(txn *badger.Txn) error {
		want, err := linksOf(txn)
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		readers, ctx := errgroup.WithContext(ctx)
		read, found := atomic.Uint64{}, make(chan []Touched, 4)
		parts := min(runtime.GOMAXPROCS(0), 4)
		for i := range parts {
			p := tokenPart{from: 256 * i / parts, to: 256 * (i + 1) / parts, found: found, ctx: ctx}
			readers.Go(func() error {
				err := p.walk(r.gen, version)
				read.Add(p.links)
				return err
			})
		}
		var stopped error
		done := make(chan error, 1)
		go func() { done <- readers.Wait(); close(found) }()
		for list := range found {
			for i := 0; i < len(list) && stopped == nil; i++ {
				if stopped = yield(list[i].Kind, list[i].Token, list[i].Delta); stopped != nil {
					stop()
				}
			}
		}
		err = <-done
		switch {
		case stopped != nil:
			return stopped
		case err == nil && read.Load() != want:
			return missingLinks(read.Load(), want)
		}
		return err
	})
}

// tokenPart are the links of tokens whose first byte is in [from, to).
type tokenPart struct {
	from, to int
	found    chan<- []Touched
	ctx      context.Context
	links    uint64
	list     []Touched
}

func (p *tokenPart) walk(gen *generation, version uint64) (err error) {
	defer gen.caught(&err)
	txn := gen.db.NewTransactionAt(version, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixLink}})
	defer it.Close()
	for it.Seek([]byte{prefixLink, 0, byte(p.from)}); it.Valid(); {
		item := it.Item()
		raw := item.Key()
		switch kind, first := raw[1], int(raw[2]); {
		case first < p.from:
			it.Seek([]byte{prefixLink, kind, byte(p.from)})
		case first >= p.to && kind == 255:
			return p.hand(nil)
		case first >= p.to:
			it.Seek([]byte{prefixLink, kind + 1, byte(p.from)})
		default:
			if err := p.add(raw, item.Version()); err != nil {
				return err
			}
			it.Next()
		}
	}
	return p.hand(nil)
}

// add takes a link; those of one token follow each other.
func (p *tokenPart) add(raw []byte, version uint64) error {
	p.links++
	k, sum := Key{Kind: risk.Kind(raw[1]), Token: risk.Token(raw[2:18])}, linkSum(raw[1:], version)
	if last := len(p.list) - 1; last >= 0 && p.list[last].Key == k {
		p.list[last].Delta += sum
		return nil
	}
	if len(p.list) == tokensAtOnce {
		if err := p.hand(make([]Touched, 0, tokensAtOnce)); err != nil {
			return err
		}
	}
	p.list = append(p.list, Touched{k, sum})
	return nil
}

// hand gives what was found to who asked, and goes on with another list.
func (p *tokenPart) hand(next []Touched) error {
	list := p.list
	p.list = next
	select {
	case p.found <- list:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}
