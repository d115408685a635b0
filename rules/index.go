package rules

import (
	"math/bits"
	"slices"

	"cel.dev/cel-go/cel"
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
// whose fact has the right value, of whose subjects something is listed, and whose
// condition that many rules share holds.
type index struct {
	rules []*compiled
	words int
	open  bitset // rules that no value rules out
	clean bitset // rules that can fire though nothing is listed
	keys  []valueIndex
	needs []needIndex
	gates []gateIndex
}

// valueIndex finds rules by the value of one fact, a text or a number.
type valueIndex struct {
	fact  *fact
	texts map[string]*bitset
	nums  map[int64]*bitset
}

// needIndex is the rules that ask for a listing of one of some subjects.
type needIndex struct {
	needs subjects
	rules bitset
}

// gateIndex is the rules that share a condition.
type gateIndex struct {
	test  flagFunc
	rules bitset
}

// keyed is one conjunct that asks a fact to be one of some values.
type keyed struct {
	fact  *fact
	texts []string
	nums  []int64
}

// key is the conjunct that a rule is found by: at most one of its candidates.
type key struct {
	candidates []keyed
	chosen     *keyed
}

// leastKeyed is how many rules must ask for values of a fact before it is looked up
// for them: one look-up costs about as much as two rules.
const leastKeyed = 2

// chooseKeys picks for each rule the conjunct whose values the fewest rules share.
func (p *Program) chooseKeys() {
	type pair struct {
		fact string
		text string
		num  int64
	}
	shared, asked := map[pair]int{}, map[string]int{}
	each := func(k *keyed, do func(pair)) {
		for _, v := range k.texts {
			do(pair{fact: k.fact.name, text: v})
		}
		for _, v := range k.nums {
			do(pair{fact: k.fact.name, num: v})
		}
	}
	for _, r := range p.rules {
		for i := range r.key.candidates {
			asked[r.key.candidates[i].fact.name]++
			each(&r.key.candidates[i], func(v pair) { shared[v]++ })
		}
	}
	for _, r := range p.rules {
		fewest := len(p.rules) + 1
		for i := range r.key.candidates {
			k, most := &r.key.candidates[i], 0
			each(k, func(v pair) { most = max(most, shared[v]) })
			if most < fewest && asked[k.fact.name] >= leastKeyed {
				fewest, r.key.chosen = most, k
			}
		}
	}
}

// leastGated is how many rules must share a condition before it is asked ahead of
// them, once for all.
const leastGated = 4

// openGates takes the conditions that many rules share out of these rules: they are
// asked once for all. It gives the rules behind each, by its text.
func (p *Program) openGates() map[string]*gate {
	gates := map[string]*gate{}
	for _, r := range p.rules {
		for i := range r.guard {
			g := &r.guard[i]
			if g.text == "" {
				continue
			}
			if gates[g.text] == nil {
				gates[g.text] = &gate{test: g.test, first: len(gates), behind: map[*compiled]bool{}}
			}
			gates[g.text].behind[r] = true
		}
	}
	for _, r := range p.rules {
		r.guard = slices.DeleteFunc(r.guard, func(g guard) bool {
			shared := gates[g.text]
			return shared != nil && len(shared.behind) >= leastGated
		})
	}
	for text, g := range gates {
		if len(g.behind) < leastGated {
			delete(gates, text)
		}
	}
	return gates
}

// gate is a condition that rules share.
type gate struct {
	test   flagFunc
	first  int // its place among all, so that the order is the same each time
	behind map[*compiled]bool
}

func newIndex(rules []*compiled, phase risk.Phase, gates map[string]*gate) index {
	var x index
	for _, r := range rules {
		if !r.In(phase) {
			continue
		}
		i := len(x.rules)
		x.rules = append(x.rules, r)
		if r.needs == 0 {
			x.clean.add(i)
		} else {
			x.need(r.needs).add(i)
		}
		if r.key.chosen == nil {
			x.open.add(i)
			continue
		}
		values := x.valuesOf(r.key.chosen.fact)
		for _, v := range r.key.chosen.texts {
			in(values.texts, v).add(i)
		}
		for _, v := range r.key.chosen.nums {
			in(values.nums, v).add(i)
		}
	}
	x.words = (len(x.rules) + 63) / 64
	order := func(a, b *gate) int { return a.first - b.first }
	var sorted []*gate
	for _, g := range gates {
		sorted = append(sorted, g)
	}
	slices.SortFunc(sorted, order)
	for _, g := range sorted {
		behind := gateIndex{test: g.test}
		for i, r := range x.rules {
			if g.behind[r] {
				behind.rules.add(i)
			}
		}
		x.gates = append(x.gates, behind)
	}
	return x
}

// in gives the set of a value, a new one where there is none.
func in[T comparable](sets map[T]*bitset, value T) *bitset {
	if sets[value] == nil {
		sets[value] = &bitset{}
	}
	return sets[value]
}

func (x *index) need(needs subjects) *bitset {
	at := slices.IndexFunc(x.needs, func(n needIndex) bool { return n.needs == needs })
	if at < 0 {
		at = len(x.needs)
		x.needs = append(x.needs, needIndex{needs: needs})
	}
	return &x.needs[at].rules
}

func (x *index) valuesOf(f *fact) *valueIndex {
	at := slices.IndexFunc(x.keys, func(k valueIndex) bool { return k.fact == f })
	if at < 0 {
		at = len(x.keys)
		x.keys = append(x.keys, valueIndex{fact: f, texts: map[string]*bitset{}, nums: map[int64]*bitset{}})
	}
	return &x.keys[at]
}

// of gives the rules that ask for the value that the fact has; nil for none.
func (k *valueIndex) of(f *Facts) *bitset {
	if k.fact.text != nil {
		return k.texts[k.fact.text(f)]
	}
	return k.nums[k.fact.num(f)]
}

// candidates marks the rules that can fire.
func (x *index) candidates(f *Facts, listed subjects, marked *bitset) {
	n := x.words
	copy(marked[:n], x.open[:n])
	for i := range x.keys {
		if with := x.keys[i].of(f); with != nil {
			for w := range n {
				marked[w] |= with[w]
			}
		}
	}
	if listed == 0 {
		for w := range n {
			marked[w] &= x.clean[w]
		}
	} else {
		for i := range x.needs {
			if need := &x.needs[i]; need.needs&listed == 0 {
				marked.drop(&need.rules, n)
			}
		}
	}
	for i := range x.gates {
		if g := &x.gates[i]; marked.meets(&g.rules, n) && !g.test(f) {
			marked.drop(&g.rules, n)
		}
	}
}

func (b *bitset) drop(others *bitset, words int) {
	for w := range words {
		b[w] &^= others[w]
	}
}

func (b *bitset) meets(others *bitset, words int) bool {
	for w := range words {
		if b[w]&others[w] != 0 {
			return true
		}
	}
	return false
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

// equality reads `fact == value`, `fact in [value, …]`, and several of them about one
// fact with `||` in between. The fact is nil where a conjunct is nothing of that.
func (c *closer) equality(e ast.Expr) (k keyed) {
	if e.Kind() != ast.CallKind {
		return keyed{}
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.LogicalOr:
		a, b := c.equality(args[0]), c.equality(args[1])
		if a.fact == nil || a.fact != b.fact {
			return keyed{}
		}
		return keyed{a.fact, append(a.texts, b.texts...), append(a.nums, b.nums...)}
	case operators.Equals:
		for i := range args {
			f := c.fact(args[i])
			if f == nil {
				continue
			}
			if v, ok := literalText(args[1-i]); ok && f.text != nil {
				return keyed{fact: f, texts: []string{v}}
			}
			if v, ok := c.constant(args[1-i]); ok && f.num != nil {
				return keyed{fact: f, nums: []int64{v}}
			}
		}
	case operators.In:
		f := c.fact(args[0])
		if f == nil {
			return keyed{}
		}
		if values, ok := constants(args[1], literalText); ok && f.text != nil {
			return keyed{fact: f, texts: values}
		}
		if values, ok := constants(args[1], c.constant); ok && f.num != nil {
			return keyed{fact: f, nums: values}
		}
	}
	return keyed{}
}

// textOf writes a conjunct, so that the same one is known again in another rule; ""
// where it cannot be written.
func textOf(e ast.Expr, of *cel.Ast) string {
	text, err := cel.ExprToString(e, of.NativeRep().SourceInfo())
	if err != nil {
		return ""
	}
	return text
}

func fewer(a, b subjects) bool { return bits.OnesCount32(uint32(a)) < bits.OnesCount32(uint32(b)) }
