// Command peers measures a check in process beside what else could evaluate its
// rules: a loop over cel-go programs, expr, and OPA. It is a module of its own, so
// that their trees stay out of the project's.
//
//	go run -C bench/peers . [-goes 5] [-for 300ms] [-listings 10000000]
//	go run -C bench/peers . -badger 1000000
//
// The second measures what badger alone takes for so many entries.
//
// It prints one line of JSON for each row. Ours is the whole check each time: the
// filter over all listings for six subjects, the rules, the verdict. Theirs is the
// rules alone, over the same facts.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/risknet/risknet/check"
)

type options struct {
	goes     int
	each     time.Duration
	listings int
}

func main() {
	var o options
	flag.IntVar(&o.goes, "goes", 5, "measurements of each side of a row, in turn; the median counts")
	flag.DurationVar(&o.each, "for", 300*time.Millisecond, "how long one measurement takes")
	flag.IntVar(&o.listings, "listings", 10_000_000, "listings in the filter")
	entries := flag.Int("badger", 0, "measure badger alone, with so many entries, and nothing else")
	flag.Parse()
	if *entries > 0 {
		if err := badgerAlone(*entries); err != nil {
			fmt.Fprintln(os.Stderr, "peers: badger:", err)
			os.Exit(1)
		}
		return
	}
	if err := compare(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// row is one comparison: two sides that are measured in turn.
type row struct {
	name, what, peer string
	unit             string
	theirs, ours     func() (float64, error)
}

// figure is a row as it is printed. Spread is the least and the largest ratio of a go.
type figure struct {
	Row    string     `json:"row"`
	What   string     `json:"what"`
	Peer   string     `json:"peer"`
	Theirs float64    `json:"theirs"`
	Ours   float64    `json:"ours"`
	Unit   string     `json:"unit"`
	Ratio  float64    `json:"ratio"`
	Spread [2]float64 `json:"spread"`
}

func compare(ctx context.Context, o options) error {
	rows, err := allRows(ctx, o)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(os.Stdout)
	for _, r := range rows {
		f, err := r.measure(o.goes)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := lines.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// measure takes both sides in turn, so that a slow moment of the machine is both's.
func (r *row) measure(goes int) (figure, error) {
	var theirs, ours, ratios []float64
	for range goes {
		t, err := r.theirs()
		if err != nil {
			return figure{}, fmt.Errorf("%s: %w", r.peer, err)
		}
		u, err := r.ours()
		if err != nil {
			return figure{}, err
		}
		theirs, ours = append(theirs, t), append(ours, u)
		if u > 0 {
			ratios = append(ratios, t/u)
		}
	}
	f := figure{Row: r.name, What: r.what, Peer: r.peer, Theirs: median(theirs), Ours: median(ours), Unit: r.unit}
	if len(ratios) > 0 {
		f.Ratio, f.Spread = median(ratios), [2]float64{slices.Min(ratios), slices.Max(ratios)}
	}
	return f, nil
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// nanos gives what one call takes, over about so long a time.
func nanos(each time.Duration, do func(i int) error) (float64, error) {
	const step = 64
	n, begin := 0, time.Now()
	for {
		for range step {
			if err := do(n); err != nil {
				return 0, err
			}
			n++
		}
		if took := time.Since(begin); took >= each {
			return float64(took.Nanoseconds()) / float64(n), nil
		}
	}
}

// allRows are the rows of the issue: peers, growth with rules and with listings.
func allRows(ctx context.Context, o options) ([]row, error) {
	most, err := newChecker(ctx, o.listings)
	if err != nil {
		return nil, err
	}
	rows, err := peerRows(o, most)
	if err != nil {
		return nil, err
	}
	ours := func(c *check.Checker, r ruleSet) func() (float64, error) { return checkSide(o.each, c, r) }
	rows = append(rows, row{name: "rules-1000", what: "a check with 1,000 rules beside one with 100, both ours; at most 3 times", peer: "ours with 1,000 rules",
		unit: "ns/check", theirs: ours(most, bench(1000)), ours: ours(most, bench(100))})
	rows = append(rows, row{name: "rules-1000-asked", what: "the same, of rules each of which must be asked", peer: "ours with 1,000 rules",
		unit: "ns/check", theirs: ours(most, asked(1000)), ours: ours(most, asked(100))})
	for _, n := range []int{100_000, 1_000_000, o.listings} {
		c, few := most, (*check.Checker)(nil)
		if few, err = newChecker(ctx, 10_000); err != nil {
			return nil, err
		}
		if n != o.listings {
			if c, err = newChecker(ctx, n); err != nil {
				return nil, err
			}
		}
		rows = append(rows, row{name: fmt.Sprintf("listings-%d", n), what: fmt.Sprintf("a check over %d listings beside one over 10,000, both ours; at most 1.5 times", n),
			peer: fmt.Sprintf("ours over %d listings", n), unit: "ns/check", theirs: ours(c, bench(100)), ours: ours(few, bench(100))})
	}
	return rows, nil
}
