// Package consensus puts commands in one order and gives every server of the
// network the same sequence. It owns proposing, stamping, replication, delivery
// and membership; it never knows what an entry means: payloads are opaque bytes.
//
// It wraps github.com/hashicorp/raft over github.com/hashicorp/raft-wal and shows
// neither: servers are string ids and host:port addresses, the state is a
// [Machine], a running server is a [Replica].
//
// What it promises:
//
//   - An entry whose Propose returned without an error is applied on a majority's
//     disks, at one index, on every server, in the same order, once.
//   - Stamps never fall in log order, whatever the leader's clock does, and a new
//     leader stamps nothing before it has applied all of earlier terms.
//   - The log is only cut up to what [Machine.Sync] made durable. The machine is
//     the snapshot: what a restart needs is the machine's own position and the
//     log behind it, and the two are compared before anything runs.
//   - An image from another server replaces the state only after the machine has
//     verified it; until then, and if it is refused, the old state stays.
//   - A peer can neither rewrite what was applied here nor stop this server with a
//     malformed message.
//
// Raft survives crashes, not lies: a bad leader can delay, and can order anew
// what it promised nobody. Keeping strangers away from the transport is the
// caller's part: Listener and Dial must authenticate both ends.
//
// Goroutines: every method of [Replica] may be called from any goroutine. The
// machine is called from raft's own goroutines as [Machine] says. [Replica.Stop]
// waits for all of them.
package consensus
