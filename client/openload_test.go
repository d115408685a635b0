package client_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

// slowOnce has a node take a millisecond for a check, and hang for a second in the
// middle of a load of four.
func slowOnce(n *node) {
	begin, hung := time.Now(), atomic.Bool{}
	n.on(func(context.Context, *apiv1.CheckRequest) error {
		time.Sleep(time.Millisecond)
		if time.Since(begin) > 2*time.Second && hung.CompareAndSwap(false, true) {
			time.Sleep(time.Second)
		}
		return nil
	})
}

func TestALoadSeesWhatItDidNotAskWhileTheNodeHung(t *testing.T) {
	load := client.Load{Mode: "stream", Duration: 4 * time.Second, Subjects: 1, Callers: 1, Streams: 1}
	inTown(t, 1, func(t *testing.T, w *town) {
		slowOnce(w.nodes[0])
		got, err := w.client().Load(t.Context(), load)
		if err != nil {
			t.Fatal(err)
		}
		if measured, corrected := got.Percentile(99), got.Corrected().ValueAtPercentile(90); measured > 5*time.Millisecond || corrected < 400_000 {
			t.Errorf("p99 as measured %s, p90 corrected %d us", measured, corrected)
		}
	})
	for _, mode := range client.LoadModes {
		t.Run(mode, func(t *testing.T) {
			inTown(t, 1, func(t *testing.T, w *town) {
				slowOnce(w.nodes[0])
				one := load
				one.Mode, one.Rate, one.Callers = mode, 200, 2000
				if mode == "batch" {
					one.Rate = 1000
				}
				one.Asker = client.AskerConfig{AnswerWithin: 5 * time.Second, Timeout: 10 * time.Second, Streams: 1}
				got, err := w.client().Load(t.Context(), one)
				if err != nil {
					t.Fatal(err)
				}
				if got.Checks != int64(4*one.Rate)/64*64 && mode == "batch" || got.Checks != 800 && mode != "batch" || got.Errors+got.Refused+got.Unsent != 0 {
					t.Errorf("%d checks, %d errors, %d refused, %d unsent", got.Checks, got.Errors, got.Refused, got.Unsent)
				}
				// A quarter of all came while it hung, and waited half a second on average.
				if p := got.Percentile(87.5); mode != "unary" && p < 400*time.Millisecond {
					t.Errorf("p87.5 is %s", p)
				}
			})
		})
	}
}

func TestALoadCountsWhatWasRefusedOrCameTooLate(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		w.nodes[0].on(func(context.Context, *apiv1.CheckRequest) error {
			time.Sleep(50 * time.Millisecond)
			return nil
		})
		got, err := w.client().Load(t.Context(), client.Load{Mode: "unary", Duration: time.Second, Subjects: 1, Callers: 2, Rate: 100})
		if err != nil {
			t.Fatal(err)
		}
		if got.Checks < 38 || got.Checks > 42 || got.Checks+got.Unsent != 100 || got.Percentile(50) < 250*time.Millisecond {
			t.Errorf("%d checks, %d unsent, p50 %s", got.Checks, got.Unsent, got.Percentile(50))
		}
		w.nodes[0].on(func(context.Context, *apiv1.CheckRequest) error {
			return status.Error(codes.ResourceExhausted, "too many checks")
		})
		for _, mode := range client.LoadModes {
			got, err := w.client().Load(t.Context(), client.Load{Mode: mode, Duration: time.Second, Subjects: 1, Rate: 640})
			if err != nil {
				t.Fatal(err)
			}
			if got.Refused == 0 || got.Errors != 0 || got.Checks != 0 {
				t.Errorf("%s: %d checks, %d errors, %d refused", mode, got.Checks, got.Errors, got.Refused)
			}
		}
	})
}
