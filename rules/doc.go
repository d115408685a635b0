// Package rules compiles rule sets and decides payments with them. It owns the
// CEL environment: which facts a rule may name, which functions it may call and
// what it may cost.
//
// A rule set is YAML text. [Compile] reads it strictly, checks every expression
// against the table of facts, proves a bound on its cost and reports all
// problems together, each with its line and column. The result, a [Program], is
// immutable: any number of goroutines may call [Program.Decide] and
// [Program.Explain] at once, each with [Facts] and a [Decision] of its own.
//
// cel-go is the meaning of an expression. On the way of a payment most
// expressions run as closures over the plain [Facts] struct, which allocate
// nothing; a closure is only made of what cannot fail, so it differs from
// cel-go in nothing but speed. What has no closure runs in cel-go itself,
// without a meter, because its cost was proven when it was compiled.
//
// The package never reads the state of the network, a clock or a source of
// randomness: the same program and the same facts give the same decision.
package rules
