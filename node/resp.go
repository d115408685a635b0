package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/tidwall/redcon"

	"github.com/risknet/risknet/risk"
)

// respConn is one caller of the Redis door. A pipeline is answered as a whole: what was
// read is gone through where it lies, members are looked up together, and the answers
// are written at once. One goroutine has it.
type respConn struct {
	net.Conn
	in       []byte // in[from:] is read and not answered yet
	from     int
	out      []byte // answers, not written yet
	least    int    // bytes behind from that a whole command takes
	args     [][]byte
	asked    []memberAsked
	closing  bool
	deadline time.Time
}

const (
	respBuffer = 16 << 10
	// respAnswers is how much is answered before it is written.
	respAnswers = 64 << 10
	// respLineBytes bounds a command that is a line: redcon takes time by its square.
	respLineBytes = 4 << 10
	// respDigits bounds a length.
	respDigits = 10
	// leastBulk is the empty string.
	leastBulk = len("$0\r\n\r\n")
)

// serve accepts callers until the context ends, and waits for them.
func (d *redisDoor) serve(ctx context.Context, open net.Listener) error {
	var callers sync.WaitGroup
	defer callers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = open.Close() })()
	for {
		conn, err := open.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // such as too many files: others may leave meanwhile
			pause(ctx, 10*time.Millisecond)
			continue
		}
		callers.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			_ = (&respConn{Conn: conn}).serve(d) // a caller that is gone, mostly
		})
	}
}

// serve answers until the caller leaves.
func (c *respConn) serve(d *redisDoor) error {
	for !c.closing {
		if err := c.fill(); err != nil {
			return err
		}
		err := c.answer(d)
		if err != nil {
			c.error("ERR " + respLine(err))
		}
		if err := errors.Join(c.flush(), err); err != nil {
			return err
		}
	}
	return nil
}

var errLongCommand = fmt.Errorf("more than %d bytes and no whole command", redisCommand)

// fill reads what is there behind what was read before: the protocol's own lengths go up
// to half a gigabyte, so a command's bytes end somewhere.
func (c *respConn) fill() error {
	rest := c.in[c.from:]
	switch {
	case len(rest) >= redisCommand:
		return errLongCommand
	case cap(c.in) == 0 || len(rest) == 0 && cap(c.in) > 4*respBuffer:
		c.in = append(make([]byte, 0, respBuffer), rest...)
	case len(rest) == cap(c.in):
		c.in = append(make([]byte, 0, 2*cap(c.in)), rest...)
	default:
		c.in = append(c.in[:0], rest...)
	}
	c.from = 0
	if now := time.Now(); c.deadline.Sub(now) < redisIdle-redisIdle/16 {
		c.deadline = now.Add(redisIdle)
		if err := c.SetDeadline(c.deadline); err != nil {
			return err
		}
	}
	n, err := c.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	if n > 0 {
		return nil // what is wrong comes again
	}
	return err
}

// answer goes through all whole commands that were read. One that comes in many pieces
// is not gone through again with each of them.
func (c *respConn) answer(d *redisDoor) error {
	if len(c.in)-c.from < c.least {
		return nil
	}
	c.least = 0
	for !c.closing {
		kind, value, size := d.hotMember(c.in[c.from:])
		if size > 0 {
			c.from += size
			if c.asked = append(c.asked, memberAsked{kind: kind, value: value}); len(c.asked) == membersAtOnce {
				d.answerMembers(c)
			}
			continue
		}
		args, size, err := readCommand(c.in[c.from:], c.args[:0])
		d.answerMembers(c)
		if err != nil {
			return err
		}
		if size > len(c.in)-c.from {
			c.least = size
			return nil
		}
		c.args, c.from = args, c.from+size
		if len(args) > 0 {
			d.answer(c, args)
		}
		if cap(c.args) > 2*redisMembers {
			c.args = nil
		}
		if len(c.out) > respAnswers {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *respConn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.Write(c.out)
	c.out = c.out[:0]
	if cap(c.out) > 2*respAnswers {
		c.out = nil
	}
	return err
}

func (c *respConn) error(text string)  { c.out = redcon.AppendError(c.out, text) }
func (c *respConn) string(text string) { c.out = redcon.AppendString(c.out, text) }
func (c *respConn) bulk(data []byte)   { c.out = redcon.AppendBulk(c.out, data) }
func (c *respConn) array(count int)    { c.out = redcon.AppendArray(c.out, count) }

// member is a yes or no, as Redis has it.
func (c *respConn) member(listed bool) {
	if listed {
		c.out = append(c.out, ":1\r\n"...)
	} else {
		c.out = append(c.out, ":0\r\n"...)
	}
}

var (
	errArrayLength = errors.New("Protocol error: invalid multibulk length")
	errBulkLength  = errors.New("Protocol error: invalid bulk length")
	errNoBulk      = errors.New("Protocol error: expected '$'")
	errLongLine    = fmt.Errorf("Protocol error: a line of more than %d bytes", respLineBytes)
)

// readCommand gives the arguments of the first command, which lie in data, and its size.
// A command that is not whole yet has none, and a size of more than is there: what it
// takes at least. A command that is no array is a line, as people type it.
func readCommand(data []byte, args [][]byte) (_ [][]byte, size int, err error) {
	if len(data) == 0 {
		return nil, 1, nil
	}
	if data[0] != '*' {
		return readLine(data)
	}
	count, at, err := respLength(data, 0, errArrayLength)
	if err != nil || at == 0 {
		return nil, len(data) + 1, err
	}
	if count == 0 || count*leastBulk > redisCommand {
		return nil, 0, errArrayLength
	}
	for ; count > 0; count-- {
		if at >= len(data) {
			return nil, at + count*leastBulk, nil
		}
		if data[at] != '$' {
			return nil, 0, errNoBulk
		}
		length, from, err := respLength(data, at, errBulkLength)
		if err != nil {
			return nil, 0, err
		}
		if length > redisCommand {
			return nil, 0, errBulkLength
		}
		if from == 0 {
			return nil, max(len(data)+1, at+count*leastBulk), nil
		}
		if at = from + length + 2; at > len(data) {
			return nil, at + (count-1)*leastBulk, nil
		}
		if data[at-2] != '\r' || data[at-1] != '\n' {
			return nil, 0, errBulkLength
		}
		args = append(args, data[from:from+length])
	}
	return args, at, nil
}

func readLine(data []byte) (args [][]byte, size int, err error) {
	size = bytes.IndexByte(data, '\n') + 1
	switch {
	case size > respLineBytes, size == 0 && len(data) >= respLineBytes:
		return nil, 0, errLongLine
	case size == 0:
		return nil, len(data) + 1, nil
	case len(bytes.TrimSpace(data[:size])) == 0:
		return nil, size, nil
	}
	line, err := redcon.Parse(data[:size])
	return line.Args, size, err
}

// respLength reads the number behind the sign at a place, and gives where its line ends;
// zero if it does not yet.
func respLength(data []byte, at int, wrong error) (n, end int, err error) {
	for i := at + 1; i < len(data); i++ {
		switch c := data[i]; {
		case '0' <= c && c <= '9' && i <= at+respDigits:
			n = n*10 + int(c-'0')
		case c == '\r' && i > at+1:
			if i+1 == len(data) {
				return 0, 0, nil
			}
			if data[i+1] != '\n' {
				return 0, 0, wrong
			}
			return n, i + 2, nil
		default:
			return 0, 0, wrong
		}
	}
	return 0, 0, nil
}

const (
	hotUpper = "*3\r\n$9\r\nSISMEMBER\r\n"
	hotLower = "*3\r\n$9\r\nsismember\r\n"
)

// hotMember reads the one command that comes in long pipelines. What it does not take, a
// size of zero, is read and answered by the general way; a test compares the two.
func (d *redisDoor) hotMember(data []byte) (kind risk.Kind, value []byte, size int) {
	const begin = len(hotUpper)
	if len(data) < begin || string(data[:begin]) != hotUpper && string(data[:begin]) != hotLower {
		return 0, nil, 0
	}
	key, at := hotBulk(data, begin)
	if at == 0 {
		return 0, nil, 0
	}
	if value, at = hotBulk(data, at); at == 0 {
		return 0, nil, 0
	}
	kind, known := d.kinds[string(key)] // without a copy
	if !known {
		return 0, nil, 0
	}
	return kind, value, at
}

// hotBulk reads a string of fewer than a hundred bytes; the place behind it is zero where
// that is not what stands there.
func hotBulk(data []byte, at int) (value []byte, end int) {
	if len(data) < at+4 || data[at] != '$' {
		return nil, 0
	}
	n := int(data[at+1] - '0') // a byte: what is no digit is ten or more
	if n > 9 {
		return nil, 0
	}
	if at += 2; data[at] != '\r' {
		if data[at]-'0' > 9 {
			return nil, 0
		}
		n = n*10 + int(data[at]-'0')
		at++
	}
	if len(data) < at+n+4 || data[at] != '\r' || data[at+1] != '\n' || data[at+n+2] != '\r' || data[at+n+3] != '\n' {
		return nil, 0
	}
	return data[at+2 : at+2+n], at + n + 4
}
