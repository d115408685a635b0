// Package check answers payments. It owns the read path: the immutable [View]
// of the network's state, the filter in front of the listings, and the verdict.
//
// A read takes no lock. [Checker.Check] loads one pointer, asks the filter for
// each token and ends there for a subject that nobody lists: it allocates
// nothing and writes to no memory that another goroutine reads. Only a token
// that the exact fingerprints hold is looked up in the [Source], at the version
// of the same view, so that a verdict never mixes two states.
//
// The filter has layers. The base is large, built in the background and never
// changed; over it lies what came since, made anew for every batch. Nothing
// that is listed is ever missed: after a build every key is tested. What the
// filter holds and the Source does not is damage, and damage fails closed.
//
// Who calls what: one goroutine calls [Checker.Absorb] and [Checker.Reset], in
// the order of the ledger. One runs [Checker.Run], which rebuilds the base. Any
// number call Check, each with a [Query] of its own, and everything else. The
// writers among them meet in a compare-and-swap of the view.
package check
