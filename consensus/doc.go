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
//   - What the log gives back is what was written to it: every entry has a checksum,
//     all of it is read at the start, and an end that went missing is noticed.
//   - A server that lost its disk and came back under a new id is never taken for
//     the one it was: every connection names the server it is meant for.
//   - A disk that hangs or fails costs one server. It cuts itself off, so that the
//     others elect; after a failed write it takes no further part.
//   - A peer can neither rewrite what was applied here nor stop this server with a
//     malformed message.
//
// Life of a failing server: what it cannot survive comes out of [Replica.Failed] as
// one of [ErrDisk], [ErrDamaged], [ErrRestart] or the machine's own error; after it
// nothing is delivered. [Inspect] tells what is left of a log, and [Recover] makes
// a network of one out of a server whose majority is gone.
//
// Raft survives crashes, not lies: a bad leader can delay, and can order anew
// what it promised nobody. Keeping strangers away from the transport is the
// caller's part: Listener and Dial must authenticate both ends.
//
// Goroutines: every method of [Replica] may be called from any goroutine. The
// machine is called from raft's own goroutines as [Machine] says. [Replica.Stop]
// waits for all of them.
package consensus
