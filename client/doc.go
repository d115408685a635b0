// Package client is how a program reaches a node and who is speaking.
//
// It owns the caller's side of the network: the [Profile] with addresses and
// keys, mutual TLS connections ([Dial]), commands that are signed and sent until
// their outcome is known ([Author]), files of identifiers that become listings
// ([Importer]), files of payments that become checks ([Checker]), and the checks of a
// payment system that asks from many goroutines at once ([Asker]).
//
// Its promise is privacy: a raw identifier becomes a token here, and only the
// token is sent. The token keys come from the profile's own endpoint, never from
// another node. It prints nothing and knows no flags; whoever calls it does.
//
// A [Client], an [Author] and an [Asker] may be used by any number of goroutines. Run
// starts goroutines in [Importer] and [Checker] and returns when all of them have ended;
// progress and results are handed over on one goroutine at a time. An Asker has two
// goroutines for each of its streams; Close ends them.
package client
