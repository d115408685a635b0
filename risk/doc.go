// Package risk holds the nouns of the network and its law.
//
// Nouns are what institutions say to each other (commands, listings, rule
// sets, nodes) and what a node says to a payment (verdict, reason, advice).
// The law is [Step]: one signed command and the state before it give the state
// after it. Everything here is pure: no clock, no randomness, no lock, no
// goroutine, no I/O. Time is an argument, in milliseconds since the Unix epoch.
//
// The package also owns the one codec. Each signed or hashed thing has exactly
// one encoding; a decoder refuses whatever it would not itself have written.
// The layouts are described beside the types and frozen by testdata/vectors.
package risk
