package rules

import (
	"cel.dev/cel-go/common/ast"
	"gopkg.in/yaml.v3"

	"github.com/risknet/risknet/risk"
)

// Windows is the number of windows in which a node counts what it sees of a subject.
const Windows = 6

// WindowNames are their names in facts.
var WindowNames = [Windows]string{"1m", "10m", "1h", "24h", "7d", "30d"}

var windowZH = [Windows]string{"1分钟", "10分钟", "1小时", "24小时", "7天", "30天"}

// Moves is what a node itself has seen of a subject before this check: its local
// dynamics (事中交易动态). All is zero where it has seen nothing.
type Moves struct {
	Count   [Windows]int64 // checks in flight
	Amount  [Windows]int64 // of them, minor units of all currencies added up
	Parties [Windows]int64 // different counterparties, about

	// The habit is of payments that nothing stopped, in the currency of this one.
	Payments int64 // how many it is made of
	Mean     int64 // minor units
	Spread   int64 // standard deviation, minor units
	Excess   int64 // hundredths of a spread by which this payment's amount is above the mean
}

// addMoves gives the facts of one subject's moves.
func (t *table) addMoves(prefix, who, zh string, bit subjects, at func(*Facts) *About) {
	num := func(name, doc, zhDoc string, get func(*Moves) int64) {
		t.add(&fact{name: prefix + "." + name, doc: doc + who, zh: zh + zhDoc, about: bit, presence: true, moves: true,
			num: func(f *Facts) int64 { return get(&at(f).Moves) }})
	}
	for w, window := range WindowNames {
		num("count_"+window, "how many payments this node was asked about in the last "+window+", of ", windowZH[w]+"内交易笔数",
			func(m *Moves) int64 { return m.Count[w] })
		num("amount_"+window, "their amounts added up, minor units, in the last "+window+", of ", windowZH[w]+"内交易金额",
			func(m *Moves) int64 { return m.Amount[w] })
		num("parties_"+window, "about how many different counterparties in the last "+window+", of ", windowZH[w]+"内对手方数",
			func(m *Moves) int64 { return m.Parties[w] })
	}
	num("habit_payments", "how many payments that nothing stopped make the habit of ", "习惯样本笔数", func(m *Moves) int64 { return m.Payments })
	num("habit_mean", "the mean amount, minor units, of ", "习惯金额均值", func(m *Moves) int64 { return m.Mean })
	num("habit_spread", "the standard deviation of the amounts, minor units, of ", "习惯金额标准差", func(m *Moves) int64 { return m.Spread })
	num("excess", "by how many hundredths of the spread this amount is above the mean, of ", "金额超出习惯的程度（百分之一标准差）", func(m *Moves) int64 { return m.Excess })
}

// Wants says of which subjects the rules of a program read the moves, live rules and
// those in shadow mode.
type Wants struct {
	Roles [risk.Roles]bool
	Kinds [risk.Kinds]bool
	Any   bool // of at least one
}

func (w *Wants) add(set subjects) {
	for r := risk.Role(1); r < risk.Roles; r++ {
		w.Roles[r] = w.Roles[r] || set&roleBit(r) != 0
	}
	for k := risk.Kind(1); k < risk.Kinds; k++ {
		w.Kinds[k] = w.Kinds[k] || set&kindBit(k) != 0
	}
	w.Any = w.Any || set != 0
}

// Wants says which moves the program reads.
func (p *Program) Wants() *Wants { return &p.wants }

// moves are the subjects of which an expression reads what the node has seen.
func (c *closer) moves() (set subjects) {
	ast.PreOrderVisit(c.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if f := c.fact(e); f != nil && f.moves {
			set |= f.about
		}
	}))
	return set
}

// field is where a fact of a name stands, nil if there is none.
func (m *Moves) field(name string) *int64 {
	for w, window := range WindowNames {
		switch name {
		case "count_" + window:
			return &m.Count[w]
		case "amount_" + window:
			return &m.Amount[w]
		case "parties_" + window:
			return &m.Parties[w]
		}
	}
	switch name {
	case "habit_payments":
		return &m.Payments
	case "habit_mean":
		return &m.Mean
	case "habit_spread":
		return &m.Spread
	case "excess":
		return &m.Excess
	}
	return nil
}

// readSeen reads what a test says that this node has seen of subjects.
func (s *sheet) readSeen(n *yaml.Node, f *Facts) {
	if n.Kind != yaml.MappingNode {
		s.at(n, "seen must be a mapping from a role or a kind to what this node has seen of it")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		about, facts := s.subject(f, n.Content[i]), n.Content[i+1]
		if about == nil {
			continue
		}
		about.Present, f.Any.Present = true, true
		for j := 0; j+1 < len(facts.Content); j += 2 {
			into := about.Moves.field(facts.Content[j].Value)
			if into == nil {
				s.at(facts.Content[j], "%q is nothing that a node sees of a subject; there are count, amount and parties with a window, as count_1h, and habit_payments, habit_mean, habit_spread and excess", facts.Content[j].Value)
				continue
			}
			*into = s.number(facts.Content[j+1], facts.Content[j].Value, 0, 1<<62)
		}
	}
}
