package node

import (
	"context"
	"net"
	"time"

	"github.com/risknet/risknet/consensus"
)

// Environment is the world around a node: its clock, network and disk. The zero
// Environment is the real one; a test network has its own.
type Environment struct {
	Now    func() time.Time
	Listen func(address string) (net.Listener, error)
	Dial   consensus.Dialer
	Free   func(dir string) (bytes uint64, err error) // on the disk of a directory
	// Synced hears, on the goroutine that waited for it, that the state is on disk
	// as it stands.
	Synced func()
}

func (e Environment) withDefaults() Environment {
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Listen == nil {
		e.Listen = func(address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	if e.Dial == nil {
		e.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	if e.Free == nil {
		e.Free = freeBytes
	}
	if e.Synced == nil {
		e.Synced = func() {}
	}
	return e
}
