// Package token turns an identifier into the pseudonym under which it is
// listed and asked.
//
// An identifier passes two steps. [Normalise] brings it into the one spelling
// that all institutions share and refuses what cannot be right: a card that
// fails its check digit, a domain that no resolver would ask for. A [Hasher]
// then gives the [risk.Token], keyed by the secret of a [Key] that only members
// hold. A [Keyring] joins both: [Keyring.List] for what a listing names,
// [Keyring.Ask] for all that a check must ask.
//
// # Promises
//
// A raw value ends here. The package stores none, logs none, and no error
// contains one or a part of one: an error names the kind, what is wrong and the
// cure. [Subject] and [Key] print nothing of what they hold.
//
// Normalising is idempotent: a normal value is its own normal form. Spellings
// that a person takes for one identifier give one token, and what nobody sees is
// refused.
//
// The normal forms are part of the network's formats. Whoever changes one
// raises [Version], which enters every token; testdata/vectors.txt holds them
// fast. Telephone metadata and Unicode tables come with pinned modules, which
// choose the tables by the version of Go; an update of either that changes a
// normal form counts as such a change.
//
// Everything is safe for concurrent use. Nodes and command lines call it on the
// goroutine of the request; nothing here blocks, reads a clock or starts a
// goroutine.
package token
