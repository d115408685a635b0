package node

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/redcon"

	"github.com/risknet/risknet/check"
)

// says sends bytes in pieces of a size and gives all that comes back.
func (d *redisDoor) says(t *testing.T, sent string, piece int) string {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- (&respConn{Conn: there}).serve(d); _ = there.Close() }()
	got := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(here)
		got <- string(text)
	}()
	for rest := []byte(sent); len(rest) > 0; {
		n := min(piece, len(rest))
		if _, err := here.Write(rest[:n]); err != nil {
			break // it has hung up
		}
		rest = rest[n:]
	}
	<-done
	return <-got
}

func command(words ...string) string {
	var b []byte
	b = redcon.AppendArray(b, len(words))
	for _, w := range words {
		b = redcon.AppendBulkString(b, w)
	}
	return string(b)
}

func TestAPipelineIsAnsweredInOrderHoweverItArrives(t *testing.T) {
	d := newDesk(t)
	d.lists(d.acq, 1, "13800138000")
	d.cfg.Redis.Plain = true
	door := newRedisDoor(d.Node)
	const listed, clean = "13800138000", "13900139000"
	var sent, want strings.Builder
	for _, c := range []struct{ sent, want string }{
		{command("SISMEMBER", "risk:phone", listed), ":1\r\n"},
		{command("sismember", "risk:phone", clean), ":0\r\n"},
		{command("Sismember", "risk:phone", "+86 138 0013 8000"), ":1\r\n"},
		{command("SISMEMBER", "risk:phone", "x"), "-ERR bad_field: phone"},
		{command("SISMEMBER", "risk:ip", "192.0.2.1"), ":0\r\n"},
		{command("SISMEMBER", "risk:nothing", "x"), "-ERR key"},
		{command("SISMEMBER", "risk:phone"), "-ERR wrong number"},
		{command("SISMEMBER", "risk:phone", listed), ":1\r\n"},
		{command("SMISMEMBER", "risk:phone", clean, listed), "*2\r\n:0\r\n:1\r\n"},
		{command("SMISMEMBER", "risk:phone", clean, "x"), "-ERR value 2"},
		{command("PING"), "+PONG\r\n"},
		{"PING \"a b\"\r\n", "$3\r\na b\r\n"},
		{"\r\n", ""},
		{command("SISMEMBER", "risk:phone", strings.Repeat("9", 120)), "-ERR bad_field: phone"},
		{strings.Repeat(command("SISMEMBER", "risk:phone", listed), 2*membersAtOnce+1), strings.Repeat(":1\r\n", 2*membersAtOnce+1)},
		{command("QUIT"), "+OK\r\n"},
	} {
		sent.WriteString(c.sent)
		want.WriteString(c.want + "\x00")
	}
	for _, piece := range []int{1, 7, 60, 1 << 20} {
		rest := door.says(t, sent.String(), piece)
		for _, one := range strings.Split(strings.TrimSuffix(want.String(), "\x00"), "\x00") {
			if !strings.HasPrefix(rest, one) {
				t.Fatalf("in pieces of %d: %q in the place of %q", piece, rest[:min(60, len(rest))], one)
			}
			rest = rest[len(one):]
			if one != "" && one[0] == '-' {
				_, rest, _ = strings.Cut(rest, "\r\n")
			}
		}
		if rest != "" {
			t.Errorf("in pieces of %d: and %q", piece, rest)
		}
	}
}

func TestTheRedisDoorHangsUpOnWhatIsNoProtocol(t *testing.T) {
	d := newDesk(t)
	d.cfg.Redis.Plain = true
	door := newRedisDoor(d.Node)
	for _, sent := range []string{"*0\r\n", "*-1\r\n", "*x\r\n", "*1\n", "*1\r\n:1\r\n", "*1\r\n$-2\r\n\r\n", "*1\r\n$x\r\n", "*1\r\n$4\r\nPINGxx", "*99999999999999999999\r\n",
		"*1\r\n$00000000004\r\nPING\r\n", strings.Repeat(" ", respLineBytes) + "x\r\n"} {
		got := door.says(t, command("PING")+sent+command("PING"), 1<<20)
		if !strings.HasPrefix(got, "+PONG\r\n-ERR Protocol error: ") || strings.Count(got, "PONG") != 1 {
			t.Errorf("%q: %q", sent, got)
		}
	}
}

// A caller may send a long command byte by byte. What is missing of it is known, so that
// it is not read again from its beginning with each of them.
func TestACommandInPiecesSaysHowMuchIsMissing(t *testing.T) {
	for _, whole := range []string{command("PING"), command("SMISMEMBER", "risk:phone", "", "13800138000", strings.Repeat("9", 1000)), "PING\r\n"} {
		for n := range len(whole) {
			if args, least, err := readCommand([]byte(whole[:n]), nil); err != nil || args != nil || least <= n || least > len(whole) {
				t.Fatalf("%d bytes of %q: at least %d of %d, %q, %v", n, whole, least, len(whole), args, err)
			}
		}
	}
	const words = 10_000
	many, read := command(slices.Repeat([]string{"1234567"}, words)...), 0
	for least := 1; least <= len(many); read++ {
		_, next, err := readCommand([]byte(many[:least]), nil)
		if err != nil || next <= least && least < len(many) {
			t.Fatalf("%d bytes: at least %d, %v", least, next, err)
		}
		if next == least {
			break
		}
		least = next
	}
	if read > 100 {
		t.Errorf("%d words in pieces are read %d times", words, read)
	}
}

func TestANodeThatLostTouchClearsNobodyAtTheRedisDoor(t *testing.T) {
	d := newDesk(t)
	d.lists(d.acq, 1, "13800138000")
	d.cfg.Redis.Plain = true
	door := newRedisDoor(d.Node)
	door.says(t, command("SISMEMBER", "risk:phone", "13800138000")+command("QUIT"), 1<<20) // now it is known by heart
	d.at = d.at.Add(time.Hour)
	got := door.says(t, command("SISMEMBER", "risk:phone", "13800138000")+command("SISMEMBER", "risk:phone", "13900139000")+command("QUIT"), 1<<20)
	if !strings.HasPrefix(got, ":1\r\n-ERR this node has lost touch") {
		t.Errorf("%q", got)
	}
}

// What the short way takes, the general way reads likewise; and redcon, where both find
// a whole command.
func FuzzCommand(f *testing.F) {
	f.Add([]byte(command("SISMEMBER", "risk:phone", "13800138000")))
	f.Add([]byte(command("sismember", "risk:ip", "")))
	f.Add([]byte("*1\r\n$-2\r\n"))
	f.Add([]byte("*3\r\n$9\r\nSISMEMBER\r\n$:\r\nrisk:phone\r\n$1\r\nx\r\n"))
	f.Add([]byte("PING\r\n"))
	door := newRedisDoor(&Node{metrics: newMetrics(&Node{})})
	f.Fuzz(func(t *testing.T, data []byte) {
		args, size, err := readCommand(data, nil)
		if size > len(data) && args != nil || size == 0 && err == nil {
			t.Fatalf("%d bytes of %d, %q, %v", size, len(data), args, err)
		}
		if kind, value, hot := door.hotMember(data); hot > 0 {
			if err != nil || hot != size || len(args) != 3 || !strings.EqualFold(string(args[0]), "SISMEMBER") ||
				string(args[1]) != redisKey+kind.String() || !bytes.Equal(args[2], value) {
				t.Fatalf("the short way takes %d bytes as %s %q, the general way %d as %q, %v", hot, kind, value, size, args, err)
			}
		}
		if len(args) == 0 || data[0] != '*' {
			return
		}
		other, err := redcon.NewReader(bufio.NewReader(bytes.NewReader(data[:size]))).ReadCommand()
		if err != nil || !slices.EqualFunc(args, other.Args, bytes.Equal) {
			t.Fatalf("%q, and %q by redcon (%v)", args, other.Args, err)
		}
	})
}

func BenchmarkPipeline(b *testing.B) {
	d := newDesk(b)
	var err error
	if d.checker, err = check.New(check.Config{Now: time.Now, Members: remembered}); err != nil {
		b.Fatal(err)
	}
	if err := d.restored(); err != nil {
		b.Fatal(err)
	}
	d.checker.SetFresh(time.Now())
	d.cfg.Redis.Plain = true
	door, c := newRedisDoor(d.Node), &respConn{}
	const depth = 128
	var pipeline []byte
	for i := range depth {
		pipeline = append(pipeline, command("SISMEMBER", "risk:device", fmt.Sprintf("key:%012d", i))...)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.in, c.from, c.out = pipeline, 0, c.out[:0]
		if err := c.answer(door); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/depth, "ns/answer")
}

// What one long command takes is not kept for as long as its connection is open.
func TestALongCommandLeavesNothing(t *testing.T) {
	door := newRedisDoor(newDesk(t).Node)
	here, there := net.Pipe()
	c, done := &respConn{Conn: there}, make(chan error, 1)
	go func() { done <- c.serve(door) }()
	words := slices.Repeat([]string{""}, 100_000)
	words[0] = "PING"
	go func() { _, _ = here.Write([]byte(command(words...))) }()
	if _, err := io.ReadFull(here, make([]byte, len("$0\r\n\r\n"))); err != nil {
		t.Fatal(err)
	}
	here.Close()
	<-done
	if n := cap(c.args); n > 2*redisMembers {
		t.Errorf("there is room for %d words", n)
	}
}

// A length that no command can have is refused when it is read, and nobody waits for it.
func TestALengthThatCannotBeIsRefusedAtOnce(t *testing.T) {
	for _, sent := range []string{"*99999999\r\n", "*2\r\n$9999999999\r\n", "*2\r\n$4\r\nPING\r\n$1048577\r\n"} {
		door := newRedisDoor(newDesk(t).Node)
		here, there := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- (&respConn{Conn: there}).serve(door); _ = there.Close() }()
		go func() { _, _ = here.Write([]byte(sent)) }()
		if said, _ := io.ReadAll(here); !strings.HasPrefix(string(said), "-ERR Protocol error: invalid") {
			t.Errorf("%q: %q", sent, said)
		}
		<-done
	}
}
