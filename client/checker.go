package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// Checker asks about every record of a file, in batches over one stream, and
// hands the answers over in the order of the file.
//
// When the stream breaks, what was not answered is sent again: to the same node
// if the caller named one, else to whichever answers. When the node says that
// scopes came into use, the keyring is fetched and the tokens are made again.
type Checker struct {
	Client *Client
	// Every question starts from this one.
	Template Question
	// Answer takes the answers, one at a time. An error from it ends the run.
	Answer func(Answer) error
	// Progress, if set, is told now and then how many were answered.
	Progress func(answered int)
	// Patience is how long to go on while no node answers; zero means a minute.
	Patience time.Duration
}

// Answer is what became of one record: an answer, or why it could not be asked.
type Answer struct {
	Line     int
	Error    string
	Response *apiv1.CheckResponse
}

const (
	// batchRows is large enough for throughput and, with risk.MaxAsked tokens a
	// question, small enough for a node's limit on messages.
	batchRows = 128
	// batchWindow is how many batches are on their way at a time, and leastWindow where
	// they take so long that the node refuses the last of them for their age.
	batchWindow     = 16
	leastWindow     = 2
	defaultPatience = time.Minute
)

// batch is some records in a row, from the file to their answers.
type batch struct {
	rows      []Row
	questions []Question // of the rows that can be asked
	answers   []Answer   // of all rows; Response is missing until it comes
	asked     []int      // index in answers of each question

	keys    *Keyring // that the request was made with
	request *apiv1.CheckBatchRequest
	ready   chan struct{} // closed when the questions are made
}

// checking is one run of a checker.
type checking struct {
	*Checker
	columns  []Column
	keys     atomic.Pointer[Keyring]
	inOrder  chan *batch
	window   int      // batches on their way
	left     []*batch // sent and not answered when the stream broke
	answered int
	moved    time.Time // when the last answer came
}

// Run answers every record and returns. The count is of the records answered,
// also those that could not be asked.
func (c *Checker) Run(ctx context.Context, rows *RowReader) (int, error) {
	keys, err := c.Client.Keyring(ctx)
	if err != nil {
		return 0, err
	}
	if !c.Client.pinned {
		if _, err := c.Client.Network(ctx); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := &checking{Checker: c, columns: rows.Columns, inOrder: make(chan *batch, batchWindow), window: batchWindow, moved: time.Now()}
	run.keys.Store(keys)
	work := make(chan *batch, batchWindow)
	var group errgroup.Group
	group.Go(func() error { return run.read(ctx, rows, work) })
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for b := range work {
				run.prepare(b)
			}
			return nil
		})
	}
	err = run.ask(ctx)
	cancel()
	if read := group.Wait(); err == nil {
		err = read
	}
	return run.answered, err
}

// read cuts the file into batches.
func (run *checking) read(ctx context.Context, rows *RowReader, work chan<- *batch) error {
	defer close(work)
	defer close(run.inOrder)
	for {
		b := &batch{ready: make(chan struct{})}
		var fault error
		for len(b.rows) < batchRows && fault == nil {
			var row Row
			if row, fault = rows.Next(); fault == nil {
				b.rows = append(b.rows, row)
			}
		}
		if len(b.rows) > 0 {
			select {
			case work <- b:
			case <-ctx.Done():
				return nil
			}
			select {
			case run.inOrder <- b:
			case <-ctx.Done():
				return nil
			}
		}
		if isEnd(fault) {
			return nil
		}
		if fault != nil {
			return fmt.Errorf("read line %d: %w", rows.lines.number+1, fault)
		}
	}
}

// prepare makes the questions of a batch and their tokens.
func (run *checking) prepare(b *batch) {
	defer close(b.ready)
	b.answers = make([]Answer, len(b.rows))
	b.questions = make([]Question, 0, len(b.rows))
	for i := range b.rows {
		row := &b.rows[i]
		b.answers[i] = Answer{Line: row.Line, Error: row.Fault}
		if row.Fault != "" {
			continue
		}
		q, err := run.question(row)
		if err != nil {
			b.answers[i].Error = err.Error()
			continue
		}
		b.questions = append(b.questions, q)
		b.asked = append(b.asked, i)
	}
	b.rows = nil
	b.tokenise(run.keys.Load())
}

func (run *checking) question(row *Row) (Question, error) {
	q := run.Template
	q.subjects = slices.Clip(q.subjects)
	if q.Payment != nil {
		q.Payment = proto.CloneOf(q.Payment)
	}
	for i, c := range run.columns {
		if err := q.Set(c.Field, row.Cells[i]); err != nil {
			return q, err
		}
	}
	return q, q.check()
}

func (b *batch) tokenise(keys *Keyring) {
	b.keys = keys
	b.request = &apiv1.CheckBatchRequest{Checks: make([]*apiv1.CheckRequest, len(b.questions))}
	var room []risk.Asked
	for i := range b.questions {
		b.request.Checks[i], room = b.questions[i].request(keys, room)
	}
}

// ask goes on through broken streams until every batch is answered.
func (run *checking) ask(ctx context.Context) error {
	limit := run.Patience
	if limit == 0 {
		limit = defaultPatience
	}
	for wait := firstWait; ; wait = nextWait(wait) {
		before := run.moved
		address, err := run.Client.attempt(ctx, !run.Client.pinned, run.session)
		if err == nil {
			return nil
		}
		if run.moved != before {
			wait = firstWait
		}
		stale := status.Code(err) == codes.FailedPrecondition
		tooMany := errors.Is(err, errTooMany)
		if !stale && !tooMany && !retryable(err) || time.Since(run.moved) > limit || !pause(ctx, wait) {
			return explain(address, err)
		}
		if stale {
			keys, err := run.Client.FreshKeyring(ctx)
			if err != nil {
				return err
			}
			run.keys.Store(keys)
		}
		if tooMany {
			run.window = max(leastWindow, run.window/2)
		}
	}
}

// errTooMany: it is this run that the node has too much to answer of.
var errTooMany = errors.New("the node has more checks to answer than it can in time; ask again later")

// session sends over one stream until all is answered or the stream breaks; then
// run.left holds what has to be sent again.
func (run *checking) session(ctx context.Context, conn grpc.ClientConnInterface) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := apiv1.NewChecksClient(conn).CheckStream(ctx)
	if err != nil {
		return err
	}
	sent := make(chan *batch, run.window-1) // the receiver has one
	var sender sync.WaitGroup
	again := run.left
	sender.Go(func() { run.send(ctx, stream, again, sent) })
	run.left = nil
	for b := range sent {
		if err == nil {
			err = run.receive(stream, b)
		}
		if err != nil {
			cancel() // ends the sender, which closes the queue
			run.left = append(run.left, b)
		}
	}
	sender.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// send queues each batch before it is sent, so that none is lost between both.
// What cannot be sent any more is queued all the same.
func (run *checking) send(ctx context.Context, stream apiv1.Checks_CheckStreamClient, again []*batch, sent chan<- *batch) {
	defer close(sent)
	for _, b := range again {
		sent <- b
		if ctx.Err() == nil {
			run.sendOne(ctx, stream, b)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case b, ok := <-run.inOrder:
			if !ok {
				_ = stream.CloseSend()
				return
			}
			<-b.ready
			sent <- b
			run.sendOne(ctx, stream, b)
		}
	}
}

// sendOne leaves it to the receiver to find out why a stream takes no more.
func (run *checking) sendOne(ctx context.Context, stream apiv1.Checks_CheckStreamClient, b *batch) {
	if keys := run.keys.Load(); b.keys != keys {
		b.tokenise(keys)
	}
	if len(b.questions) > 0 && ctx.Err() == nil {
		_ = stream.Send(b.request)
	}
}

// receive takes the answers of one batch and hands them over.
func (run *checking) receive(stream apiv1.Checks_CheckStreamClient, b *batch) error {
	if len(b.questions) > 0 {
		out, err := stream.Recv()
		if err != nil {
			return endedEarly(err)
		}
		if len(out.Checks) != len(b.questions) {
			return status.Errorf(codes.Internal, "the node gave %d answers to %d questions; see that client and node are of one version", len(out.Checks), len(b.questions))
		}
		for _, response := range out.Checks {
			if codes.Code(response.ErrorCode) != codes.ResourceExhausted {
				continue
			}
			if run.window > leastWindow {
				return errTooMany
			}
			return status.Error(codes.ResourceExhausted, response.Error)
		}
		for i, response := range out.Checks {
			answer := &b.answers[b.asked[i]]
			answer.Response, answer.Error = response, response.Error
		}
	}
	for _, answer := range b.answers {
		if err := run.Answer(answer); err != nil {
			return err
		}
	}
	run.answered += len(b.answers)
	run.moved = time.Now()
	if run.Progress != nil {
		run.Progress(run.answered)
	}
	return nil
}

// endedEarly names a stream that a node ends in good order before its time.
func endedEarly(err error) error {
	if isEnd(err) {
		return status.Error(codes.Unavailable, "the node ended the stream")
	}
	return err
}

// QuestionRows fills in what a file of checks may have as columns. Identity
// stays with the caller: the kind of the lines of a file without columns.
func QuestionRows(o RowOptions) RowOptions {
	o.Fields, o.Repeat = QuestionFields(), true
	return o
}
