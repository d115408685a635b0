package rules

import (
	"math/bits"
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/risknet/risknet/risk"
)

// words is enough for a bit of each rule of a set.
const words = (risk.MaxRules + 63) / 64

// bitset is a set of rules by their number within a phase.
type bitset [words]uint64

func (b *bitset) add(i int) { b[i/64] |= 1 << (i % 64) }

// index finds the rules of one phase that can fire, without running them: those
// whose text fact has the right value, and, while nothing is listed, only those
// that do not ask for a listing.
type index struct {
	rules []*compiled
	words int
	open  bitset // rules that no text fact rules out
	clean bitset // rules that can fire though nothing is listed
	keys  []valueIndex
}

// valueIndex finds rules by the value of one text fact.
type valueIndex struct {
	name string
	text textFunc
	by   map[string]*bitset
}

// keyed is one conjunct that asks a text fact to be one of some values.
type keyed struct {
	fact   *fact
	values []string
}

// key is the conjunct that a rule is found by: at most one of its candidates.
type key struct {
	candidates []keyed
	chosen     *keyed
}

// chooseKeys picks for each rule the conjunct whose values the fewest rules share.
func (p *Program) chooseKeys() {
	type pair struct{ fact, value string }
	shared := map[pair]int{}
	for _, r := range p.rules {
		for _, k := range r.key.candidates {
			for _, v := range k.values {
				shared[pair{k.fact.name, v}]++
			}
		}
	}
	for _, r := range p.rules {
		fewest := len(p.rules) + 1
		for i, k := range r.key.candidates {
			most := 0
			for _, v := range k.values {
				most = max(most, shared[pair{k.fact.name, v}])
			}
			if most < fewest {
				fewest, r.key.chosen = most, &r.key.candidates[i]
			}
		}
	}
}

func newIndex(rules []*compiled, phase risk.Phase) index {
	var x index
	for _, r := range rules {
		if !r.In(phase) {
			continue
		}
		i := len(x.rules)
		x.rules = append(x.rules, r)
		if r.needs == 0 {
			x.clean.add(i)
		}
		if r.key.chosen == nil {
			x.open.add(i)
			continue
		}
		by := x.valuesOf(r.key.chosen.fact)
		for _, v := range r.key.chosen.values {
			if by[v] == nil {
				by[v] = &bitset{}
			}
			by[v].add(i)
		}
	}
	x.words = (len(x.rules) + 63) / 64
	return x
}

func (x *index) valuesOf(f *fact) map[string]*bitset {
	at := slices.IndexFunc(x.keys, func(k valueIndex) bool { return k.name == f.name })
	if at < 0 {
		at = len(x.keys)
		x.keys = append(x.keys, valueIndex{name: f.name, text: f.text, by: map[string]*bitset{}})
	}
	return x.keys[at].by
}

// candidates marks the rules that can fire.
func (x *index) candidates(f *Facts, listed subjects, marked *bitset) {
	n := x.words
	copy(marked[:n], x.open[:n])
	for i := range x.keys {
		k := &x.keys[i]
		if with := k.by[k.text(f)]; with != nil {
			for w := range n {
				marked[w] |= with[w]
			}
		}
	}
	if listed == 0 {
		for w := range n {
			marked[w] &= x.clean[w]
		}
	}
}

// conjuncts takes a && b && c apart.
func conjuncts(e ast.Expr, list []ast.Expr) []ast.Expr {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		for _, part := range e.AsCall().Args() {
			list = conjuncts(part, list)
		}
		return list
	}
	return append(list, e)
}

// needs proves that a conjunct asks for a listing: it speaks of subjects only,
// not of their presence, and is false where nothing is listed about them. It
// gives those subjects, or zero where there is no proof.
func (c *closer) needs(e ast.Expr, guard flagFunc) subjects {
	var about subjects
	proof := true
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		f := c.fact(e)
		switch {
		case f == nil:
		case f.about == 0 || f.presence:
			proof = false
		default:
			about |= f.about
		}
	}))
	if !proof || guard(&Facts{}) {
		return 0
	}
	return about
}

// equality reads `fact == "value"` and `fact in ["value", …]`.
func (c *closer) equality(e ast.Expr) (*fact, []string) {
	if e.Kind() != ast.CallKind {
		return nil, nil
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.Equals:
		for i := range args {
			f := c.fact(args[i])
			if v, ok := literalText(args[1-i]); ok && f != nil && f.text != nil {
				return f, []string{v}
			}
		}
	case operators.In:
		f := c.fact(args[0])
		if values, ok := constants(args[1], literalText); ok && f != nil && f.text != nil {
			return f, values
		}
	}
	return nil, nil
}

func fewer(a, b subjects) bool { return bits.OnesCount32(uint32(a)) < bits.OnesCount32(uint32(b)) }
