package audit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/risknet/risknet/ledger"
)

// putsOff answers 503 for a while, as a node does that fetches the older ledger.
type putsOff struct {
	after string
	until time.Time
	asked int
}

func (p *putsOff) RoundTrip(*http.Request) (*http.Response, error) {
	p.asked++
	r := &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{}, Body: io.NopCloser(strings.NewReader("leaves"))}
	if time.Now().Before(p.until) {
		r.StatusCode, r.Status = http.StatusServiceUnavailable, "503 Service Unavailable"
		r.Body = io.NopCloser(strings.NewReader("on its way"))
		if p.after != "" {
			r.Header.Set("Retry-After", p.after)
		}
	}
	return r, nil
}

func TestANodeMayPutUsOff(t *testing.T) {
	for name, c := range map[string]struct {
		after  string
		until  time.Duration
		waits  time.Duration
		asked  int
		failed bool
	}{
		"not":             {"", 0, 0, 1, false},
		"for a while":     {"1", 3500 * time.Millisecond, 4 * time.Second, 5, false},
		"for too long":    {"5", time.Hour, askPatience, 7, true},
		"beyond patience": {"3600", time.Hour, 0, 1, true},
		"with no word":    {"", time.Hour, 0, 1, true},
		"with nonsense":   {"soon", time.Hour, 0, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				node := &putsOff{after: c.after, until: began.Add(c.until)}
				log := &Log{address: "n1", http: &http.Client{Transport: node}}
				data, err := log.get(t.Context(), "tile/0/000", 100)
				if (err != nil) != c.failed || time.Since(began) != c.waits || node.asked != c.asked {
					t.Errorf("%q after %s and %d questions: %v", data, time.Since(began), node.asked, err)
				}
			})
		})
	}
}

func TestWhoIsPutOffMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		log := &Log{address: "n1", http: &http.Client{Transport: &putsOff{after: "5", until: began.Add(time.Hour)}}}
		_, err := log.get(ctx, "tile/0/000", 100)
		if err == nil || !strings.Contains(err.Error(), "on its way") || time.Since(began) != 7*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// broken is a network on which nothing arrives.
type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }

// Neither a network that is down nor somebody who ends the audit makes a node a liar.
func TestATileThatCouldNotBeReadAccusesNobody(t *testing.T) {
	log := &Log{address: "n1", http: &http.Client{Transport: broken{}}, tiles: map[ledger.Tile][]byte{}}
	c := ledger.Checkpoint{Size: 300}
	_, err := log.leafHashes(t.Context(), c, tileOf(0, c.Size))
	if _, accused := errors.AsType[*BadTile](err); err == nil || accused {
		t.Errorf("%T: %v", err, err)
	}
}

// One that is shorter than it must be does.
func TestATileOfAnotherLengthAccuses(t *testing.T) {
	log := &Log{address: "n1", http: &http.Client{Transport: &putsOff{}}, tiles: map[ledger.Tile][]byte{}}
	c := ledger.Checkpoint{Size: 300}
	_, err := log.leafHashes(t.Context(), c, tileOf(0, c.Size))
	if _, accused := errors.AsType[*BadTile](err); !accused {
		t.Errorf("%T: %v", err, err)
	}
}
