//go:build !faults

package fault

// Armed reports whether this build has crash points at all.
const Armed = false

// Point is a place where a test build can crash.
func Point(string) {}

// Arm asks for a crash at the n-th passing of a point; this build has none, and
// says so.
func Arm(string, int) bool { return false }
