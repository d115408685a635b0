// Package bugs puts known bugs back, one at a time, and asks the suite to catch
// each: a test that no bug can fail shows nothing.
//
//	go test -tags bugs -timeout 1h ./testnet/bugs
//
// A bug is a few words of a source file and what they become. The file itself is
// not touched: the compiler is given another in its place. A bug whose words are
// not found fails the test, because the code has moved on and the bug must follow.
package bugs
