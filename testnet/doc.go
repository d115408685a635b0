// Package testnet makes a whole network on one machine: its CA, its keys, its
// nodes and their first commands. The same plan runs as processes for people
// and scripts ([Processes]) and inside one process for tests and the demo
// ([Local]). Every part is the real one: TLS, disks, raft.
//
// It is never imported by a node.
package testnet
