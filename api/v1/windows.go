package apiv1

// Windows of HTTP/2 at both ends, in bytes. They are fixed: gRPC otherwise sizes them by
// a ping behind each burst of data, and where calls are few that is a ping, its answer
// and a window update at both ends of every call, two wake-ups of each process. One
// message is at most 16 MiB and streams under way are many, so a megabyte a stream holds
// nobody up, and a connection cannot have more than four unread.
const (
	StreamWindow = 1 << 20
	ConnWindow   = 4 << 20
)
