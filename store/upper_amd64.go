package store

import "golang.org/x/sys/cpu"

// zeroUpper empties the upper halves of the vector registers.
//
//go:noescape
func zeroUpper()

// cleanRegisters follows each use of the extendable hash. Its AVX-512 leaves the upper
// halves of the registers full, and as long as they are, every SSE instruction of this
// thread is slow, among them all of SHA-256: 2 KiB take 480 µs in the place of 4
// (BenchmarkDigestBehindAdd), until something else happens to empty them.
func cleanRegisters() {
	if cpu.X86.HasAVX {
		zeroUpper()
	}
}
