// Package chaos torments a network of real processes and holds it to its
// invariants.
//
// One command measures: it builds the binary with crash points in it, starts
// networks of three and five nodes, writes and asks all the time, makes one
// fault after the other, and writes the matrix of docs/reliability.md:
//
//	go test -tags chaos -timeout 6h ./testnet/chaos -run TestMatrix
//
// RISKNET_CHAOS_ROWS chooses rows by name (all), RISKNET_CHAOS_RUNS the runs of
// each (20), RISKNET_CHAOS_RESULTS the file of JSON lines to which each row is
// added and from which the page is rendered, so that rows can be measured in
// several goes; RISKNET_CHAOS_HITS is how often each crash point is to be hit in
// all of them (50); RISKNET_CHAOS_PAGE is the page (docs/reliability.md),
// RISKNET_CHAOS_DIR is where networks live (the temporary
// directory), RISKNET_CHAOS_SEED repeats the choices of a run.
//
// Without the build tag there are only the judges: [Witness], which compares
// what clients were told with what nodes answer, [Linearizable], and the page.
// They know no process and are tested by themselves.
package chaos
