package rules

import (
	"fmt"

	"cel.dev/cel-go/cel"

	"github.com/risknet/risknet/risk"
)

// Trace is what one rule came to when a payment was explained.
type Trace struct {
	Rule  *Rule
	Fired bool
	Err   error  // why the rule failed; nil otherwise
	Cost  uint64 // in CEL cost units
}

// Explain runs every rule of the payment's phase in cel-go, with a meter that
// stops a rule beyond [risk.MaxRuleCost], and says what each came to. It takes
// no short cuts, so it is also what Decide can be held against.
func (p *Program) Explain(f *Facts) ([]Trace, error) {
	programs, err := p.metered()
	if err != nil {
		return nil, err
	}
	phase := phaseOf(f.Payment.Phase)
	var traces []Trace
	for i, r := range p.rules {
		if !r.In(phase) {
			continue
		}
		value, details, err := programs[i].Eval(activation{p.table, f})
		trace := Trace{Rule: r.Rule, Err: err}
		if err == nil {
			trace.Fired = value.Value() == true
		}
		if spent := details.ActualCost(); spent != nil {
			trace.Cost = *spent
		}
		traces = append(traces, trace)
	}
	return traces, nil
}

func planMetered(environment *cel.Env, rules []*compiled) ([]cel.Program, error) {
	programs := make([]cel.Program, len(rules))
	for i, r := range rules {
		program, err := environment.Program(r.ast, cel.CostLimit(risk.MaxRuleCost))
		if err != nil {
			return nil, fmt.Errorf("plan rule %q: %w", r.ID, err)
		}
		programs[i] = program
	}
	return programs, nil
}
