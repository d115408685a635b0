package rules

import (
	"math/bits"

	"github.com/risknet/risknet/risk"
)

// Decision is what the rules say about one payment. Its lists are used again
// by the next Decide.
type Decision struct {
	Advice risk.Advice   // the hardest advice of Fired and of what Failed stands for; Allow when there is none
	Fired  []*Rule       // rules that hold, in the order of the set
	Given  []risk.Advice // what each of them advises here; see [Program.Decide]
	Shadow []*Rule       // shadow rules that would have spoken, failing ones among them
	Failed []*Rule       // rules that failed at run time; each advises OnError of the phase
}

// Decide runs the rules of the payment's phase over the facts. A payment without
// a phase is judged as one in flight. A rule that asks for listings advises no more
// than each of them bears: a report that nobody confirms does not become more by a rule,
// also not beside one that is confirmed. It allocates nothing unless a rule runs in
// cel-go.
func (p *Program) Decide(f *Facts, d *Decision) {
	d.Advice = risk.Allow
	d.Fired, d.Given = d.Fired[:0], d.Given[:0]
	d.Shadow, d.Failed = d.Shadow[:0], d.Failed[:0]
	phase := phaseOf(f.Payment.Phase)
	x := &p.index[phase]
	listed := f.listed()
	var marked bitset
	x.candidates(f, listed, &marked)
	for w, word := range marked[:x.words] {
		for ; word != 0; word &= word - 1 {
			r := x.rules[w*64+bits.TrailingZeros64(word)]
			if fires, err := r.fires(p.table, f); fires || err != nil {
				d.join(r.Rule, err, p.set.OnError[phase], r.most(f, listed))
			}
		}
	}
}

// most is the hardest advice that the rule may give here, by the listings that it asks
// for: those of one condition make up for nothing that another one lacks. 0 is no bound.
func (r *compiled) most(f *Facts, listed subjects) risk.Advice {
	most := risk.Advice(0)
	for _, asked := range r.asks {
		if bears := f.bears(asked & listed); bears != 0 && (most == 0 || bears < most) {
			most = bears
		}
	}
	return most
}

func phaseOf(phase risk.Phase) risk.Phase {
	if !phase.Valid() {
		return risk.PhaseIn
	}
	return phase
}

// fires evaluates one rule.
func (r *compiled) fires(t *table, f *Facts) (bool, error) {
	for i := range r.guard {
		if !r.guard[i].test(f) {
			return false, nil
		}
	}
	if r.rest == nil {
		return true, nil
	}
	value, _, err := r.rest.Eval(activation{t, f})
	if err != nil {
		return false, err
	}
	return value.Value() == true, nil
}

// join adds a rule that holds, or that failed.
func (d *Decision) join(r *Rule, err error, onError, most risk.Advice) {
	advice := r.Advice
	if most != 0 {
		advice = min(advice, most)
	}
	switch {
	case r.Mode == Shadow:
		d.Shadow = append(d.Shadow, r)
		return
	case err != nil:
		d.Failed = append(d.Failed, r)
		advice = onError
	default:
		d.Fired, d.Given = append(d.Fired, r), append(d.Given, advice)
	}
	d.Advice = max(d.Advice, advice)
}
