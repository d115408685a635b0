package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// load is what the clients of a network do: writers list and lift identifiers of
// their own, checkers ask every node about all of them.
type load struct {
	world   *World
	mean    time.Duration // between two operations of one client
	stop    context.CancelFunc
	clients sync.WaitGroup
}

const (
	writePatience = 40 * time.Second
	checkPatience = 8 * time.Second
	maxWrites     = 12 // of one subject
	ownAlive      = 6  // subjects of one writer at a time
)

// startLoad lets a writer and a checker of each of up to three institutions work.
// The function it gives waits for what is under way, and may be called again.
func (w *World) startLoad(perSecond float64) (end func(), err error) {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{world: w, stop: stop}
	if perSecond == 0 {
		return l.end, nil
	}
	institutions := min(3, len(w.machines))
	l.mean = time.Duration(float64(2*institutions) / perSecond * float64(time.Second))
	for i := range institutions {
		if err := l.institution(ctx, w.machines[i].Institution); err != nil {
			l.end()
			return nil, err
		}
	}
	return l.end, nil
}

func (l *load) institution(ctx context.Context, name string) error {
	dice, others := l.world.dice(), l.world.dice()
	wr, err := l.world.newWriter(ctx, name, dice)
	if err != nil {
		return err
	}
	l.clients.Go(func() { l.run(ctx, dice, wr.step); wr.close() })
	ch, err := l.world.newChecker(ctx, name)
	if err != nil {
		return err
	}
	l.clients.Go(func() { l.run(ctx, others, func() { ch.step(others) }); ch.close() })
	return nil
}

// dice gives a goroutine a source of its own, from the world's seed.
func (w *World) dice() *rand.Rand { return rand.New(rand.NewPCG(w.random.Uint64(), 3)) }

func (l *load) run(ctx context.Context, dice *rand.Rand, step func()) {
	for pause(ctx, 1+time.Duration(dice.ExpFloat64()*float64(l.mean))) == nil {
		step()
	}
}

func (l *load) end() {
	l.stop()
	l.clients.Wait()
}

// writer is one institution's client that lists and lifts.
type writer struct {
	world   *World
	client  *client.Client
	again   *client.Client // carries the same bytes a second time, now and then
	author  *client.Author
	keys    *client.Keyring
	random  *rand.Rand
	own     []*subject
	doubles float64
}

func (w *World) newWriter(ctx context.Context, institution string, random *rand.Rand) (*writer, error) {
	c, err := w.dial("writer-"+institution, institution, nil)
	if err != nil {
		return nil, err
	}
	again, err := w.dial("again-"+institution, institution, w.machines[random.IntN(len(w.machines))])
	if err != nil {
		return nil, err
	}
	wr := &writer{world: w, client: c, again: again, random: random, doubles: 0.2}
	if wr.author, err = client.NewAuthor(ctx, c); err != nil {
		wr.close()
		return nil, err
	}
	wr.author.To = wr
	if wr.keys, err = c.Keyring(ctx); err != nil {
		wr.close()
		return nil, err
	}
	return wr, nil
}

func (wr *writer) close() {
	wr.client.Close()
	wr.again.Close()
}

// Submit hands a command in, and now and then twice at the same time: what the
// two say of it must agree.
func (wr *writer) Submit(ctx context.Context, in *apiv1.SubmitRequest) (*apiv1.Receipt, error) {
	if wr.random.Float64() >= wr.doubles {
		return wr.client.Submit(ctx, in)
	}
	other := make(chan *apiv1.Receipt, 1)
	go func() {
		r, err := wr.again.Submit(ctx, in)
		if err != nil {
			r = nil
		}
		other <- r
	}()
	receipt, err := wr.client.Submit(ctx, in)
	if second := <-other; second != nil && receipt != nil && second.Leaf != receipt.Leaf {
		wr.world.history.complain("I1", "one command is leaf %d and leaf %d", receipt.Leaf, second.Leaf)
	}
	return receipt, err
}

// Do keeps the receipt of what an importer sends.
func (wr *writer) Do(ctx context.Context, params risk.Params, items []risk.Item, bodies []risk.Body) (*apiv1.Receipt, error) {
	return wr.author.Do(ctx, params, items, bodies)
}

// step does one thing to one of the writer's subjects.
func (wr *writer) step() {
	ctx, cancel := context.WithTimeout(context.Background(), writePatience)
	defer cancel()
	s := wr.choose()
	if s.listing == "" {
		wr.list(ctx, s)
	} else {
		wr.lift(ctx, s)
	}
}

// choose takes a subject that may still be written, or a new one.
func (wr *writer) choose() *subject {
	alive := wr.own[:0]
	for _, s := range wr.own {
		if s.writes < maxWrites && !s.doubtful {
			alive = append(alive, s)
		}
	}
	wr.own = alive
	if len(wr.own) < ownAlive {
		wr.own = append(wr.own, wr.world.history.newSubject())
	}
	return wr.own[wr.random.IntN(len(wr.own))]
}

// receipts is a Sender that remembers what it was given.
type receipts struct {
	*writer
	last *apiv1.Receipt
}

func (r *receipts) Do(ctx context.Context, params risk.Params, items []risk.Item, bodies []risk.Body) (*apiv1.Receipt, error) {
	receipt, err := r.writer.Do(ctx, params, items, bodies)
	r.last = receipt
	return receipt, err
}

func (wr *writer) list(ctx context.Context, s *subject) {
	template := client.NewReport(subjectKind, time.Now())
	err := template.Set("code", "12")
	var rows *client.RowReader
	if err == nil {
		rows, err = template.OpenRows(strings.NewReader(s.value), time.Time{}, client.RowOptions{Format: client.FormatValues, Identity: subjectKind.String()})
	}
	if err != nil {
		wr.world.history.complain("setup", "%v", err)
		return
	}
	to := &receipts{writer: wr}
	op := wr.world.history.call(list, s)
	importer := &client.Importer{Template: template, Keys: wr.keys, To: to, InFlight: 1,
		Reject: func(r client.Reject) error { return errors.New(r.Reason) }}
	_, err = importer.Run(ctx, rows)
	wr.settle(op, s, to.last, err)
	if op.outcome == done {
		s.listing = to.last.Outcomes[0].Listing
		op.listing = s.listing
	}
}

func (wr *writer) lift(ctx context.Context, s *subject) {
	var id risk.ListingID
	if _, err := fmt.Sscanf(s.listing, "%d.%d", &id.Leaf, &id.Item); err != nil {
		wr.world.history.complain("I1", "a receipt named the listing %q: %v", s.listing, err)
		return
	}
	op := wr.world.history.call(lift, s)
	receipt, err := client.Lift(ctx, wr, risk.LiftWithdrawn, "", id)
	wr.settle(op, s, receipt, err)
	if op.outcome == done {
		op.listing, s.listing = s.listing, ""
	}
}

// settle notes what became of a command. A refusal that the ledger holds is an
// outcome; every other error leaves it open.
func (wr *writer) settle(op *operation, s *subject, receipt *apiv1.Receipt, err error) {
	s.writes++
	refused, isRefused := errors.AsType[*client.RefusedError](err)
	switch {
	case err == nil && receipt != nil:
		op.outcome, op.leaf = done, receipt.Leaf
	case isRefused && refused.Receipt.Recorded:
		op.outcome, op.leaf = rejected, refused.Receipt.Leaf
	default:
		op.outcome, s.doubtful = open, true
	}
	text := fmt.Sprintf("%s %s: leaf %d", op.kind, s.value, op.leaf)
	if err != nil {
		text = fmt.Sprintf("%s %s: %v", op.kind, s.value, err)
	}
	wr.world.story.tell(wr.world.now(), text)
	wr.world.history.returned(op, receipt.GetHead().GetSize())
}

// checker asks each node in turn.
type checker struct {
	world   *World
	clients []*client.Client
}

func (w *World) newChecker(ctx context.Context, institution string) (*checker, error) {
	ch := &checker{world: w}
	for _, m := range w.machines {
		c, err := w.dial("checker-"+institution, institution, m)
		if err == nil {
			ch.clients = append(ch.clients, c)
			_, err = c.Keyring(ctx)
		}
		if err != nil {
			ch.close()
			return nil, err
		}
	}
	return ch, nil
}

func (ch *checker) close() {
	for _, c := range ch.clients {
		c.Close()
	}
}

func (ch *checker) step(dice *rand.Rand) {
	s := ch.world.history.anySubject(dice)
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkPatience)
	defer cancel()
	op := ch.world.history.call(check, s)
	if dice.IntN(2) == 0 {
		op.minSize = ch.world.history.seen()
	}
	answer, err := ask(ctx, ch.clients[dice.IntN(len(ch.clients))], s.value, op.minSize)
	if err != nil {
		op.outcome = rejected // it says nothing of the state
		ch.world.history.returned(op, 0)
		return
	}
	op.outcome, op.size, op.root, op.listed = done, answer.Size, answer.Root, answer.Listed
	op.age, op.stale, op.advice = time.Duration(answer.AgeMs)*time.Millisecond, answer.Stale, answer.Advice
	ch.world.history.returned(op, answer.Size)
}

func ask(ctx context.Context, c *client.Client, value string, minSize uint64) (*apiv1.CheckResponse, error) {
	q := client.Question{MinSize: minSize}
	if err := q.Set("payee."+subjectKind.String(), value); err != nil {
		return nil, err
	}
	return c.Check(ctx, &q)
}
