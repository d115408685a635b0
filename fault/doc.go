// Package fault marks the places where a crash matters: the moments between two
// durable steps, of which the comment beside each says what the next start finds.
//
// In an ordinary build a [Point] is nothing, and the compiler leaves it out. In
// a test build (`-tags faults`) a point that was armed ends the process there
// with SIGKILL, so that a test can be sure to have crashed at that very step.
// Points are named "room: step" and each name stands once in the source.
package fault
