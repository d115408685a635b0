//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// load is what goes on in the background of a run: a writer for each author and
// a reader for each node.
type load struct {
	n       *network
	run     int
	ctx     context.Context
	enough  context.CancelFunc
	sending context.Context // of the commands under way
	giveUp  context.CancelFunc
	working sync.WaitGroup

	mu       sync.Mutex
	cold     []string          // subjects that were published once
	listings map[string]string // the listing in force of each subject of this run, by outcome
	retired  map[string]int    // how often a hot subject was replaced
	sent     []sentCommand     // a sample, to be sent again
	failures []string          // of writers

	many    atomic.Int64 // subjects published in one go
	acks    atomic.Int64
	lastAck atomic.Int64 // when the newest acknowledged command was begun, ns since the epoch
}

// sentCommand is one that was acknowledged.
type sentCommand struct {
	signed *risk.Signed
	leaf   uint64
}

const (
	hotSubjects  = 3 // of each writer: published and lifted in turn
	writerPause  = 25 * time.Millisecond
	readerPause  = 12 * time.Millisecond
	checkTimeout = 3 * time.Second
)

// startLoad begins to write and to ask.
func (n *network) startLoad(dice *rand.Rand) *load {
	n.runs++
	l := &load{n: n, run: n.runs, listings: map[string]string{}, retired: map[string]int{}}
	l.ctx, l.enough = context.WithCancel(context.Background())
	l.sending, l.giveUp = context.WithCancel(context.Background())
	n.history = NewHistory()
	for i, author := range n.authors {
		seed := dice.Uint64()
		l.working.Go(func() { l.write(i, author, rand.New(rand.NewPCG(seed, 1))) })
	}
	for i, name := range n.names() {
		seed := dice.Uint64()
		l.working.Go(func() { l.read(len(n.authors)+i, name, rand.New(rand.NewPCG(seed, 2))) })
	}
	return l
}

// finish ends the load; a command under way is waited for.
func (l *load) finish() {
	l.enough()
	l.working.Wait()
	l.giveUp()
}

// awaitAcks waits until so many further commands were acknowledged.
func (l *load) awaitAcks(ctx context.Context, more int64) error {
	goal := l.acks.Load() + more
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return until(ctx, 10*time.Millisecond, func() error {
		if l.acks.Load() < goal {
			return fmt.Errorf("%d of %d commands were acknowledged", l.acks.Load(), goal)
		}
		return nil
	})
}

// awaitBegunAfter waits until a command was acknowledged that was begun after a
// moment, and says when that was.
func (l *load) awaitBegunAfter(ctx context.Context, moment time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := until(ctx, 2*time.Millisecond, func() error {
		if l.lastAck.Load() <= moment.UnixNano() {
			return errors.New("no command was acknowledged")
		}
		return nil
	})
	return time.Now(), err
}

// write publishes and lifts until the load ends. Each writer has subjects of its
// own, so that what is acknowledged to it is what stands.
func (l *load) write(me int, author *client.Author, dice *rand.Rand) {
	listed := map[string]bool{} // hot subjects
	var mine []string           // cold ones that are listed
	for i := 0; wait(l.ctx, time.Duration(dice.Int64N(int64(2*l.n.pause)))); i++ {
		switch pick := dice.IntN(10); {
		case pick < 4:
			var names []string
			for k := range 1 + dice.IntN(4) {
				names = append(names, fmt.Sprintf("cold-%d-%d-%d-%d", l.run, me, i, k))
			}
			if l.publish(me, author, names...) {
				mine = append(mine, names...)
				l.mu.Lock()
				l.cold = append(l.cold, names...)
				l.mu.Unlock()
			}
		case pick < 5 && len(mine) > 0:
			if at := dice.IntN(len(mine)); l.lift(me, author, mine[at]) {
				mine = append(mine[:at], mine[at+1:]...)
			}
		default:
			hot := l.hot(me, dice.IntN(hotSubjects))
			change := l.publish
			if listed[hot] {
				change = func(me int, a *client.Author, names ...string) bool { return l.lift(me, a, names[0]) }
			}
			if change(me, author, hot) {
				listed[hot] = !listed[hot]
			} else {
				l.retire(hot)
			}
		}
	}
}

func (l *load) hot(writer, i int) string {
	name := fmt.Sprintf("hot-%d-%d-%d", l.run, writer, i)
	l.mu.Lock()
	defer l.mu.Unlock()
	if again := l.retired[name]; again > 0 {
		name = fmt.Sprintf("%s/%d", name, again)
	}
	return name
}

// retire puts another in the place of a subject of which nobody knows whether it
// is listed.
func (l *load) retire(name string) {
	name, _, _ = strings.Cut(name, "/")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired[name]++
}

// publish reports subjects in one command.
func (l *load) publish(me int, author *client.Author, names ...string) bool {
	var items []risk.Item
	var bodies []risk.Body
	for _, name := range names {
		item, body, err := l.n.item(name)
		if err != nil {
			l.n.witness.Violate(Kept, "", "make %s: %v", name, err)
			return false
		}
		items, bodies = append(items, item), append(bodies, body)
	}
	return l.send(me, author, items, bodies, names, true)
}

// lift ends the listing of a subject.
func (l *load) lift(me int, author *client.Author, name string) bool {
	l.mu.Lock()
	text := l.listings[name]
	l.mu.Unlock()
	id, err := risk.ParseItemID(text)
	if err != nil {
		return false
	}
	body := risk.NewBody([]byte("lifted"))
	item := risk.Item{Op: risk.ItemLift, Target: id, Reason: risk.LiftWithdrawn, Commitment: body.Commit()}
	return l.send(me, author, []risk.Item{item}, []risk.Body{body}, []string{name}, false)
}

// send signs a command and sends it until its outcome is known, and tells the
// witness. It reports whether the command was accepted.
func (l *load) send(me int, author *client.Author, items []risk.Item, bodies []risk.Body, names []string, listed bool) bool {
	signed, err := author.Sign(&risk.Listings{}, items, bodies)
	if err != nil {
		l.n.witness.Violate(Kept, "", "sign: %v", err)
		return false
	}
	for _, name := range names {
		l.n.witness.Begin(name)
	}
	call, began := l.n.history.Now(), time.Now()
	ctx, cancel := context.WithTimeout(l.sending, 60*time.Second)
	defer cancel()
	receipt, err := author.Send(ctx, signed)
	if err != nil {
		for _, name := range names {
			l.n.history.Lost(me, name, listed, call)
		}
		l.mu.Lock()
		l.failures = append(l.failures, err.Error())
		l.mu.Unlock()
		return false
	}
	l.took(signed, receipt, names, listed)
	for _, name := range names {
		l.n.witness.Acked(name, receipt.Leaf, listed)
	}
	end := l.n.history.Now() // by now a reader asks for this size
	for _, name := range names {
		l.n.history.Wrote(me, name, listed, call, end)
	}
	l.acks.Add(1)
	for before := l.lastAck.Load(); before < began.UnixNano() && !l.lastAck.CompareAndSwap(before, began.UnixNano()); before = l.lastAck.Load() {
	}
	return true
}

// took holds a receipt to what was sent: each subject was changed once.
func (l *load) took(signed *risk.Signed, receipt *apiv1.Receipt, names []string, listed bool) {
	want := risk.Lifted
	if listed {
		want = risk.Created
	}
	if len(receipt.Outcomes) != len(names) {
		l.n.witness.Violate(Kept, "", "leaf %d: %d outcomes for %d items", receipt.Leaf, len(receipt.Outcomes), len(names))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, name := range names {
		if receipt.Outcomes[i].Status != want.String() {
			l.n.witness.Violate(Kept, "", "%s: the outcome of leaf %d is %s %s and not %s: an earlier acknowledgement was lost, or this command applied twice",
				name, receipt.Leaf, receipt.Outcomes[i].Status, receipt.Outcomes[i].Refusal, want)
		}
		l.listings[name] = receipt.Outcomes[i].Listing
	}
	if len(l.sent) < 16 {
		l.sent = append(l.sent, sentCommand{signed, receipt.Leaf})
	}
}

// item makes a listing of a device.
func (n *network) item(name string) (risk.Item, risk.Body, error) {
	asked, err := n.ring.List(risk.KindDevice, name)
	if err != nil {
		return risk.Item{}, risk.Body{}, err
	}
	report := client.NewReport(risk.KindDevice, time.Now())
	item, content := report.Item, report.Body
	item.Kind, item.Scope = asked.Kind, asked.Scope
	content.Token, content.Epoch, content.Action = asked.Token, asked.Epoch, risk.Deny
	data, err := content.Encode()
	if err != nil {
		return risk.Item{}, risk.Body{}, err
	}
	body := risk.NewBody(data)
	item.Commitment = body.Commit()
	return item, body, nil
}

// read asks one node all the time, with and without a size to reach.
func (l *load) read(me int, name string, dice *rand.Rand) {
	for wait(l.ctx, time.Duration(dice.Int64N(int64(2*readerPause)))) {
		subject := l.subject(dice)
		l.n.check(l.ctx, me, name, subject, dice.IntN(2) == 0)
	}
}

func (l *load) subject(dice *rand.Rand) string {
	pick := dice.IntN(10)
	if pick == 0 {
		return fmt.Sprintf("never-%d", dice.IntN(1000))
	}
	l.mu.Lock()
	if n := len(l.cold); pick < 5 && n > 0 {
		defer l.mu.Unlock()
		return l.cold[dice.IntN(n)]
	}
	l.mu.Unlock()
	return l.hot(dice.IntN(len(l.n.authors)), dice.IntN(hotSubjects))
}

// check asks one node about one subject and has the answer judged. The newest
// size that anybody was shown is read after the moment that counts as the call,
// and the answer is known before the one that counts as the return: only so may
// a history be held to be linearizable.
func (n *network) check(ctx context.Context, me int, name, subject string, newest bool) {
	p, err := n.Node(name)
	if err != nil {
		return
	}
	conn, err := n.asks[name].Conn(p.API)
	if err != nil {
		return
	}
	spell, down := n.spell(name)
	pid := n.pid(name)
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	call, asked, size := n.history.Now(), time.Now(), uint64(0)
	if newest {
		size = n.witness.Newest()
	}
	r, err := apiv1.NewChecksClient(conn).Check(ctx, &apiv1.CheckRequest{MinSize: size,
		Subjects: []*apiv1.Subject{{Kind: risk.KindDevice.String(), Value: subject}}})
	if err != nil {
		again, _ := n.spell(name)
		if size == 0 && !down && again == spell && !errors.Is(context.Cause(ctx), context.Canceled) {
			n.witness.Violate(Uninterrupt, name, "a check failed after %s: %v", time.Since(asked).Round(time.Millisecond), err)
		}
		return
	}
	advice, err := risk.ParseAdvice(r.Advice)
	n.witness.Answer(Answer{Node: name, Life: fmt.Sprintf("%s/%d", name, pid), Subject: subject, MinSize: size, Asked: asked,
		Listed: r.Listed, Closed: err == nil && advice >= risk.StepUp, Size: r.Size, Root: r.Root,
		Age: time.Duration(r.AgeMs) * time.Millisecond, Stale: r.Stale})
	if newest {
		n.history.Read(me, subject, r.Listed, call, n.history.Now())
	}
}

// wait pauses, and reports whether the context is still alive.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
