package rules

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// A closure computes an expression that cannot fail. Where an expression can
// (an overflow, an index, a division by a fact), the closer gives nil and the
// expression is left to cel-go.
type (
	flagFunc  = func(*Facts) bool
	numFunc   = func(*Facts) int64
	textFunc  = func(*Facts) string
	codesFunc = func(*Facts) []uint16
)

// closer makes closures from one checked expression.
type closer struct {
	ast   *ast.AST
	table *table
	loop  string // the loop variable in scope
}

func (c *closer) kind(e ast.Expr) types.Kind { return c.ast.GetType(e.ID()).Kind() }

// fact gives the fact that an identifier names.
func (c *closer) fact(e ast.Expr) *fact {
	if e.Kind() != ast.IdentKind {
		return nil
	}
	return c.table.byName[e.AsIdent()]
}

// flag compiles a bool.
func (c *closer) flag(e ast.Expr) flagFunc {
	switch e.Kind() {
	case ast.LiteralKind:
		if v, ok := e.AsLiteral().(types.Bool); ok {
			return func(*Facts) bool { return bool(v) }
		}
	case ast.IdentKind:
		if f := c.fact(e); f != nil {
			return f.flag
		}
	case ast.ComprehensionKind:
		return c.loopFlag(e.AsComprehension())
	case ast.CallKind:
		return c.callFlag(e.AsCall())
	}
	return nil
}

func (c *closer) callFlag(call ast.CallExpr) flagFunc {
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		a, b := c.flag(args[0]), c.flag(args[1])
		if a == nil || b == nil {
			return nil
		}
		if call.FunctionName() == operators.LogicalAnd {
			return func(f *Facts) bool { return a(f) && b(f) }
		}
		return func(f *Facts) bool { return a(f) || b(f) }
	case operators.LogicalNot:
		if a := c.flag(args[0]); a != nil {
			return func(f *Facts) bool { return !a(f) }
		}
	case operators.Conditional:
		test, yes, no := c.flag(args[0]), c.flag(args[1]), c.flag(args[2])
		if test != nil && yes != nil && no != nil {
			return func(f *Facts) bool {
				if test(f) {
					return yes(f)
				}
				return no(f)
			}
		}
	case operators.In:
		return c.in(args[0], args[1])
	case overloads.StartsWith, overloads.EndsWith, overloads.Contains:
		return c.textTest(call)
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return c.compare(call.FunctionName(), args[0], args[1])
	}
	return nil
}

func (c *closer) textTest(call ast.CallExpr) flagFunc {
	if !call.IsMemberFunction() {
		return nil
	}
	a, b := c.text(call.Target()), c.text(call.Args()[0])
	if a == nil || b == nil {
		return nil
	}
	switch call.FunctionName() {
	case overloads.StartsWith:
		return func(f *Facts) bool { return strings.HasPrefix(a(f), b(f)) }
	case overloads.EndsWith:
		return func(f *Facts) bool { return strings.HasSuffix(a(f), b(f)) }
	default:
		return func(f *Facts) bool { return strings.Contains(a(f), b(f)) }
	}
}

func (c *closer) compare(operator string, left, right ast.Expr) flagFunc {
	if c.kind(left) != c.kind(right) {
		return nil
	}
	switch c.kind(left) {
	case types.IntKind:
		a, b := c.num(left), c.num(right)
		if a == nil || b == nil {
			return nil
		}
		if v, ok := c.constant(right); ok {
			return compareConstant(operator, a, v)
		}
		return compareFunc(operator, a, b)
	case types.StringKind:
		a, b := c.text(left), c.text(right)
		if a == nil || b == nil {
			return nil
		}
		return compareFunc(operator, a, b)
	case types.BoolKind:
		a, b := c.flag(left), c.flag(right)
		switch {
		case a == nil || b == nil:
		case operator == operators.Equals:
			return func(f *Facts) bool { return a(f) == b(f) }
		case operator == operators.NotEquals:
			return func(f *Facts) bool { return a(f) != b(f) }
		}
	}
	return nil
}

func compareFunc[T int64 | string](operator string, a, b func(*Facts) T) flagFunc {
	switch operator {
	case operators.Equals:
		return func(f *Facts) bool { return a(f) == b(f) }
	case operators.NotEquals:
		return func(f *Facts) bool { return a(f) != b(f) }
	case operators.Less:
		return func(f *Facts) bool { return a(f) < b(f) }
	case operators.LessEquals:
		return func(f *Facts) bool { return a(f) <= b(f) }
	case operators.Greater:
		return func(f *Facts) bool { return a(f) > b(f) }
	default:
		return func(f *Facts) bool { return a(f) >= b(f) }
	}
}

// compareConstant saves the call for the most common comparison.
func compareConstant(operator string, a numFunc, b int64) flagFunc {
	switch operator {
	case operators.Equals:
		return func(f *Facts) bool { return a(f) == b }
	case operators.NotEquals:
		return func(f *Facts) bool { return a(f) != b }
	case operators.Less:
		return func(f *Facts) bool { return a(f) < b }
	case operators.LessEquals:
		return func(f *Facts) bool { return a(f) <= b }
	case operators.Greater:
		return func(f *Facts) bool { return a(f) > b }
	default:
		return func(f *Facts) bool { return a(f) >= b }
	}
}

// in compiles membership in a list of constants or in a list of codes.
func (c *closer) in(element, list ast.Expr) flagFunc {
	switch c.kind(element) {
	case types.IntKind:
		a := c.num(element)
		if a == nil {
			return nil
		}
		if codes := c.codes(list); codes != nil {
			return func(f *Facts) bool { return hasCode(codes(f), a(f)) }
		}
		if values, ok := constants(list, c.constant); ok {
			return func(f *Facts) bool { return slices.Contains(values, a(f)) }
		}
	case types.StringKind:
		a := c.text(element)
		if values, ok := constants(list, literalText); ok && a != nil {
			return func(f *Facts) bool { return slices.Contains(values, a(f)) }
		}
	}
	return nil
}

func hasCode(codes []uint16, code int64) bool {
	for _, c := range codes {
		if int64(c) == code {
			return true
		}
	}
	return false
}

// loopFlag compiles codes.exists(c, …) and codes.all(c, …), recognised by what
// the macros expand to.
func (c *closer) loopFlag(loop ast.ComprehensionExpr) flagFunc {
	codes := c.codes(loop.IterRange())
	start, ok := literalFlag(loop.AccuInit())
	if codes == nil || !ok || c.loop != "" || loop.HasIterVar2() || !isIdent(loop.Result(), loop.AccuVar()) {
		return nil
	}
	operator := operators.LogicalOr
	if start {
		operator = operators.LogicalAnd
	}
	if loop.LoopStep().Kind() != ast.CallKind {
		return nil
	}
	step := loop.LoopStep().AsCall()
	if step.FunctionName() != operator || !isIdent(step.Args()[0], loop.AccuVar()) {
		return nil
	}
	inner := *c
	inner.loop = loop.IterVar()
	test := inner.flag(step.Args()[1])
	if test == nil {
		return nil
	}
	return func(f *Facts) bool {
		for _, code := range codes(f) {
			f.item = int64(code)
			if test(f) != start {
				return !start
			}
		}
		return start
	}
}

func isIdent(e ast.Expr, name string) bool {
	return e.Kind() == ast.IdentKind && e.AsIdent() == name
}

// num compiles an int.
func (c *closer) num(e ast.Expr) numFunc {
	if v, ok := c.constant(e); ok {
		return func(*Facts) int64 { return v }
	}
	switch e.Kind() {
	case ast.IdentKind:
		if c.loop != "" && e.AsIdent() == c.loop {
			return func(f *Facts) int64 { return f.item }
		}
		if f := c.fact(e); f != nil {
			return f.num
		}
	case ast.CallKind:
		return c.callNum(e.AsCall())
	}
	return nil
}

func (c *closer) callNum(call ast.CallExpr) numFunc {
	args := call.Args()
	switch call.FunctionName() {
	case operators.Divide, operators.Modulo:
		// A positive constant divides every number.
		by, ok := c.constant(args[1])
		a := c.num(args[0])
		if !ok || by <= 0 || a == nil {
			return nil
		}
		if call.FunctionName() == operators.Divide {
			return func(f *Facts) int64 { return a(f) / by }
		}
		return func(f *Facts) int64 { return a(f) % by }
	case operators.Conditional:
		test, yes, no := c.flag(args[0]), c.num(args[1]), c.num(args[2])
		if test != nil && yes != nil && no != nil {
			return func(f *Facts) int64 {
				if test(f) {
					return yes(f)
				}
				return no(f)
			}
		}
	case overloads.Size:
		of := call.Target()
		if !call.IsMemberFunction() {
			of = args[0]
		}
		if codes := c.codes(of); codes != nil {
			return func(f *Facts) int64 { return int64(len(codes(f))) }
		}
		if text := c.text(of); text != nil {
			return func(f *Facts) int64 { return int64(utf8.RuneCountInString(text(f))) }
		}
	}
	return nil
}

// text compiles a string.
func (c *closer) text(e ast.Expr) textFunc {
	if v, ok := literalText(e); ok {
		return func(*Facts) string { return v }
	}
	if f := c.fact(e); f != nil {
		return f.text
	}
	return nil
}

func (c *closer) codes(e ast.Expr) codesFunc {
	if f := c.fact(e); f != nil {
		return f.codes
	}
	return nil
}

func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	v, ok := e.AsLiteral().(types.String)
	return string(v), ok
}

func literalFlag(e ast.Expr) (bool, bool) {
	if e.Kind() != ast.LiteralKind {
		return false, false
	}
	v, ok := e.AsLiteral().(types.Bool)
	return bool(v), ok
}

// constants reads a list literal of which every element is constant.
func constants[T any](list ast.Expr, read func(ast.Expr) (T, bool)) ([]T, bool) {
	if list.Kind() != ast.ListKind {
		return nil, false
	}
	var values []T
	for _, e := range list.AsList().Elements() {
		v, ok := read(e)
		if !ok {
			return nil, false
		}
		values = append(values, v)
	}
	return values, true
}

// constant folds an int that depends on no fact and overflows nowhere.
func (c *closer) constant(e ast.Expr) (int64, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		v, ok := e.AsLiteral().(types.Int)
		return int64(v), ok
	case ast.IdentKind:
		if reference := c.ast.ReferenceMap()[e.ID()]; reference != nil && reference.Value != nil {
			v, ok := reference.Value.(types.Int)
			return int64(v), ok
		}
	case ast.CallKind:
		args := e.AsCall().Args()
		if len(args) != 2 {
			return 0, false
		}
		a, okA := c.constant(args[0])
		b, okB := c.constant(args[1])
		if okA && okB {
			return fold(e.AsCall().FunctionName(), a, b)
		}
	}
	return 0, false
}

// fold computes within 32 bits, where no product overflows.
func fold(operator string, a, b int64) (int64, bool) {
	const bound = math.MaxInt32
	if a < -bound || a > bound || b < -bound || b > bound {
		return 0, false
	}
	switch operator {
	case operators.Add:
		return a + b, true
	case operators.Subtract:
		return a - b, true
	case operators.Multiply:
		return a * b, true
	}
	return 0, false
}
