// Package chaos torments a network of real processes and holds it to its
// invariants. Its tests are behind the build tag "chaos".
package chaos
