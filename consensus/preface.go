package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// A connection begins with a preface, before raft's own bytes: one byte of
// version, one byte of length, and the id of the server that it is meant for.
// A server that lost its disk comes back under a new id at the old address; what
// was meant for its former self must never be answered there, for that would
// count an empty disk as one that has acknowledged.
const prefaceVersion = 1

// maxID is the longest id of a server, in bytes: the length is one byte.
const maxID = 255

// errMisdirected closes a connection before raft has it.
var errMisdirected = errors.New("the connection is meant for another server")

// meantFor carries the server's id to Dial, past raft's transport, which knows
// connections by address alone. The same pool thus never serves two ids.
func meantFor(id raft.ServerID, at raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(id) + "@" + at
}

// apart undoes meantFor. No host:port has an "@".
func apart(target raft.ServerAddress) (id, address string) {
	at := strings.LastIndexByte(string(target), '@')
	return string(target[:max(at, 0)]), string(target[at+1:])
}

// writePreface says whom the connection is meant for.
func writePreface(ctx context.Context, conn net.Conn, id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("a server id has 1 to %d bytes, not %d", maxID, len(id))
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := conn.Write(append([]byte{prefaceVersion, byte(len(id))}, id...)); err != nil {
		return fmt.Errorf("preface: %w", err)
	}
	return conn.SetWriteDeadline(time.Time{})
}

// readPreface gives the id that the caller wants to talk to.
func readPreface(r io.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	if head[0] != prefaceVersion {
		return "", fmt.Errorf("preface: version %d is unknown", head[0])
	}
	id := make([]byte, head[1])
	if _, err := io.ReadFull(r, id); err != nil {
		return "", err
	}
	return string(id), nil
}
