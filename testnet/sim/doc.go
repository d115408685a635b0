// Package sim runs a whole network on fake time: the nodes are the real ones with
// raft, TLS, gRPC, badger and HTTP, inside a bubble of testing/synctest. Around
// them are a [Switch], which is a network in memory that delays, loses, repeats
// and cuts; machines whose clocks can be off, whose power can fail and whose disks
// then lose what was not synced; and clients that list, lift and check. What
// happens is a [Scenario], from a file or from a seed.
//
// While it runs, every node is compared with itself and with all others once a
// second. In the end the history of the clients is held against the ledger, and
// porcupine looks for an order of commands and checks that explains it.
//
// What it is not: goroutines run in parallel, so that a seed repeats the faults
// and their times and not each interleaving. A crash comes when every goroutine
// waits, so between steps of a write and never within one. A paused node's clock
// and network stand still and its goroutines go on. A clock that jumps takes the
// node's measure of time with it. A byte stream loses, repeats and reorders
// nothing by itself; see [Switch] for what packets suffer.
package sim
