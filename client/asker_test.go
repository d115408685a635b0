package client_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func TestTheChecksOfManyGoroutinesShareMessages(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("over TLS", func(t *testing.T) {
		_, listed, want := devices(t, 500)
		p := newPKI(t)
		n := p.startNode(t, listed)
		a := newAsker(t, dialNode(t, p, n.address, ""), client.AskerConfig{Streams: 1})
		var group sync.WaitGroup
		for i := range want {
			q := device(t, fmt.Sprintf("d-%d", i))
			group.Go(func() {
				for range 10 {
					answer, err := a.Check(t.Context(), q)
					if got := fmt.Sprintf("%d %s", i+1, answer.GetAdvice()); got != want[i] {
						t.Errorf("got %q (%v), want %q", got, err, want[i])
					}
				}
			})
		}
		group.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.checks != 5000 || n.batches > 2500 || n.raw != 0 {
			t.Errorf("%d checks in %d messages, %d of them raw", n.checks, n.batches, n.raw)
		}
	})
}

func TestALoneCheckWaitsForNobody(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		a := w.asker(client.AskerConfig{})
		tell(t.Context(), a, device(t, "bad")).is(t, "deny", codes.OK, 0)
		tell(t.Context(), a, device(t, "good")).is(t, "allow", codes.OK, 0)
	})
}

func TestANodeThatHangsIsPassedOver(t *testing.T) {
	inTown(t, 2, func(t *testing.T, w *town) {
		a := w.asker(client.AskerConfig{AnswerWithin: 300 * time.Millisecond, Streams: 1})
		w.net.Dark(host(0), true)
		tell(t.Context(), a, device(t, "bad")).is(t, "deny", codes.OK, 300*time.Millisecond)
		for range 20 { // and nobody else waits for it
			tell(t.Context(), a, device(t, "bad")).is(t, "deny", codes.OK, 0)
			time.Sleep(100 * time.Millisecond)
		}
		w.net.Dark(host(0), false)
		time.Sleep(10 * time.Second)
		before := w.nodes[0].answered()
		tell(t.Context(), a, device(t, "good")).is(t, "allow", codes.OK, 0)
		if w.nodes[0].answered() != before+1 {
			t.Error("the own node is well again, and is not asked")
		}
	})
}

func TestWhoRefusesRestsForAsLongAsItSays(t *testing.T) {
	busy := func(rest time.Duration) error {
		s, err := status.New(codes.ResourceExhausted, "too many checks").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(rest)})
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	refuseFor := func(n *node, rest, until time.Duration) {
		begin := time.Now()
		n.on(func(context.Context, *apiv1.CheckRequest) error {
			if time.Since(begin) < until {
				return busy(rest)
			}
			return nil
		})
	}
	t.Run("alone", func(t *testing.T) {
		inTown(t, 1, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{Streams: 1})
			refuseFor(w.nodes[0], 200*time.Millisecond, 50*time.Millisecond)
			got := tell(t.Context(), a, device(t, "bad"))
			if got.advice != "deny" || got.took < 100*time.Millisecond || got.took > 300*time.Millisecond {
				t.Errorf("got %+v", got)
			}
		})
	})
	t.Run("with a size, which is a call of its own", func(t *testing.T) {
		inTown(t, 1, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{Streams: 1})
			refuseFor(w.nodes[0], 200*time.Millisecond, 50*time.Millisecond)
			sized := device(t, "bad")
			sized.MinSize = 1
			if got := tell(t.Context(), a, sized); got.advice != "deny" || got.took < 100*time.Millisecond || got.took > 300*time.Millisecond {
				t.Errorf("got %+v", got)
			}
		})
	})
	t.Run("longer than there is time", func(t *testing.T) {
		inTown(t, 1, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{Streams: 1})
			refuseFor(w.nodes[0], 20*time.Second, time.Minute)
			tell(t.Context(), a, device(t, "bad")).is(t, "", codes.ResourceExhausted, 0)
		})
	})
	t.Run("for ever", func(t *testing.T) {
		inTown(t, 1, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{Streams: 1})
			refuseFor(w.nodes[0], 10*time.Millisecond, time.Hour)
			if got := tell(t.Context(), a, device(t, "bad")); got.code != codes.ResourceExhausted || got.took > 100*time.Millisecond {
				t.Errorf("got %+v", got)
			}
		})
	})
	t.Run("and another answers", func(t *testing.T) {
		inTown(t, 2, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{})
			refuseFor(w.nodes[0], 5*time.Second, time.Minute)
			for range 5 {
				tell(t.Context(), a, device(t, "bad")).is(t, "deny", codes.OK, 0)
			}
			if w.nodes[1].answered() != 5 {
				t.Errorf("the other has answered %d", w.nodes[1].answered())
			}
		})
	})
}

// A node that is late with a message refuses it in its place and goes on: its stream
// stays, and so does what is on it. The lane rests all the same.
func TestALaneLeavesTheNodeAloneForAsLongAsAnAnswerSays(t *testing.T) {
	refusal := func(rest time.Duration) func(*apiv1.CheckResponse) {
		return func(out *apiv1.CheckResponse) {
			*out = apiv1.CheckResponse{Error: "too many", ErrorCode: uint32(codes.ResourceExhausted), RetryAfterMs: rest.Milliseconds()}
		}
	}
	t.Run("and another answers", func(t *testing.T) {
		inTown(t, 2, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{Streams: 1})
			w.nodes[0].says(refusal(4 * time.Second))
			for range 5 {
				tell(t.Context(), a, device(t, "bad")).is(t, "deny", codes.OK, 0)
			}
			if asked := w.nodes[0].answered(); asked != 1 {
				t.Errorf("the node was asked %d times while it wants to be left alone", asked)
			}
			w.nodes[0].says(nil)
			time.Sleep(6 * time.Second) // one and a half times as long, at most
			tell(t.Context(), a, device(t, "bad")).is(t, "deny", codes.OK, 0)
			if asked := w.nodes[0].answered(); asked != 2 {
				t.Errorf("the own node takes checks again, and was asked %d times", asked)
			}
		})
	})
	t.Run("and there is no other for a new check", func(t *testing.T) {
		inTown(t, 1, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{Streams: 1})
			w.nodes[0].says(refusal(4 * time.Second))
			for range 2 { // the first is refused, and the second comes behind it
				short, leave := context.WithTimeout(t.Context(), time.Second)
				tell(short, a, device(t, "bad")).is(t, "", codes.ResourceExhausted, 0)
				leave()
			}
			if asked := w.nodes[0].answered(); asked != 1 {
				t.Errorf("the node was asked %d times", asked)
			}
		})
	})
	t.Run("alone", func(t *testing.T) {
		inTown(t, 1, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{Streams: 1})
			begin := time.Now()
			w.nodes[0].says(func(out *apiv1.CheckResponse) {
				if time.Since(begin) < 50*time.Millisecond {
					refusal(200 * time.Millisecond)(out)
				}
			})
			if got := tell(t.Context(), a, device(t, "bad")); got.advice != "deny" || got.took < 100*time.Millisecond || got.took > 320*time.Millisecond {
				t.Errorf("got %+v", got)
			}
		})
	})
}

// Times a million it is no time at all, and once was the end of the caller's process.
func TestANodeMayAskForAnyRest(t *testing.T) {
	for _, ms := range []int64{1 << 58, 1 << 62, math.MaxInt64, 1} {
		inTown(t, 2, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{Streams: 1})
			w.nodes[0].says(func(out *apiv1.CheckResponse) {
				*out = apiv1.CheckResponse{Error: "too many", ErrorCode: uint32(codes.ResourceExhausted), RetryAfterMs: ms}
			})
			tell(t.Context(), a, device(t, "bad")).is(t, "deny", codes.OK, 0)
		})
	}
}

func TestAHedgeCutsTheTail(t *testing.T) {
	const callers = 30
	worst := func(hedge client.Hedge) (worst time.Duration) {
		inTown(t, 2, func(t *testing.T, w *town) {
			a := w.asker(client.AskerConfig{AnswerWithin: 400 * time.Millisecond, Hedge: hedge})
			for range 20 * callers { // earns the hedges
				tell(t.Context(), a, device(t, "bad")).is(t, "deny", codes.OK, 0)
			}
			w.net.Dark(host(0), true)
			took := make([]time.Duration, callers)
			var group sync.WaitGroup
			for i := range callers {
				group.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond)
					got := tell(t.Context(), a, device(t, "bad"))
					got.is(t, "deny", codes.OK, got.took)
					took[i] = got.took
				})
			}
			group.Wait()
			for _, one := range took {
				worst = max(worst, one)
			}
		})
		return worst
	}
	if got := worst(client.Hedge{}); got != 400*time.Millisecond {
		t.Errorf("without a hedge the worst took %s", got)
	}
	if got := worst(client.Hedge{On: true, After: 10 * time.Millisecond}); got != 10*time.Millisecond {
		t.Errorf("with one the worst took %s", got)
	}
}

func TestHedgesKeepToTheirShare(t *testing.T) {
	inTown(t, 2, func(t *testing.T, w *town) {
		a := w.asker(client.AskerConfig{Streams: 1, Hedge: client.Hedge{On: true, After: time.Millisecond, Share: 0.1}})
		w.nodes[0].on(func(context.Context, *apiv1.CheckRequest) error {
			time.Sleep(5 * time.Millisecond)
			return nil
		})
		for range 1000 {
			got := tell(t.Context(), a, device(t, "bad"))
			got.is(t, "deny", codes.OK, got.took)
			time.Sleep(10 * time.Millisecond)
		}
		if hedges := w.nodes[1].answered(); hedges < 95 || hedges > 100 {
			t.Errorf("%d of 1000 checks were asked twice", hedges)
		}
	})
}

func TestAFullQueueIsAnsweredAtOnce(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		a := w.asker(client.AskerConfig{Streams: 1, Window: 1, Batch: 1, Queue: 2})
		gate := make(chan struct{})
		w.nodes[0].on(func(context.Context, *apiv1.CheckRequest) error { <-gate; return nil })
		var group sync.WaitGroup
		for range 3 { // one is on its way, two wait
			group.Go(func() { tell(t.Context(), a, device(t, "bad")).is(t, "deny", codes.OK, 0) })
			synctest.Wait()
		}
		got := tell(t.Context(), a, device(t, "bad"))
		got.is(t, "", codes.ResourceExhausted, 0)
		if !strings.Contains(fmt.Sprint(got.err), "2 checks wait") {
			t.Errorf("got %v", got.err)
		}
		close(gate)
		group.Wait()
	})
}

func TestWithoutAnAnswerThereIsAnErrorOrTheDeclaredAdvice(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		a := w.asker(client.AskerConfig{Timeout: 3 * time.Second})
		cautious := w.asker(client.AskerConfig{NoAnswer: risk.HoldFunds})
		w.net.Dark(host(0), true)
		tell(t.Context(), a, device(t, "good")).is(t, "", codes.DeadlineExceeded, 3*time.Second)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		tell(short, a, device(t, "good")).is(t, "", codes.DeadlineExceeded, 50*time.Millisecond)

		answer, err := cautious.Check(t.Context(), device(t, "good"))
		if err != nil || answer.Advice != "hold_funds" || !answer.Stale || answer.Reasons[0].Rule != "no_answer" {
			t.Errorf("got %v (%v)", answer, err)
		}
		gone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, leave)
		if answer, err := cautious.Check(gone, device(t, "good")); !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone is told %v (%v)", answer, err)
		}
	})
}

func TestSilenceIsNeverAnAllow(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		for _, cfg := range []client.AskerConfig{{NoAnswer: risk.Allow}, {NoAnswer: 200}, {Stale: 9}, {Batch: 2000}, {Queue: -1}, {MostNodes: 65}, {Hedge: client.Hedge{Share: 2}}} {
			if a, err := client.NewAsker(t.Context(), w.client(), cfg); err == nil {
				a.Close()
				t.Errorf("%+v was taken", cfg)
			}
		}
		a := w.asker(client.AskerConfig{})
		w.nodes[0].says(func(out *apiv1.CheckResponse) { out.Stale = true })
		if answer, err := a.Check(t.Context(), device(t, "good")); err == nil {
			t.Errorf("an allow of a stale view was taken: %v", answer)
		}
	})
}

func TestAStaleAnswerIsTakenAskedAgainOrRefused(t *testing.T) {
	stale := func(n *node, age int64) {
		n.says(func(out *apiv1.CheckResponse) { out.Advice, out.Stale, out.AgeMs = "step_up", true, age })
	}
	for _, c := range []struct {
		name   string
		policy client.StalePolicy
		other  int64 // age of the other node's answer; 0 for fresh
		want   string
		age    int64
	}{
		{"taken", client.StaleTake, 0, "step_up", 9000},
		{"another is fresh", client.StaleAskAnother, 0, "allow", 0},
		{"the least old is taken", client.StaleAskAnother, 4000, "step_up", 4000},
		{"refused, but another is fresh", client.StaleRefuse, 0, "allow", 0},
		{"refused", client.StaleRefuse, 4000, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTown(t, 2, func(t *testing.T, w *town) {
				var asked atomic.Int64
				w.nodes[0].on(func(_ context.Context, in *apiv1.CheckRequest) error { asked.Store(in.MaxAgeMs); return nil })
				stale(w.nodes[0], 9000)
				if c.other > 0 {
					stale(w.nodes[1], c.other)
				}
				a := w.asker(client.AskerConfig{Stale: c.policy, MaxAge: 2 * time.Second})
				answer, err := a.Check(t.Context(), device(t, "good"))
				if answer.GetAdvice() != c.want || answer.GetAgeMs() != c.age || (err != nil) != (c.want == "") || err != nil && !errors.Is(err, client.ErrStale) {
					t.Errorf("got %v (%v)", answer, err)
				}
				if asked.Load() != 2000 {
					t.Errorf("max_age_ms was %d", asked.Load())
				}
			})
		})
	}
}

func TestNewScopesAreFetchedWhileManyAsk(t *testing.T) {
	inTown(t, 2, func(t *testing.T, w *town) {
		a := w.asker(client.AskerConfig{})
		done, wrong := make(chan struct{}), atomic.Int64{}
		var group sync.WaitGroup
		for i := range 40 {
			value, want := "good", "allow"
			if i%2 == 0 {
				value, want = "bad", "deny"
			}
			q := device(t, value)
			group.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if got := tell(t.Context(), a, q); got.advice != want {
						wrong.Add(1)
						t.Errorf("got %+v", got)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		for version := uint64(2); version < 12; version++ {
			time.Sleep(100 * time.Millisecond)
			for _, n := range w.nodes {
				n.mu.Lock()
				n.keyring = keyringResponse(version, &apiv1.Scope{Family: 1, Length: uint32(version)})
				n.mu.Unlock()
			}
		}
		time.Sleep(100 * time.Millisecond)
		close(done)
		group.Wait()
		if w.nodes[0].answered() < 10_000 {
			t.Errorf("only %d were answered", w.nodes[0].answered())
		}
	})
}

func TestOneQuestionDoesNotSpoilOthers(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		w.nodes[0].on(func(_ context.Context, in *apiv1.CheckRequest) error {
			if in.Payment.GetPurpose() == "aml" {
				return status.Error(codes.PermissionDenied, "purpose: aml is not for you")
			}
			time.Sleep(time.Millisecond)
			return nil
		})
		a := w.asker(client.AskerConfig{Streams: 1})
		var group sync.WaitGroup
		for i := range 50 {
			q, want, code := device(t, "bad"), "deny", codes.OK
			switch {
			case i%10 == 3:
				q.Payment = &apiv1.Payment{Purpose: "aml"}
				want, code = "", codes.PermissionDenied
			case i%10 == 5:
				q.Payment = &apiv1.Payment{Currency: "XXX"}
				want, code = "", codes.InvalidArgument
			}
			group.Go(func() {
				got := tell(t.Context(), a, q)
				got.is(t, want, code, got.took)
			})
		}
		group.Wait()
	})
}

func TestOtherInstitutionsAreAskedWhereThatIsAllowed(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		other := w.add(w.pki.certificate(t, "net/rival/node/n1"))
		shy, open := w.asker(client.AskerConfig{Timeout: time.Second}), w.asker(client.AskerConfig{OtherInstitutions: true})
		w.net.Dark(host(0), true)
		tell(t.Context(), shy, device(t, "bad")).is(t, "", codes.DeadlineExceeded, time.Second)
		if other.answered() > 0 {
			t.Errorf("%d questions went to another institution", other.answered())
		}
		tell(t.Context(), open, device(t, "bad")).is(t, "deny", codes.OK, 500*time.Millisecond)
	})
}

// A client that another node has helped out asks its own one whose nodes may stand in.
func TestANodeThatHelpedOutDoesNotMakeItselfOneOfOurs(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		rival := w.add(w.pki.certificate(t, "net/rival/node/n1"))
		rival.claims, rival.peers = "rival", []string{w.nodes[0].address}
		c := w.client()
		for _, dark := range []bool{false, true} { // then it is with the rival
			w.net.Dark(host(0), dark)
			if _, err := c.Network(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.net.Dark(host(0), false)
		a := newAsker(t, c, client.AskerConfig{Timeout: time.Second})
		synctest.Wait()
		w.net.Dark(host(0), true)
		tell(t.Context(), a, device(t, "bad")).is(t, "", codes.DeadlineExceeded, time.Second)
		if rival.answered() > 0 {
			t.Errorf("%d questions went to another institution", rival.answered())
		}
	})
}

func TestCloseAnswersWhoWaits(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		a := w.asker(client.AskerConfig{NoAnswer: risk.Deny})
		w.net.Dark(host(0), true)
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				if answer, err := a.Check(t.Context(), device(t, "bad")); !errors.Is(err, client.ErrAskerClosed) {
					t.Errorf("got %v (%v)", answer, err)
				}
			})
		}
		synctest.Wait()
		a.Close()
		group.Wait()
		if _, err := a.Check(t.Context(), device(t, "bad")); !errors.Is(err, client.ErrAskerClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}
