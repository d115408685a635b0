// Package apiv1 is the wire between programs: messages and gRPC services of
// risknet.v1, and the code generated from them. It holds no logic. What is
// signed or hashed is not here: it travels inside these messages as bytes whose
// layout package risk owns.
package apiv1

//go:generate ../generate.sh
