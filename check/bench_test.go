package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/risknet/risknet/risk"
)

func BenchmarkCleanCheck(b *testing.B) {
	for _, n := range []crowd{10_000, 1_000_000, 10_000_000} {
		c, query := clean(b, n)
		b.Run(fmt.Sprintf("subjects=6/keys=%d", n), func(b *testing.B) {
			q, v := query(), &risk.Verdict{}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ask(q, i)
				if err := c.Check(q, v); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("subjects=6/keys=%d/parallel", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				q, v := query(), &risk.Verdict{}
				for i := rand.Int(); pb.Next(); i++ {
					ask(q, i)
					if err := c.Check(q, v); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// ask puts other tokens into a query, so that the filter's lines are not at hand.
func ask(q *Query, i int) {
	for j := range q.Subjects {
		a := &q.Subjects[j].Asked[0]
		a.Token = keyNumber(1<<40 + 6*i + j).Token
	}
}

func BenchmarkListedCheck(b *testing.B) {
	book := newBook()
	c := newChecker(b, book, 0, Config{})
	c.Absorb(book.list(keysFrom(0, 1000)...))
	q, v := askFor(keyNumber(7)), &risk.Verdict{}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Check(q, v); err != nil || !v.Listed {
			b.Fatal(err)
		}
	}
}

func BenchmarkFilterMiss(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		c := newChecker(b, crowd(n), 0, Config{})
		f := &c.Load().filter
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			for i := uint64(1); b.Loop(); i++ {
				f.ask(i*0x9e3779b97f4a7c15, Key{})
			}
			b.ReportMetric(c.Stats().FalsePositiveRate, "fpr")
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []crowd{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			c := newChecker(b, n, 0, Config{})
			for b.Loop() {
				if err := c.Rebuild(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(c.Stats().Bytes)/float64(n), "bytes/key")
		})
	}
}

func touch(keys []Key) []Touched {
	list := make([]Touched, len(keys))
	for i, k := range keys {
		list[i] = Touched{k, 1}
	}
	return list
}

// A batch of 512 listings over a recent layer that is nearly due for a build.
func BenchmarkAbsorb(b *testing.B) {
	c := newChecker(b, crowd(1_000_000), 0, Config{})
	c.Absorb(Batch{Version: 1, Linked: touch(keysFrom(1<<40, 60_000))})
	full := c.Load()
	batch := Batch{Version: 2, Linked: touch(keysFrom(1<<41, risk.MaxItems))}
	b.ReportAllocs()
	for b.Loop() {
		c.view.Store(full)
		full.next = make(chan struct{})
		c.Absorb(batch)
	}
}

// A base of 10 million keys, once they are read.
func BenchmarkGatheredIndex(b *testing.B) {
	const n = 10_000_000
	for b.Loop() {
		var g gathering
		for i := range uint64(n) {
			g.add((i+1)*0x9e3779b97f4a7c15, Sum(i|1))
		}
		x := g.index()
		if err := g.test(x); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(x.size())/n, "B/key")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/key")
}
