// Package enrol lets a node into a network: the hub's operator invites, the new
// node's operator joins with the token that the invitation gave.
//
// An invitation is a process, not a state. It runs on the hub operator's machine
// beside the CA key and the hub's signing keys, listens, lets one node in, and
// ends; so these keys and open invitations never lie on a node that serves.
// What is one-time and short-lived is so because the process that alone knows
// the secret ends: with the first node that is let in, with the operator's no,
// with the fifth wrong attempt, or when its time is over.
//
// The two sides speak TLS 1.3. The joiner knows the CA by its hash and takes only
// a certificate of role "inviter", which no node of the network has. Then both
// prove that they hold the token's secret, by a MAC over this connection's
// exported key: the secret itself is never sent, and a proof is worth nothing on
// another connection. The node's TLS key and log key are made by the joiner and
// never leave its machine.
//
// Who has a token that is expired or used can do nothing with it: nobody listens,
// and the next invitation has another secret. Who steals one in time can join in
// the node's place, if the operator says yes to the addresses and the log key
// that are shown, and only for the institution, name and suffrage that were
// invited; the true joiner then finds that nobody answers. Such a thief gets the
// token keys, so treat the token as a password, compare the log key with the
// joiner's operator, and do not use --yes across an open network. Who has no
// token can take seats for ten seconds each, of which there are sixteen, and can
// end the invitation by wrong attempts; both are told to the operator.
//
// What a crash leaves is said where it can happen; the cure is the same each
// time: invite again. [Hub.Replace] then takes away the record of the attempt.
package enrol
