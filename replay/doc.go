// Package replay plays labelled payments through a simulated network on fake time,
// with the real store, check and rules, and says what sharing is worth: how many frauds
// each policy catches, and how many good payments it stops.
//
// What it simulates is the world around them: institutions that learn of a fraud so
// long after the payment, and report the terminal where it happened.
package replay
