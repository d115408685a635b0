// Package node is one institution's part of the network: it puts the other
// rooms together and runs them.
//
// It owns the assembly, the servers and their mutual TLS, the one hop of a
// command to the leader, the age of the view, the configuration and the life
// cycle. It holds no law: what a command does is decided in risk, what a check
// finds in check. The short files view.go and machine.go are where store, check
// and consensus meet, which do not know each other.
//
// [New] opens everything and [Node.Run] runs it until its context ends; both are
// called once, by whoever starts the node. The other methods may be called from
// any goroutine.
package node
