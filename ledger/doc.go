// Package ledger is the arithmetic of the ledger: a Merkle tree over opaque
// leaves, with the hashing of RFC 6962, section 2.1.
//
// It owns five formats: the right [Edge] of a tree, from which it grows without
// re-reading; inclusion and consistency proofs; tiles and entry bundles
// (c2sp.org/tlog-tiles); checkpoints (c2sp.org/tlog-checkpoint) as signed notes
// (c2sp.org/signed-note); and the [Anchor], what a node last signed.
//
// It promises that a value has one encoding and that a decoder refuses every
// other; that equal leaves give equal bytes on every machine; and that it knows
// neither what a leaf means nor where hashes are kept: it opens nothing, reads
// no clock, takes no randomness and starts no goroutine. Hashes that were
// stored come back to it through a [HashReader] that the caller supplies.
//
// Store appends from the goroutine that applies commands; node and auditors
// make and check proofs, tiles and checkpoints on any goroutine. An Edge has one
// owner at a time; all else is a plain value or a pure function.
package ledger
