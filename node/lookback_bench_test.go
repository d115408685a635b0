package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// A check with and without the journal, while the journal is written beside it. The
// share of notes that were dropped says how much of this rate the journal took.
func BenchmarkCheckAndItsNote(b *testing.B) {
	for _, mode := range []string{"off", "on"} {
		b.Run("journal="+mode, func(b *testing.B) {
			d := newDesk(b)
			journal := d.look
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { _ = d.keepJournal(ctx); close(done) }()
			defer func() { stop(); <-done; d.look = journal }()
			if mode == "off" {
				stop()
				<-done
				d.look = nil
			}
			service, next := newCheckService(d.Node), atomic.Int64{}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := next.Add(1)
					req := &apiv1.CheckRequest{Payment: &apiv1.Payment{TransactionId: fmt.Sprint("T-", i), Amount: 9900, Currency: "CNY"},
						Subjects: []*apiv1.Subject{
							{Kind: "phone", Role: "payee", Value: fmt.Sprintf("138%08d", i%1_000_000)},
							{Kind: "merchant", Role: "payee", Value: fmt.Sprintf("0102/M%07d", i%5000)},
							{Kind: "device", Role: "payer", Value: fmt.Sprintf("device-%d", i%300_000)},
							{Kind: "ip", Role: "payer", Value: fmt.Sprintf("203.0.%d.%d", i>>8&255, i&255)},
						}}
					if _, err := service.answerMessage(b.Context(), req, Identity{Institution: "member", Role: RoleHub}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "checks/s")
			b.ReportMetric(100*float64(journal.lost())/float64(b.N), "%dropped")
		})
	}
}

// A note that the whole journal is gone through for, as at a start after a crash.
func BenchmarkLookAtANote(b *testing.B) {
	d := newDesk(b)
	for i := range b.N {
		d.asks("member", fmt.Sprint("T-", i), fmt.Sprintf("138%08d", i))
		if len(d.look.queue) == writtenAtOnce {
			d.writes()
		}
	}
	d.writes()
	d.look.backlog.add(0, true)
	b.ResetTimer()
	d.settles()
}

// From the command that lists or lifts, as it is applied, to the alert that a reader
// may have, synced.
func BenchmarkFromAChangeToItsAlert(b *testing.B) {
	for _, change := range []string{"listed", "lifted"} {
		b.Run(change, func(b *testing.B) {
			d := newDesk(b)
			var ids []risk.ListingID
			for i := range b.N {
				if change == "lifted" {
					ids = append(ids, d.lists(d.acq, 1, fmt.Sprintf("138%08d", i)))
				}
				d.asks("member", fmt.Sprint("T-", i), fmt.Sprintf("138%08d", i))
				d.writes()
			}
			d.settles()
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { _ = d.lookBack(ctx); close(done) }()
			defer func() { stop(); <-done }()
			b.ResetTimer()
			for i := range b.N {
				more := d.look.journal.Changed()
				if change == "listed" {
					d.lists(d.acq, 1, fmt.Sprintf("138%08d", i))
				} else {
					d.lifts(d.acq, ids[i])
				}
				<-more
			}
		})
	}
}

func TestTheJournalRestsLongerWhereWritingTakesLonger(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		time.Millisecond:      99 * time.Millisecond, // the pace
		10 * time.Millisecond: 90 * time.Millisecond,
		30 * time.Millisecond: 270 * time.Millisecond, // the share
	} {
		if got := notePause(500, took); got != want {
			t.Errorf("500 notes in %v: a rest of %v, not %v", took, got, want)
		}
	}
}
