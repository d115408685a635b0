package rules

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// checkNames reports every name that is not a fact, before the type checker
// does, which knows the first part of a dotted name only.
func (c *compiler) checkNames(r *Rule, parsed *cel.Ast) bool {
	n := &namer{compiler: c, rule: r, info: parsed.NativeRep().SourceInfo(), bound: map[string]int{}, ok: true}
	n.walk(parsed.NativeRep().Expr())
	return n.ok
}

type namer struct {
	*compiler
	rule  *Rule
	info  *ast.SourceInfo
	bound map[string]int // loop variables in scope
	ok    bool
}

func (n *namer) walk(e ast.Expr) {
	if name, root, ok := dotted(e); ok {
		n.check(name, root)
		return
	}
	switch e.Kind() {
	case ast.SelectKind:
		n.walk(e.AsSelect().Operand())
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			n.walk(call.Target())
		}
		n.walkAll(call.Args())
	case ast.ListKind:
		n.walkAll(e.AsList().Elements())
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			n.walk(entry.AsMapEntry().Key())
			n.walk(entry.AsMapEntry().Value())
		}
	case ast.ComprehensionKind:
		n.walkLoop(e)
	}
}

func (n *namer) walkAll(list []ast.Expr) {
	for _, e := range list {
		n.walk(e)
	}
}

func (n *namer) walkLoop(e ast.Expr) {
	loop := e.AsComprehension()
	n.walk(loop.IterRange())
	for _, name := range []string{loop.IterVar(), loop.IterVar2()} {
		if n.hides(name) {
			n.report(e, "loop variable %q hides a fact: give it another name", name)
		}
		n.bound[name]++
		defer func() { n.bound[name]-- }()
	}
	n.bound[loop.AccuVar()]++
	defer func() { n.bound[loop.AccuVar()]-- }()
	n.walkAll([]ast.Expr{loop.AccuInit(), loop.LoopCondition(), loop.LoopStep(), loop.Result()})
}

// hides reports whether a loop variable has the name of a fact, of its first
// part or of a constant.
func (n *namer) hides(name string) bool {
	for _, known := range n.table.names {
		if first, _, _ := strings.Cut(known, "."); first == name {
			return true
		}
	}
	return false
}

// check reports a name that is neither bound nor declared. A declared name with
// more parts behind it is left to the type checker.
func (n *namer) check(name string, root ast.Expr) {
	name = strings.TrimPrefix(name, ".")
	first, _, _ := strings.Cut(name, ".")
	if n.bound[first] > 0 {
		return
	}
	known := n.table.names
	for _, k := range known {
		if name == k || strings.HasPrefix(name, k+".") {
			return
		}
	}
	n.report(root, "undeclared fact %q%s", name, suggest(name, known))
}

func (n *namer) report(e ast.Expr, format string, args ...any) {
	n.ok = false
	offset := 0
	if at, found := n.info.GetOffsetRange(e.ID()); found {
		offset = int(at.Start)
	}
	n.at(n.rule, offset, format, args...)
}

// dotted reads a.b.c as one name and gives the expression that it begins with.
func dotted(e ast.Expr) (name string, root ast.Expr, ok bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent(), e, true
	case ast.SelectKind:
		s := e.AsSelect()
		name, root, ok = dotted(s.Operand())
		return name + "." + s.FieldName(), root, ok
	}
	return "", nil, false
}
