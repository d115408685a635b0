package client

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// Load asks one node as fast as it answers, from outside, as the systems of an
// institution would.
type Load struct {
	// Mode is unary (one call a question), stream (one question a message), batch (64
	// questions a message, over streams) or client (an [Asker] that many share).
	Mode     string
	Duration time.Duration
	Subjects int     // in each question
	Hits     float64 // share of subjects that are listed
	// Raw asks with identifiers and not with tokens: the node makes them.
	Raw bool
	// Address is asked in the place of the client's own node, if it is set. It must
	// have a certificate of the network.
	Address string
	// Callers is the number of unary callers, or of messages in flight on each of
	// the streams; zero means what suits the mode.
	Callers int
	// Streams is how many streams there are, each on a connection of its own, or over
	// how many connections unary callers spread; zero means 4.
	Streams int
	// Rate is how many checks come in a second, however fast they are answered; zero
	// has each caller ask again when it is answered.
	Rate float64
	// Asker is how the client asks, in its mode.
	Asker AskerConfig
}

// LoadResult is what a load met with. A percentile is of one call or message, from the
// moment at which it was sent, or should have been if the load has a rate.
type LoadResult struct {
	Checks  int64
	Errors  int64
	Refused int64 // checks that were shed (RESOURCE_EXHAUSTED); they are no errors
	Unsent  int64 // checks that came and could not be sent before the end
	Seconds float64
	Latency *hdrhistogram.Histogram // microseconds
}

// Percentile gives a latency.
func (r *LoadResult) Percentile(p float64) time.Duration {
	return time.Duration(r.Latency.ValueAtPercentile(p)) * time.Microsecond
}

const (
	loadPool     = 2048 // different questions
	loadBatch    = 64
	loadStreams  = 4
	unaryCallers = 50
	drainTime    = 5 * time.Second // for what is in flight when the time is over
	benchListed  = 512             // benchmark subjects that are listed
)

// LoadModes names the modes.
var LoadModes = []string{"unary", "stream", "batch", "client"}

// Load runs until its duration has passed. Questions are made before, so that
// the caller's side costs little.
func (c *Client) Load(ctx context.Context, l Load) (LoadResult, error) {
	if l.Mode == "client" {
		return c.loadAsker(ctx, l)
	}
	keys, err := c.FreshKeyring(ctx)
	if err != nil {
		return LoadResult{}, err
	}
	size := 1
	if l.Mode == "batch" {
		size = loadBatch
	}
	pool, err := loadQuestions(keys, l, size)
	if err != nil {
		return LoadResult{}, err
	}
	streams := cmp.Or(l.Streams, loadStreams)
	callers, one := streams, streamLoad
	if l.Mode == "unary" {
		callers, one = cmp.Or(l.Callers, l.callers(unaryCallers)), unaryLoad
	}
	var conns []*grpc.ClientConn
	for range min(callers, streams) {
		conn, err := dialNode(cmp.Or(l.Address, c.Endpoint()), c.tls, c.reach)
		if err != nil {
			return LoadResult{}, err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	return l.measure(ctx, callers, size, func(ctx context.Context, i int, p *pace, g *gauge) {
		one(ctx, p, &caller{conn: conns[i%len(conns)], pool: pool[i%len(pool):], window: l.window(), gauge: g})
	})
}

// caller is one goroutine of a load, or one stream.
type caller struct {
	conn   *grpc.ClientConn
	pool   []*loadQuestion
	window int
	*gauge
}

// measure has so many callers ask until the time is over.
func (l Load) measure(ctx context.Context, callers, size int, one func(ctx context.Context, i int, p *pace, g *gauge)) (LoadResult, error) {
	gauges := make([]*gauge, min(callers, mostGauges))
	for i := range gauges {
		gauges[i] = &gauge{histogram: newHistogram()}
	}
	start := time.Now()
	deadline, cancel := context.WithDeadline(ctx, start.Add(l.Duration))
	defer cancel()
	p := newPace(start, l.Duration, l.Rate/float64(size))
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() { one(deadline, i, p, gauges[i%len(gauges)]) })
	}
	group.Wait()
	p.missed(gauges[0], size)
	return joinGauges(gauges, time.Since(start)), ctx.Err()
}

func (l Load) window() int {
	switch {
	case l.Callers > 0:
		return l.Callers
	case l.Mode == "batch":
		return 4
	default:
		return 32
	}
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

// mostGauges bounds the memory of a load: a histogram takes a fifth of a megabyte.
const mostGauges = 64

// gauge is what some callers measure.
type gauge struct {
	mu                              sync.Mutex
	checks, errors, refused, unsent int64
	histogram                       *hdrhistogram.Histogram
}

// note counts what came back for a question; what did not come is an error.
func (g *gauge) note(started time.Time, asked *loadQuestion, out *loadAnswer) {
	if out.refused > 0 {
		g.mu.Lock()
		g.refused += int64(out.refused)
		g.mu.Unlock()
	}
	if answered := out.checks - out.refused; answered > 0 {
		g.took(started, int64(answered), int64(out.errs+max(asked.checks-out.checks, out.checks-asked.checks)))
	}
}

func (g *gauge) took(started time.Time, checks, errors int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.histogram.RecordValue(max(1, time.Since(started).Microseconds()))
	g.checks, g.errors = g.checks+checks, g.errors+errors
}

// lost counts checks without an answer.
func (g *gauge) lost(err error, checks int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if status.Code(err) == codes.ResourceExhausted {
		g.refused += int64(checks)
	} else {
		g.errors += int64(checks)
	}
}

func joinGauges(gauges []*gauge, took time.Duration) LoadResult {
	r := LoadResult{Seconds: took.Seconds(), Latency: newHistogram()}
	for _, g := range gauges {
		r.Checks, r.Errors = r.Checks+g.checks, r.Errors+g.errors
		r.Refused, r.Unsent = r.Refused+g.refused, r.Unsent+g.unsent
		r.Latency.Merge(g.histogram)
	}
	return r
}

func unaryLoad(ctx context.Context, p *pace, c *caller) {
	inner, cancel := draining(ctx)
	defer cancel()
	answer := &loadAnswer{unary: true}
	for i := 0; ; i++ {
		started, ok := p.next(ctx)
		if !ok {
			return
		}
		question := c.pool[i%len(c.pool)]
		if err := c.conn.Invoke(inner, apiv1.Checks_Check_FullMethodName, question, answer, loadOption); err == nil {
			c.note(started, question, answer)
		} else {
			c.lost(err, 1)
			if p == nil {
				pause(ctx, time.Millisecond)
			}
		}
	}
}

// draining outlives the load a little: what was asked in time is answered, and is
// no error.
func draining(ctx context.Context) (context.Context, context.CancelFunc) {
	until, _ := ctx.Deadline()
	return context.WithDeadline(context.WithoutCancel(ctx), until.Add(drainTime))
}

func streamLoad(ctx context.Context, p *pace, c *caller) {
	for oneStream(ctx, p, c) != nil && pause(ctx, firstWait) {
	}
}

// oneStream keeps a window of messages in flight until the time is over or the
// stream breaks; what is in flight then has no answer.
func oneStream(ctx context.Context, p *pace, c *caller) error {
	inner, cancel := draining(ctx)
	defer cancel()
	stream, err := c.conn.NewStream(inner, &apiv1.Checks_ServiceDesc.Streams[0], apiv1.Checks_CheckStream_FullMethodName, loadOption)
	if err != nil {
		c.lost(err, 1)
		return err
	}
	type flight struct {
		started  time.Time
		question *loadQuestion
	}
	flying := make(chan flight, c.window)
	var sender sync.WaitGroup
	sender.Go(func() {
		defer close(flying)
		for i := 0; inner.Err() == nil; i++ {
			started, ok := p.next(ctx)
			if !ok {
				break
			}
			question := c.pool[i%len(c.pool)]
			flying <- flight{started, question}
			if stream.SendMsg(question) != nil {
				return
			}
		}
		_ = stream.CloseSend()
	})
	answer := &loadAnswer{}
	for one := range flying {
		if err == nil {
			if err = stream.RecvMsg(answer); err == nil {
				c.note(one.started, one.question, answer)
				continue
			}
			cancel()
		}
		c.lost(err, one.question.checks)
	}
	sender.Wait()
	return err
}

// BenchListed are the devices that a benchmark wants listed, one a line.
func BenchListed() string {
	var text strings.Builder
	for i := range benchListed {
		fmt.Fprintf(&text, "risknet-bench-listed-%d\n", i)
	}
	return text.String()
}

// BenchValues is a file of made-up devices that no run at another time has.
func BenchValues(count int, start time.Time) io.Reader {
	return &benchValues{left: count, run: start.UnixNano()}
}

type benchValues struct {
	left int
	run  int64
	rest []byte
}

func (v *benchValues) Read(p []byte) (int, error) {
	if len(v.rest) == 0 {
		if v.left == 0 {
			return 0, io.EOF
		}
		v.rest = fmt.Appendf(nil, "risknet-bench-%d-%d\n", v.run, v.left)
		v.left--
	}
	n := copy(p, v.rest)
	v.rest = v.rest[n:]
	return n, nil
}

// loadQuestions makes the messages of a load, the same at each run.
func loadQuestions(keys *Keyring, l Load, size int) ([]*loadQuestion, error) {
	dice := rand.New(rand.NewPCG(1, 2))
	pool := make([]*loadQuestion, max(loadPool/size, 2*loadStreams))
	for i := range pool {
		batch := &apiv1.CheckBatchRequest{}
		for range size {
			q, err := l.question(dice)
			if err != nil {
				return nil, err
			}
			in, _ := q.request(keys, nil)
			if l.Raw {
				for s, subject := range q.subjects {
					in.Subjects[s].Tokens, in.Subjects[s].Value = nil, subject.subject.Value
				}
			}
			batch.Checks = append(batch.Checks, in)
		}
		var err error
		if pool[i], err = newLoadQuestion(batch, l.Mode == "unary"); err != nil {
			return nil, err
		}
	}
	return pool, nil
}

func (l Load) question(dice *rand.Rand) (q Question, err error) {
	q.Payment = &apiv1.Payment{Amount: dice.Int64N(1_000_000), Currency: "CNY",
		Mcc: fmt.Sprint(5000 + dice.IntN(1000)), Channel: "netsunion", Country: "CN", PayerCountry: "CN", Phase: "in"}
	for s := 0; s < l.Subjects && err == nil; s++ {
		err = q.Set(loadSubject(dice, s, l.Hits))
	}
	return q, err
}

func loadSubject(dice *rand.Rand, at int, hits float64) (field, value string) {
	roles := []string{"payer.", "payee.", ""}
	role := roles[at%len(roles)]
	if dice.Float64() < hits {
		return role + "device", fmt.Sprintf("risknet-bench-listed-%d", dice.IntN(benchListed))
	}
	name := fmt.Sprintf("%012x", dice.Uint64()>>16)
	switch at % 6 {
	case 0:
		return role + "account", "0102/" + name
	case 1:
		return role + "merchant", "bench/" + name
	case 2:
		return "ip", fmt.Sprintf("203.0.%d.%d", dice.IntN(256), dice.IntN(256))
	case 3:
		return role + "device", "bench-" + name
	case 4:
		return role + "terminal", "bench/" + name
	default:
		return "mini_program", "bench-" + name
	}
}

// BenchRules is a rule set of n rules of the shapes that institutions write.
func BenchRules(n int) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "name: risknet-bench-%d\non_error: {pre: step_up, in: step_up, post: observe}\nrules:\n", n)
	for i := range n {
		when := fmt.Sprintf(`payment.mcc == "%d" && payment.amount > %d`, 5000+i%1000, 900_000+i)
		switch i % 4 {
		case 1:
			when = fmt.Sprintf(`payee.listed && payment.amount > %d`, 900_000+i)
		case 2:
			when = fmt.Sprintf(`any.reporters >= 2 && payment.country != "C%c"`, 'A'+rune(i%26))
		case 3:
			when = fmt.Sprintf(`payment.channel == "c%d" && payer.level == 1`, i)
		}
		fmt.Fprintf(&text, "- {id: b-%d, phase: in, when: '%s', advice: observe, reason: {en: b, zh: b}}\n", i, when)
	}
	return []byte(text.String())
}
