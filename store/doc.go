// Package store owns the replicated state: it applies the entries of the log to
// badger, in order, and answers questions about what it holds. The law itself
// is risk.Step; here is where its reads and writes go.
//
// It promises that data, applied index, state digest and tree move together, in
// one badger transaction a cut; that the root after an entry depends on the
// entries alone and not on where a cut falls, a restart or an image in between;
// and that a question about a version is answered from that version or refused.
// It calls no clock and no network, and knows no rule language.
//
// What it reads may be damaged. It says [ErrDamaged] then, and never answers with
// less than there was: tables are held to their checksums when a state is opened,
// the position to a note of what was synced, each cut to the one before it, and
// [Store.VerifyAll] holds everything to everything.
//
// [Store.Apply], [Store.Sync], [Store.OpenImage] and [Staging.Install] are called
// by consensus on its own goroutines, Apply and Install never at once. Everything
// else may be called from any goroutine, [Store.AddChunk] beside Apply too.
package store
