package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

// Sender signs a command and sends it until its outcome is known. [Author] is one.
type Sender interface {
	Do(context.Context, risk.Params, []risk.Item, []risk.Body) (*apiv1.Receipt, error)
}

// Importer turns a file of identifiers into listings.
//
// It keeps a few commands in flight and remembers which subjects they are about:
// a subject that comes again waits for the first command about it, so that the
// outcome is that of one line after the other. An import that was broken off is
// run again from the beginning: what stands already is unchanged.
type Importer struct {
	// Template is what holds where a record says nothing.
	Template Report
	// Keys make the tokens. Nil in a dry run.
	Keys *Keyring
	// To takes the commands. Nil for a dry run: every record is read, normalised
	// and checked, and nothing is sent.
	To Sender
	// InFlight is how many commands are on their way at a time; zero means 8.
	InFlight int
	// Reject is told of each record that was not taken, in no certain order. An
	// error from it ends the import.
	Reject func(Reject) error
	// Progress, if set, is told now and then how many records have been read.
	Progress func(read int)

	// Standing shows what stands, so that Run can lift what the reporter said in
	// the name of this source and the source has taken back. Nil lifts nothing.
	Standing Exporter
	// Reporter is who reports. Only its listings are lifted.
	Reporter risk.ID
	// Sync also lifts what the source does not name any more. If it names less
	// than half of what stood, Run refuses with a [ShrunkError] unless Anyway is set.
	Sync, Anyway bool
}

// Reject is a record that was not taken.
type Reject struct {
	Line   int
	Reason string
	Input  string // the record as it stands in the file
}

// ImportResult counts records. Read is the sum of those down to Ended.
type ImportResult struct {
	Read      int
	Accepted  int // new subjects
	Unchanged int // stood already, or came before in the file
	Revised   int // stood already, and says something else now
	Extended  int // stood already, and ends later now
	Rejected  int
	Ended     int // not listed, since the source has taken them back
	// Lifted counts listings: what stood, and the source took back or dropped.
	Lifted int
	// Size is the number of leaves from which on every outcome can be seen.
	Size uint64
}

const (
	defaultInFlight = 8
	// batchBytes keeps a command with its bodies below risk.MaxEntryBytes.
	batchBytes = risk.MaxEntryBytes - risk.MaxHeaderBytes - 64<<10
)

// listingAbout is what makes two records of one import the same listing.
type listingAbout struct {
	kind  risk.Kind
	token risk.Token
	list  risk.List
	code  uint16
}

// shipment is one command on its way, with the lines that it came from.
type shipment struct {
	items  []risk.Item
	bodies []risk.Body
	lines  []Row
	about  []listingAbout
	bytes  int
	done   chan struct{}
}

// importing is one run of an importer.
type importing struct {
	*Importer
	ctx   context.Context
	group *errgroup.Group
	load  *shipment
	held  *holdings // nil where nobody asks what came before

	mu     sync.Mutex
	result ImportResult
	flying map[listingAbout]*shipment
}

// Run reads all records and returns when each has its outcome. The result counts
// what was done also when there is an error.
func (im *Importer) Run(ctx context.Context, rows *RowReader) (ImportResult, error) {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(cmp.Or(im.InFlight, defaultInFlight))
	run := &importing{Importer: im, ctx: inner, group: group, load: newShipment(),
		flying: map[listingAbout]*shipment{}}
	if im.To == nil || im.Standing != nil || rows.once {
		run.held = newHoldings(&im.Template, rows.kinds(im.Template.Kind))
	}
	err := run.all(rows)
	if sent := group.Wait(); sent != nil {
		err = sent // it is why the reading stopped
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = run.lift(ctx)
	}
	return run.result, err
}

func (run *importing) all(rows *RowReader) error {
	for run.ctx.Err() == nil {
		row, err := rows.Next()
		if isEnd(err) {
			run.ship()
			run.progress(true)
			return nil
		}
		if err != nil {
			return fmt.Errorf("read line %d: %w", rows.lineOf(row), err)
		}
		run.count(&run.result.Read)
		if err := run.take(rows, row); err != nil {
			return err
		}
		run.progress(false)
	}
	return run.ctx.Err()
}

func (run *importing) progress(now bool) {
	if run.Progress != nil && (now || run.result.Read%risk.MaxItems == 0) {
		run.Progress(run.result.Read)
	}
}

// take brings one record into the load, or rejects it.
func (run *importing) take(rows *RowReader, row Row) error {
	report, subject, err := run.read(rows, row)
	if err != nil {
		return run.reject(row, err.Error())
	}
	asked := run.asked(subject)
	again := run.hold(&report, subject, asked)
	if report.ended() {
		run.count(&run.result.Ended)
		return nil
	}
	item, body, err := report.finish(subject, asked)
	switch {
	case err != nil:
		return run.reject(row, err.Error())
	case again && (rows.once || run.To == nil):
		run.count(&run.result.Unchanged)
	case run.To == nil:
		run.count(&run.result.Accepted)
	default:
		run.put(row, listingAbout{asked.Kind, asked.Token, item.List, item.Code}, item, body)
	}
	return nil
}

// read makes a record's report, and its identifier's normal form.
func (run *importing) read(rows *RowReader, row Row) (Report, token.Subject, error) {
	report := run.Template
	if row.Fault != "" {
		return report, token.Subject{}, errors.New(row.Fault)
	}
	for i, c := range rows.Columns {
		if err := report.Set(c.Field, row.Cells[i]); err != nil {
			return report, token.Subject{}, err
		}
	}
	subject, err := report.subject()
	return report, subject, err
}

// put adds to the load, once the command before it about the same has landed.
func (run *importing) put(row Row, about listingAbout, item risk.Item, body risk.Body) {
	run.await(about)
	run.load.add(row, about, item, body)
	if len(run.load.items) == risk.MaxItems || run.load.bytes > batchBytes {
		run.ship()
	}
}

func (run *importing) count(n *int) {
	run.mu.Lock()
	defer run.mu.Unlock()
	*n++
}

// asked gives the token; in a dry run some hash stands for it.
func (run *importing) asked(s token.Subject) risk.Asked {
	if run.Keys != nil {
		return run.Keys.ring.ListSubject(s)
	}
	sum := sha256.Sum256([]byte(s.Value))
	return risk.Asked{Kind: s.Kind, Scope: s.Scope, Epoch: 1, Token: risk.Token(sum[:16])}
}

// hold notes what the file names, and reports whether it had listed it before.
func (run *importing) hold(report *Report, s token.Subject, asked risk.Asked) bool {
	if run.held == nil {
		return false
	}
	tokens := []risk.Token{asked.Token}
	if run.Keys != nil {
		for _, other := range run.Keys.itself(s) {
			if other.Epoch != asked.Epoch {
				tokens = append(tokens, other.Token)
			}
		}
	}
	return run.held.add(claimOf(asked.Kind, &report.Item), tokens, !report.ended())
}

// await lets the command land that is about the same listing.
func (run *importing) await(about listingAbout) {
	run.mu.Lock()
	before := run.flying[about]
	run.mu.Unlock()
	if before == nil {
		return
	}
	select {
	case <-before.done:
	case <-run.ctx.Done():
	}
}

// ship sends the load, and waits while too many are on their way.
func (run *importing) ship() {
	load := run.load
	run.load = newShipment()
	if len(load.items) == 0 {
		return
	}
	run.mu.Lock()
	for _, about := range load.about {
		run.flying[about] = load
	}
	run.mu.Unlock()
	run.group.Go(func() error {
		receipt, err := run.To.Do(run.ctx, &risk.Listings{}, load.items, load.bodies)
		if err == nil {
			err = run.settle(load, receipt)
		}
		run.land(load)
		return err
	})
}

func (run *importing) land(load *shipment) {
	run.mu.Lock()
	defer run.mu.Unlock()
	for _, about := range load.about {
		if run.flying[about] == load {
			delete(run.flying, about)
		}
	}
	close(load.done)
}

// settle counts the outcomes of one command.
func (run *importing) settle(load *shipment, receipt *apiv1.Receipt) error {
	if len(receipt.Outcomes) != len(load.items) {
		return fmt.Errorf("import: the node gave %d outcomes for %d lines; run the import again", len(receipt.Outcomes), len(load.items))
	}
	for i, outcome := range receipt.Outcomes {
		if outcome.Status == risk.Refused.String() {
			if err := run.reject(load.lines[i], outcome.Refusal+": "+cureOf(outcome.Refusal)); err != nil {
				return err
			}
		}
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	for _, outcome := range receipt.Outcomes {
		switch outcome.Status {
		case risk.Created.String():
			run.result.Accepted++
		case risk.Unchanged.String():
			run.result.Unchanged++
		case risk.Revised.String(), risk.WasRenewed.String():
			run.result.Revised++
		case risk.Extended.String():
			run.result.Extended++
		}
	}
	run.result.Size = max(run.result.Size, receipt.Leaf+1)
	return nil
}

func (run *importing) reject(row Row, reason string) error {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.result.Rejected++
	if run.Reject == nil {
		return nil
	}
	return run.Reject(Reject{Line: row.Line, Reason: reason, Input: row.Text})
}

func newShipment() *shipment {
	return &shipment{done: make(chan struct{}), items: make([]risk.Item, 0, risk.MaxItems), bodies: make([]risk.Body, 0, risk.MaxItems),
		lines: make([]Row, 0, risk.MaxItems), about: make([]listingAbout, 0, risk.MaxItems)}
}

func (s *shipment) add(row Row, about listingAbout, item risk.Item, body risk.Body) {
	row.Cells = nil
	s.items, s.bodies = append(s.items, item), append(s.bodies, body)
	s.lines, s.about = append(s.lines, row), append(s.about, about)
	s.bytes += len(body.Data) + 24
}

// OpenRows begins to read a file as an import does. SourceDate of the template
// becomes the time at which its source made the file or, where that is not said,
// at which the file was last changed.
func (r *Report) OpenRows(in io.Reader, changed time.Time, o RowOptions) (*RowReader, error) {
	o.Fields, o.Identity = ReportFields(), "value"
	if o.Format.Source() != "" {
		o.Only = r.Kind
	}
	rows, err := NewRowReader(in, o)
	if err != nil {
		return nil, err
	}
	if made, err := ParseTime(rows.dated); err == nil && r.Item.SourceDate == 0 {
		r.Item.SourceDate = made
	}
	if !changed.IsZero() && r.Item.SourceDate == 0 {
		r.Item.SourceDate = changed.UnixMilli()
	}
	return rows, nil
}
