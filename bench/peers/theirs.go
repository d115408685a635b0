package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/risk"
)

// engine evaluates all rules of a set over the facts of one payment, and says how many
// of them fire.
type engine struct {
	name string
	fire func() (int, error)
}

// facts are what the rules of this benchmark read, as each peer takes them at its
// fastest: made once, not anew at each call.
func facts() (nested map[string]any) {
	p := payment()
	about := func() map[string]any { return map[string]any{"listed": false, "level": 0, "reporters": 0} }
	return map[string]any{
		"payment": map[string]any{"amount": int(p.Amount), "mcc": p.MCC, "channel": p.Channel, "country": p.Country, "payer_country": p.PayerCountry},
		"payer":   about(), "payee": about(), "any": about(),
	}
}

// celEngine is a loop over one cel-go program a rule, over variables with dotted names
// as ours are declared, boxed once.
func celEngine(rules []string) (engine, error) {
	types := map[string]*cel.Type{"amount": cel.IntType, "level": cel.IntType, "reporters": cel.IntType, "listed": cel.BoolType}
	var options []cel.EnvOption
	flat := map[string]any{}
	for subject, fields := range facts() {
		for field, value := range fields.(map[string]any) {
			kind := types[field]
			if kind == nil {
				kind = cel.StringType
			}
			options = append(options, cel.Variable(subject+"."+field, kind))
			flat[subject+"."+field] = value
		}
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return engine{}, err
	}
	var programs []cel.Program
	for _, rule := range rules {
		checked, issues := env.Compile(rule)
		if issues.Err() != nil {
			return engine{}, issues.Err()
		}
		program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			return engine{}, err
		}
		programs = append(programs, program)
	}
	activation, err := cel.NewActivation(flat)
	if err != nil {
		return engine{}, err
	}
	return engine{"a loop over cel-go", func() (fired int, err error) {
		for _, program := range programs {
			value, _, err := program.Eval(activation)
			if err != nil {
				return 0, err
			}
			if value.Value() == true {
				fired++
			}
		}
		return fired, nil
	}}, nil
}

// exprFacts are the same as structs, which expr reads faster than maps.
type exprFacts struct {
	Payment exprPayment `expr:"payment"`
	Payer   exprAbout   `expr:"payer"`
	Payee   exprAbout   `expr:"payee"`
	Any     exprAbout   `expr:"anybody"` // any is a word of expr
}

type exprPayment struct {
	Amount       int    `expr:"amount"`
	MCC          string `expr:"mcc"`
	Channel      string `expr:"channel"`
	Country      string `expr:"country"`
	PayerCountry string `expr:"payer_country"`
}

type exprAbout struct {
	Listed    bool `expr:"listed"`
	Level     int  `expr:"level"`
	Reporters int  `expr:"reporters"`
}

func exprEngine(rules []string) (engine, error) {
	p := payment()
	env := &exprFacts{Payment: exprPayment{int(p.Amount), p.MCC, p.Channel, p.Country, p.PayerCountry}}
	var programs []*vm.Program
	for _, rule := range rules {
		program, err := expr.Compile(strings.ReplaceAll(rule, "any.", "anybody."), expr.Env(env), expr.AsBool())
		if err != nil {
			return engine{}, err
		}
		programs = append(programs, program)
	}
	machine := &vm.VM{}
	return engine{"expr", func() (fired int, err error) {
		for _, program := range programs {
			value, err := machine.Run(program, env)
			if err != nil {
				return 0, err
			}
			if value == true {
				fired++
			}
		}
		return fired, nil
	}}, nil
}

// opaEngine is one prepared query over one partial set, whose rules OPA may index as
// it likes; its input is parsed ahead.
func opaEngine(ctx context.Context, rules []string) (engine, error) {
	var module strings.Builder
	module.WriteString("package bench\n\nimport rego.v1\n\n")
	for i, rule := range rules {
		body := strings.ReplaceAll(rule, " && ", "\n\t")
		body = bareField.ReplaceAllString(body, "input.$1")
		fmt.Fprintf(&module, "fired contains %d if {\n\t%s\n}\n\n", i, body)
	}
	query, err := rego.New(rego.Query("data.bench.fired"), rego.Module("bench.rego", module.String())).PrepareForEval(ctx)
	if err != nil {
		return engine{}, err
	}
	parsed, err := ast.InterfaceToValue(facts())
	if err != nil {
		return engine{}, err
	}
	return engine{"OPA", func() (int, error) {
		results, err := query.Eval(ctx, rego.EvalParsedInput(parsed))
		if err != nil {
			return 0, err
		}
		fired, ok := results[0].Expressions[0].Value.([]any)
		if !ok {
			return 0, fmt.Errorf("the result is %v", results)
		}
		return len(fired), nil
	}}, nil
}

var bareField = regexp.MustCompile(`\b((?:payment|payer|payee|any)\.)`)

// peerRows put each peer beside ours, with rules that an index helps with and with
// rules that none does.
func peerRows(o options, c *check.Checker) (rows []row, err error) {
	ctx := context.Background()
	for _, set := range []ruleSet{bench(100), asked(100)} {
		ours := checkSide(o.each, c, set)
		short := strings.Fields(set.name)[len(strings.Fields(set.name))-1]
		celRun, err := celEngine(set.expressions)
		if err != nil {
			return nil, err
		}
		exprRun, err := exprEngine(set.expressions)
		if err != nil {
			return nil, err
		}
		opaRun, err := opaEngine(ctx, set.expressions)
		if err != nil {
			return nil, err
		}
		for i, peer := range []engine{celRun, exprRun, opaRun} {
			// Ours raises the advice where a rule fires, and checkSide refuses that.
			if fired, err := peer.fire(); err != nil || fired != 0 {
				return nil, fmt.Errorf("%s: %d of %s fire, and none with us (%w)", peer.name, fired, set.name, err)
			}
			name := []string{"cel-go", "expr", "opa"}[i] + "-" + short
			theirs := func() (float64, error) {
				return nanos(o.each, func(int) error { _, err := peer.fire(); return err })
			}
			rows = append(rows, row{name: name, what: fmt.Sprintf("%s over the same facts; ours with the filter over %d listings for six subjects", set.name, o.listings),
				peer: peer.name, unit: "ns/check", theirs: theirs, ours: ours})
			if short == "check" {
				rows = append(rows, row{name: "allocations-" + name, what: "allocations of one check, " + set.name, peer: peer.name, unit: "allocations",
					theirs: func() (float64, error) { return allocations(func() error { _, err := peer.fire(); return err }) },
					ours:   oursAllocations(c, set)})
			}
		}
	}
	return rows, nil
}

func oursAllocations(c *check.Checker, set ruleSet) func() (float64, error) {
	return func() (float64, error) {
		c.Absorb(check.Batch{Head: risk.Head{Size: 1}, Rules: []check.RuleSet{{Version: set.version, Text: set.text}}})
		q, v := sixSubjects(), &risk.Verdict{}
		return allocations(func() error { return c.Check(q, v) })
	}
}
