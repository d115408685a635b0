package rules

import (
	"crypto/sha256"
	"fmt"
	"math"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"github.com/risknet/risknet/risk"
)

// Program is a compiled rule set, immutable but for Version.
type Program struct {
	// Version is the number that the network gave to the rule set; zero until
	// the caller sets it, before it shares the program.
	Version uint32

	set     *Set
	hash    risk.Hash
	table   *table
	rules   []*compiled
	index   [risk.Phases]index
	wants   Wants
	metered func() ([]cel.Program, error)
}

// compiled is one rule, ready to run: where the index does not rule it out, it fires
// when every guard holds and the rest, where there is one, says true.
type compiled struct {
	*Rule
	ast   *cel.Ast
	guard []guard
	rest  cel.Program // the whole expression in cel-go; nil when the guards are all of it
	needs subjects    // it cannot fire unless one of these is listed; 0 for no such need
	asks  []subjects  // all such needs, each for its own
	key   key
	moves subjects // of which it reads what this node has seen
}

// guard is one conjunct of a rule.
type guard struct {
	test flagFunc
	text string // as an expression; "" if it cannot be written
}

// Compile reads, checks and prepares a rule set. The error is [Problems] with
// every fault of the file.
func Compile(source []byte) (*Program, error) {
	set := parse(source)
	p := &Program{set: set, hash: sha256.Sum256(source), table: newTable(set.UTCOffset)}
	environment, err := newEnvironment(p.table)
	if err != nil {
		return nil, fmt.Errorf("declare the facts: %w", err)
	}
	c := &compiler{sheet: set.sheet, env: environment, table: p.table}
	for _, r := range set.Rules {
		if r.When == "" {
			continue // already a problem
		}
		if ready := c.compile(r); ready != nil {
			p.rules = append(p.rules, ready)
		}
	}
	if err := set.sheet.problems.asError(); err != nil {
		return nil, err
	}
	set.sheet = nil // the text is not needed any more
	for _, r := range set.Rules {
		r.when = nil
	}
	p.chooseKeys()
	for _, r := range p.rules {
		p.wants.add(r.moves)
	}
	gates := p.openGates()
	for phase := risk.PhasePre; phase < risk.Phases; phase++ {
		p.index[phase] = newIndex(p.rules, phase, gates)
	}
	p.metered = sync.OnceValues(func() ([]cel.Program, error) { return planMetered(environment, p.rules) })
	return p, nil
}

// Hash is the SHA-256 of the source text.
func (p *Program) Hash() risk.Hash { return p.hash }

// Name is the name of the rule set.
func (p *Program) Name() string { return p.set.Name }

// Rules lists the rules in the order of the file; the caller does not change them.
func (p *Program) Rules() []*Rule { return p.set.Rules }

// OnError is what a rule that fails at run time advises in a phase.
func (p *Program) OnError(phase risk.Phase) risk.Advice { return p.set.OnError[phaseOf(phase)] }

// Closures counts the rules that run without cel-go.
func (p *Program) Closures() int {
	n := 0
	for _, r := range p.rules {
		if r.rest == nil {
			n++
		}
	}
	return n
}

// compiler turns the rules of one sheet into programs.
type compiler struct {
	sheet *sheet
	env   *cel.Env
	table *table
}

// compile prepares one rule, or reports why it cannot be.
func (c *compiler) compile(r *Rule) *compiled {
	c.sheet.rule = r.ID
	defer func() { c.sheet.rule = "" }()
	text := r.when.Value
	if nested := deepest(text); nested > maxDepth {
		c.at(r, 0, "the expression nests %d brackets deep; at most %d are allowed", nested, maxDepth)
		return nil
	}
	parsed, issues := c.env.Parse(text)
	if issues.Err() != nil {
		c.issues(r, issues)
		return nil
	}
	if !c.checkSize(r, parsed) || !c.checkNames(r, parsed) {
		return nil
	}
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		c.issues(r, issues)
		return nil
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		c.at(r, 0, "the expression must be a bool, and is of type %s: compare it with something", checked.OutputType())
		return nil
	}
	if !c.checkCost(r, checked) {
		return nil
	}
	return c.prepare(r, checked)
}

// maxDepth keeps the parser, which recurses, within a small stack.
const maxDepth = 32

// deepest counts how deep brackets and operators that open a level nest.
func deepest(text string) int {
	depth, most := 0, 0
	for _, b := range []byte(text) {
		switch b {
		case '(', '[', '{':
			depth++
			most = max(most, depth)
		case ')', ']', '}':
			depth--
		}
	}
	return most
}

func (c *compiler) checkSize(r *Rule, parsed *cel.Ast) bool {
	nodes := 0
	ast.PreOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(ast.Expr) { nodes++ }))
	if nodes > risk.MaxRuleNodes {
		c.at(r, 0, "the expression has %d nodes; at most %d are allowed: split the rule", nodes, risk.MaxRuleNodes)
	}
	return nodes <= risk.MaxRuleNodes
}

func (c *compiler) checkCost(r *Rule, checked *cel.Ast) bool {
	estimate, err := c.env.EstimateCost(checked, sizes{c.table})
	switch {
	case err != nil:
		c.at(r, 0, "the cost cannot be estimated: %v", err)
	case estimate.Max == math.MaxUint64:
		c.at(r, 0, "the cost has no bound, and at most %d is allowed: loop over a list of codes or of constants only", risk.MaxRuleCost)
	case estimate.Max > risk.MaxRuleCost:
		c.at(r, 0, "the cost is estimated at up to %d, and at most %d is allowed: loop over fewer lists or split the rule", estimate.Max, risk.MaxRuleCost)
	default:
		return true
	}
	return false
}

// prepare splits the expression into conjuncts. Each that cannot fail becomes a
// guard. CEL's && takes no account of order: a false operand makes it false even
// beside an error. So a false guard settles the rule, and true guards leave the
// answer to the rest.
func (c *compiler) prepare(r *Rule, checked *cel.Ast) *compiled {
	rule := &compiled{Rule: r, ast: checked}
	whole := true
	closer := &closer{ast: checked.NativeRep(), table: c.table}
	rule.moves = closer.moves()
	for _, e := range conjuncts(checked.NativeRep().Expr(), nil) {
		test := closer.flag(e)
		if test == nil {
			whole = false
			continue
		}
		rule.guard = append(rule.guard, guard{test, textOf(e, checked)})
		if needs := closer.needs(e, test); needs != 0 {
			rule.asks = append(rule.asks, needs)
			if rule.needs == 0 || fewer(needs, rule.needs) {
				rule.needs = needs
			}
		}
		if k := closer.equality(e); k.fact != nil {
			rule.key.candidates = append(rule.key.candidates, k)
		}
	}
	if whole {
		return rule
	}
	rest, err := c.env.Program(checked)
	if err != nil {
		c.at(r, 0, "the expression cannot be planned: %v", err)
		return nil
	}
	rule.rest = rest
	return rule
}

// at reports a problem at a character of the expression.
func (c *compiler) at(r *Rule, offset int, format string, args ...any) {
	line, column := c.sheet.position(r.when, offset)
	c.sheet.problem(line, column, format, args...)
}

// issues reports what cel-go found, at the place in the file.
func (c *compiler) issues(r *Rule, issues *cel.Issues) {
	for _, e := range issues.Errors() {
		line, column := 1, 0
		if e.Location != nil && e.Location.Line() > 0 {
			line, column = e.Location.Line(), e.Location.Column()
		}
		c.at(r, offsetOf(r.when.Value, line, column), "%s", plain(e.Message))
	}
}

// offsetOf turns a line and a column of an expression into an offset in characters.
func offsetOf(text string, line, column int) int {
	offset := 0
	for range line - 1 {
		end := strings.IndexByte(text, '\n')
		if end < 0 {
			break
		}
		offset += len([]rune(text[:end])) + 1
		text = text[end+1:]
	}
	return offset + column
}
