// Package audit is what somebody does who trusts no node: it reads a network's
// ledger over HTTP, applies the law to it again, and holds what nodes say and what
// they store to the result.
//
// It begins from two things that the auditor must have from elsewhere: the
// network's id, which is the hash of the founding command, and the log key of one
// node. Everything else (who may sign what, the other nodes' keys) follows from the
// leaves. A [Replica] is the result: a ledger and a state of the auditor's own, in
// a directory that is thrown away.
//
// Everything here runs on the caller's goroutine and ends with its context; a
// Replica has one user at a time.
package audit
