// Package risknet is the root of a payment-risk sharing node. It holds no code:
// the rooms are in the folders beside it, README.md is for who runs a node,
// DESIGN.md for who changes one. arch_test.go keeps the rooms apart.
package risknet
