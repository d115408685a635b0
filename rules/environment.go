package rules

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/risknet/risknet/risk"
)

// functions is all that a rule may call. Nothing here reads a clock, and what
// could cost much for its size (regular expressions, conversions, dates) is
// left out: a rule compares facts.
var functions = []string{
	operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.NotStrictlyFalse, operators.Conditional,
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
	operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
	operators.In, operators.Index, overloads.Size, overloads.StartsWith, overloads.EndsWith, overloads.Contains,
}

var macros = []string{operators.Exists, operators.All, operators.ExistsOne, operators.Filter, operators.Map}

// maxNesting is how many loops may stand inside each other.
const maxNesting = 1

// newEnvironment declares every fact and constant, so that an undeclared name is
// a compile error.
func newEnvironment(t *table) (*cel.Env, error) {
	library := &env.LibrarySubset{IncludeMacros: macros}
	for _, name := range functions {
		library.IncludeFunctions = append(library.IncludeFunctions, env.NewFunction(name))
	}
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(library)),
		cel.ParserExpressionSizeLimit(risk.MaxRuleBytes),
		cel.ASTValidators(cel.ValidateComprehensionNestingLimit(maxNesting)),
		cel.EnableHiddenAccumulatorName(true),
		cel.DefaultUTCTimeZone(true),
	}
	for _, f := range t.facts {
		options = append(options, cel.VariableWithDoc(f.name, f.celType(), f.doc))
	}
	for a := risk.Allow; a.Valid(); a++ {
		options = append(options, cel.Constant(constantName(a), cel.IntType, types.Int(a)))
	}
	return cel.NewCustomEnv(options...)
}

// constantName gives the name of an advice in an expression: STEP_UP.
func constantName(a risk.Advice) string { return strings.ToUpper(a.String()) }

// sizes tells the cost proof how long each fact can be.
type sizes struct{ table *table }

func (s sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := node.Path()
	if len(path) != 1 {
		return nil
	}
	f := s.table.byName[strings.TrimPrefix(path[0], ".")]
	if f == nil || f.size == 0 {
		return nil
	}
	return &cost.SizeEstimate{Min: 0, Max: f.size}
}

func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// activation gives cel-go the facts of one check.
type activation struct {
	table *table
	facts *Facts
}

func (a activation) ResolveName(name string) (any, bool) {
	f := a.table.byName[name]
	if f == nil {
		return nil, false
	}
	return f.value(a.facts), true
}

func (activation) Parent() cel.Activation { return nil }
