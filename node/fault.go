package node

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/risknet/risknet/fault"
)

// serveFaults listens on the fault control socket: a line "cut", "heal" or
// "crash NAME N" is answered "ok".
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
		fmt.Fprintln(conn, n.takeFault(strings.TrimSpace(line)))
		conn.Close()
	}
}

// takeFault does what a line of the fault control socket says, and gives the
// answer to it.
func (n *Node) takeFault(line string) string {
	switch point, crash := strings.CutPrefix(line, "crash "); {
	case line == "cut":
		n.setCut(true)
	case line == "heal":
		n.setCut(false)
	case crash:
		return armCrash(point)
	default:
		return "use cut, heal or crash NAME N"
	}
	return "ok"
}

// armCrash reads "NAME N", where the name may have spaces: the process ends at
// the N-th passing of that crash point.
func armCrash(text string) string {
	space := strings.LastIndexByte(text, ' ')
	if space < 0 {
		return "crash: name a point and the passing at which to end, such as: crash store: cut committed 1"
	}
	passing, err := strconv.Atoi(text[space+1:])
	if err != nil || passing < 1 {
		return fmt.Sprintf("crash: %q is not a passing; count from 1", text[space+1:])
	}
	if !fault.Arm(text[:space], passing) {
		return "this build has no crash points"
	}
	return "ok"
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
