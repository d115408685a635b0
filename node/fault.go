package node

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// serveFaults listens on the fault control socket: a line "cut" or "heal" is
// answered "ok".
func (n *Node) serveFaults(ctx context.Context) error {
	if n.cfg.FaultControl == "" {
		<-ctx.Done()
		return nil
	}
	_ = os.Remove(n.cfg.FaultControl)
	listener, err := net.Listen("unix", n.cfg.FaultControl)
	if err != nil {
		return fmt.Errorf("fault_control: %w; the path of a socket has at most 107 bytes, in a directory that this user may write", err)
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	n.log.Warn("fault control is open: this is a test network", "socket", n.cfg.FaultControl)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return ignoreAfter(ctx, err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		answer := "ok"
		switch strings.TrimSpace(line) {
		case "cut":
			n.setCut(true)
		case "heal":
			n.setCut(false)
		default:
			answer = "use cut or heal"
		}
		fmt.Fprintln(conn, answer)
		conn.Close()
	}
}

// setCut cuts this node off from the other nodes, or heals it: raft and calls
// between nodes fail, while the node's own clients still reach it.
func (n *Node) setCut(cut bool) {
	if cut {
		n.gate.Cut()
	} else {
		n.gate.Heal()
	}
	n.log.Warn("fault control", "cut", cut)
}

// ignoreAfter drops the error that a listener gives because it was closed.
func ignoreAfter(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
