package client

import (
	"context"
	"fmt"
	"slices"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// Exporter gives every listing in force, one after the other. [Client] is one.
type Exporter interface {
	Export(ctx context.Context, ended bool, each func(*apiv1.Listing) error) error
}

// ShrunkError says that the file holds less than half of what stands in its
// source's name, so that nothing was lifted only because the file lacks it: a
// file that was cut off must not empty the list.
type ShrunkError struct {
	Held    int // listings that the file names
	Stood   int // listings that stood before the import
	Dropped int // listings that would be lifted
}

func (e *ShrunkError) Error() string {
	return fmt.Sprintf("sync: the file names %d listings, less than half of the %d that stood, so the %d that it does not name were left; see that the file is whole, and say --yes if it is",
		e.Held, e.Stood, e.Dropped)
}

// claim is in whose name something is said, and how. A file answers for the
// listings of its own claims and for no others.
type claim struct {
	kind   risk.Kind
	list   risk.List
	code   uint16
	origin risk.Origin
}

// holdings is what the file holds: 24 bytes and a map's share for each listing.
type holdings struct {
	named  map[listingAbout]bool // false: the source has taken it back
	claims map[claim]struct{}
	count  int
}

func newHoldings(template *Report, kinds []risk.Kind) *holdings {
	h := &holdings{named: map[listingAbout]bool{}, claims: map[claim]struct{}{}}
	for _, kind := range kinds {
		h.claims[claimOf(kind, &template.Item)] = struct{}{}
	}
	return h
}

func claimOf(kind risk.Kind, it *risk.Item) claim {
	return claim{kind: kind, list: it.List, code: it.Code, origin: it.Origin}
}

// add notes a record under the tokens of every epoch in use, and reports whether
// one before it listed the same. What is listed anywhere in the file is listed.
func (h *holdings) add(c claim, tokens []risk.Token, listed bool) (again bool) {
	h.claims[c] = struct{}{}
	for i, token := range tokens {
		about := listingAbout{c.kind, token, c.list, c.code}
		before, known := h.named[about]
		if i == 0 {
			again = before
			if !known {
				h.count++
			}
		}
		h.named[about] = before || listed
	}
	return again
}

// takenBack is what the walk over the standing listings finds.
type takenBack struct {
	stand   int              // listings of the file's claims that are in force
	ended   []risk.ListingID // the file says that they ended
	dropped []risk.ListingID // the file does not name them
}

// lift ends what the source has taken back. If we stop here, the listings of the
// file stand and nothing is lifted yet; the same import does the rest.
func (run *importing) lift(ctx context.Context) error {
	if run.Standing == nil || !run.Sync && run.result.Ended == 0 {
		return nil
	}
	found, err := run.compare(ctx)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	var shrunk error
	stood := found.stand - run.result.Accepted
	if run.To != nil && len(found.dropped) > 0 && run.held.count*2 < stood && !run.Anyway {
		shrunk = &ShrunkError{Held: run.held.count, Stood: stood, Dropped: len(found.dropped)}
		found.dropped = nil
	}
	if err := run.withdraw(ctx, found.ended, "The source has taken it back."); err != nil {
		return err
	}
	if err := run.withdraw(ctx, found.dropped, "The source does not name it any more."); err != nil {
		return err
	}
	return shrunk
}

// compare walks what stands. Listings under a token key that is not in use any
// more cannot be told, and are not found by checks either.
func (run *importing) compare(ctx context.Context) (takenBack, error) {
	var found takenBack
	epochs, reporter := run.Keys.ring.Epochs(), run.Reporter.String()
	err := run.Standing.Export(ctx, false, func(l *apiv1.Listing) error {
		if l.Reporter != reporter || !slices.Contains(epochs, risk.Epoch(l.Epoch)) {
			return nil
		}
		c, about, err := claimed(l)
		if err != nil {
			return err
		}
		if _, ours := run.held.claims[c]; !ours {
			return nil
		}
		found.stand++
		listed, known := run.held.named[about]
		if listed || !known && !run.Sync {
			return nil
		}
		if !known && l.SourceDateMs > run.Template.Item.SourceDate && run.Template.Item.SourceDate > 0 {
			return nil // reported from a newer file than this one
		}
		id, err := risk.ParseItemID(l.Id)
		if known {
			found.ended = append(found.ended, id)
		} else {
			found.dropped = append(found.dropped, id)
		}
		return err
	})
	return found, err
}

// claimed reads whose word a listing is and what it is about.
func claimed(l *apiv1.Listing) (claim, listingAbout, error) {
	kind, err := risk.ParseKind(l.Kind)
	if err != nil {
		return claim{}, listingAbout{}, err
	}
	list, err := risk.ParseList(l.List)
	if err != nil {
		return claim{}, listingAbout{}, err
	}
	origin := risk.Origin{}
	if origin.Kind, err = risk.ParseOriginKind(l.Origin); err == nil && l.OriginRef != "" {
		origin.Ref, err = risk.ParseID(l.OriginRef)
	}
	if err != nil || len(l.Token) != len(risk.Token{}) {
		return claim{}, listingAbout{}, fmt.Errorf("listing %s: its origin or token cannot be read", l.Id)
	}
	code := uint16(l.Code)
	return claim{kind, list, code, origin}, listingAbout{kind, risk.Token(l.Token), list, code}, nil
}

// withdraw lifts listings, or counts them in a dry run. One that somebody has
// lifted meanwhile is no fault.
func (run *importing) withdraw(ctx context.Context, ids []risk.ListingID, note string) error {
	if run.To == nil {
		run.result.Lifted += len(ids)
		return nil
	}
	for some := range slices.Chunk(ids, risk.MaxItems) {
		items, bodies := liftItems(risk.LiftWithdrawn, note, some)
		receipt, err := run.To.Do(ctx, &risk.Listings{}, items, bodies)
		if err != nil {
			return fmt.Errorf("lift: %w", err)
		}
		for i, out := range receipt.Outcomes {
			switch {
			case out.Status == risk.Lifted.String():
				run.result.Lifted++
			case out.Refusal == risk.Ended.String() || out.Refusal == risk.NotFound.String():
			default:
				return fmt.Errorf("lift: listing %s: %s: %s", some[min(i, len(some)-1)], out.Refusal, cureOf(out.Refusal))
			}
		}
		run.result.Size = max(run.result.Size, receipt.Leaf+1)
	}
	return nil
}
