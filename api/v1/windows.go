package apiv1

// Windows of HTTP/2, in bytes. They are fixed: gRPC otherwise sizes them by a ping
// behind each burst of data, and where calls are few that is a ping, its answer and a
// window update at both ends of every call, two wake-ups of each process.
//
// What a stream may have unread is what it can make the other side hold: gRPC gives a
// connection's window back when the bytes come and not when they are read. A node takes
// requests from many, so that theirs is short: a connection has at most
// limits.streams times as much unread.
const (
	RequestWindow = 256 << 10
	AnswerWindow  = 1 << 20
	ConnWindow    = 4 << 20
)
