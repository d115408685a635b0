package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/types"
)

// shortFiles lets a log of few entries have several files.
func shortFiles(t testing.TB, size int) {
	old := segmentSize
	segmentSize = size
	t.Cleanup(func() { segmentSize = old })
}

func quiet() *bridge { return newBridge(slog.New(slog.DiscardHandler)) }

func open(t testing.TB, dir string) logStore {
	t.Helper()
	log, err := openLog(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func logEntry(index uint64) *raft.Log {
	return &raft.Log{
		Index: index, Term: 1 + index/20, Type: raft.LogCommand,
		Data:       []byte(strings.Repeat(fmt.Sprintf("entry %d;", index), 1+int(index)%9)),
		AppendedAt: time.Unix(1700000000, int64(index)),
	}
}

// appendTo appends entries in batches of one to four.
func appendTo(t testing.TB, log raft.LogStore, from, to uint64) {
	t.Helper()
	for from <= to {
		var batch []*raft.Log
		for size := 1 + from%4; size > 0 && from <= to; size-- {
			batch = append(batch, logEntry(from))
			from++
		}
		if err := log.StoreLogs(batch); err != nil {
			t.Fatal(err)
		}
	}
}

// contents is all that a log says.
func contents(log logStore) (out []string, err error) {
	first, err1 := log.FirstIndex()
	last, err2 := log.LastIndex()
	term, err3 := storedTerm(log)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	out = append(out, fmt.Sprint("term ", term))
	for i := first; i <= last && last > 0; i++ {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprint(l.Index, l.Term, l.Type, string(l.Data), l.Extensions, l.AppendedAt.UnixNano()))
	}
	return out, nil
}

// oldLog has been cut at both ends, has full files, and a term.
func oldLog(t testing.TB) (dir string, want []string) {
	t.Helper()
	dir = t.TempDir()
	log := open(t, dir)
	appendTo(t, log, 1, 60)
	err := errors.Join(log.DeleteRange(1, 11), log.DeleteRange(52, 60), log.SetUint64([]byte(keyTerm), 7))
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, 52, 64)
	want, err = contents(log)
	if err := errors.Join(err, log.Close()); err != nil {
		t.Fatal(err)
	}
	return dir, want
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// wholeOrRefused is the promise: what opens is what was written.
func wholeOrRefused(t *testing.T, dir string, want []string) (refused bool) {
	t.Helper()
	log, err := openLog(dir, quiet())
	if err != nil {
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), cureDamage) {
			t.Fatalf("the refusal is %v", err)
		}
		return true
	}
	got, err := contents(log)
	if err := errors.Join(err, log.Close()); err != nil {
		t.Fatalf("opened, and then: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("opened with %d entries, want %d:\n%.300q", len(got)-1, len(want)-1, got)
	}
	return false
}

func TestDamagedLogIsRefusedOrWhole(t *testing.T) {
	shortFiles(t, 1<<11)
	dir, want := oldLog(t)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 6 {
		t.Fatalf("the log has %d files (%v); this test wants several", len(files), err)
	}
	if refused := wholeOrRefused(t, copyDir(t, dir), want); refused {
		t.Fatal("an undamaged log is refused")
	}
	refusals := 0
	for _, file := range files {
		raw, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for what, damaged := range damages(raw) {
			t.Run(file.Name()+" "+what, func(t *testing.T) {
				hurt := copyDir(t, dir)
				if err := os.WriteFile(filepath.Join(hurt, file.Name()), damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				if wholeOrRefused(t, hurt, want) {
					refusals++
					wholeOrRefused(t, hurt, want) // and again, after what the refusal wrote
				}
			})
		}
		t.Run(file.Name()+" is missing", func(t *testing.T) {
			hurt := copyDir(t, dir)
			if err := os.Remove(filepath.Join(hurt, file.Name())); err != nil {
				t.Fatal(err)
			}
			if refused := wholeOrRefused(t, hurt, want); !refused && file.Name() != "lock" {
				t.Error("it opens all the same")
			}
		})
	}
	if refusals < 40 {
		t.Errorf("only %d damages were noticed", refusals)
	}
}

// damages flips bits and cuts, all over a file.
func damages(raw []byte) map[string][]byte {
	out := map[string][]byte{}
	step := max(1, len(raw)/10)
	for at := 0; at < len(raw); at += step {
		for _, offset := range []int{at, min(at+step/2+5, len(raw)-1)} {
			flipped := slices.Clone(raw)
			flipped[offset] ^= 1 << (offset % 8)
			out[fmt.Sprintf("with a flipped bit at %d", offset)] = flipped
		}
		out[fmt.Sprintf("cut at %d", at)] = slices.Clone(raw[:at])
		zeroed := slices.Clone(raw)
		clear(zeroed[at:min(at+step, len(raw))])
		out[fmt.Sprintf("zeroed at %d", at)] = zeroed
	}
	return out
}

// Without the mark, the library takes one flipped bit in the last batch for a torn
// write and drops what had been acknowledged.
func TestLastBatchIsMissedByTheMarkAlone(t *testing.T) {
	dir := t.TempDir()
	log := open(t, dir)
	appendTo(t, log, 1, 4)
	before, err := os.ReadFile(filepath.Join(dir, markName))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(log.StoreLog(logEntry(5)), log.Close()); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*.wal"))
	raw, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(string(raw), "entry 5;")
	raw[at] ^= 1
	if err := os.WriteFile(names[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openLog(dir, quiet()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "ends at entry 4, but entry 5 was on disk") {
		t.Fatalf("a lost batch answers %v", err)
	}
	// A crash inside the append leaves the old mark: then it is a torn write indeed.
	if err := os.WriteFile(filepath.Join(dir, markName), before, 0o600); err != nil {
		t.Fatal(err)
	}
	log = open(t, dir)
	defer log.Close()
	if last, _ := log.LastIndex(); last != 4 {
		t.Fatalf("the log ends at %d, want 4", last)
	}
	appendTo(t, log, 5, 9)
}

func TestCutsMoveTheMarkOnlyWithTheLog(t *testing.T) {
	for _, test := range []struct {
		name     string
		from, to uint64
		left     uint64 // last entry afterwards
	}{
		{"the head", 1, 4, 9},
		{"the tail", 7, 9, 6},
		{"everything", 1, 9, 0},
		{"more than there is", 1, 12, 0},
		{"what comes behind", 10, 12, 9},
		{"nothing at all", 0, 0, 9},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			log := open(t, dir)
			appendTo(t, log, 1, 9)
			if err := log.DeleteRange(test.from, test.to); err != nil {
				t.Fatal(err)
			}
			// An empty log is cut again, at another place, as raft may.
			if test.left == 0 {
				if err := errors.Join(log.DeleteRange(5, 7), log.DeleteRange(0, 0)); err != nil {
					t.Fatal(err)
				}
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			if held, err := Inspect(dir); err != nil || held.Last != test.left {
				t.Fatalf("it holds %+v (%v), want it to end at %d", held, err, test.left)
			}
			log = open(t, dir)
			defer log.Close()
			appendTo(t, log, test.left+1, test.left+3)
		})
	}
}

// The process died after a file was full and before the next was announced.
func TestFullLastFileIsFollowedByAnother(t *testing.T) {
	shortFiles(t, 1<<11)
	dir := t.TempDir()
	log := open(t, dir)
	var stale []byte
	last := uint64(0)
	for full := false; !full; {
		raw, err := os.ReadFile(filepath.Join(dir, metaName))
		if err != nil {
			t.Fatal(err)
		}
		stale = raw
		last++
		// The second call waits for the next file, which is made in the background.
		if err := errors.Join(log.StoreLog(logEntry(last)), log.DeleteRange(last+1, last+1)); err != nil {
			t.Fatal(err)
		}
		held, err := decodeMeta(stale)
		if err != nil {
			t.Fatal(err)
		}
		full = lastFileIsFull(t, dir, held.Log)
	}
	want, err := contents(log)
	if err := errors.Join(err, log.Close()); err != nil {
		t.Fatal(err)
	}
	next, _ := filepath.Glob(filepath.Join(dir, "*.wal"))
	for _, name := range next[1:] {
		os.Remove(name)
	}
	if err := os.WriteFile(filepath.Join(dir, metaName), stale, 0o600); err != nil {
		t.Fatal(err)
	}
	if wholeOrRefused(t, dir, want) {
		t.Fatal("it is refused")
	}
	log = open(t, dir)
	appendTo(t, log, last+1, last+9)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if held, err := Inspect(dir); err != nil || held.First != 1 || held.Last != last+9 {
		t.Fatalf("it holds %+v (%v)", held, err)
	}
}

func lastFileIsFull(t *testing.T, dir string, state types.PersistentState) bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names) > len(state.Segments)
}

func TestCodecKeepsEveryField(t *testing.T) {
	for _, want := range []*raft.Log{
		{},
		logEntry(3),
		{Index: 1 << 60, Term: 1 << 61, Type: raft.LogConfiguration, Extensions: []byte("more"), AppendedAt: time.Unix(9, 9)},
	} {
		var buf strings.Builder
		if err := (codec{}).Encode(want, &buf); err != nil {
			t.Fatal(err)
		}
		record := []byte(buf.String())
		got := raft.Log{Term: 99, Data: []byte("old")}
		if err := (codec{}).Decode(record, &got); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", *want) {
			t.Fatalf("got %+v, want %+v", got, *want)
		}
		for i := range record {
			record[i] ^= 1
			if err := (codec{}).Decode(record, &got); !errors.Is(err, ErrDamaged) {
				t.Fatalf("a flipped bit at %d answers %v", i, err)
			}
			record[i] ^= 1
			if err := (codec{}).Decode(record[:i], &got); !errors.Is(err, ErrDamaged) {
				t.Fatalf("a record cut at %d answers %v", i, err)
			}
		}
	}
}

func TestInspect(t *testing.T) {
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "absent")} {
		if held, err := Inspect(dir); err != nil || held != (Held{}) {
			t.Fatalf("nothing holds %+v (%v)", held, err)
		}
	}
	if left, _ := os.ReadDir(empty); len(left) != 0 {
		t.Fatalf("Inspect left %v in an empty directory", left)
	}
	dir, _ := oldLog(t)
	want := Held{First: 12, Last: 64, LastTerm: 4, Term: 7}
	if held, err := Inspect(dir); err != nil || held != want {
		t.Fatalf("it holds %+v (%v), want %+v", held, err, want)
	}
	log := open(t, dir)
	defer log.Close()
	if _, err := Inspect(dir); err == nil || errors.Is(err, ErrDamaged) {
		t.Fatalf("a log that is open elsewhere answers %v", err)
	}
}

// Who starts the server right after need not read the log twice: a glance sees its
// ends, and the start what is wrong between them.
func TestAGlanceReadsTheEndsOfALog(t *testing.T) {
	dir := t.TempDir()
	log := open(t, dir)
	appendTo(t, log, 1, 9)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	want, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(bytes.TrimRight(data, "\x00"))/2] ^= 1
	if err := os.WriteFile(names[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if held, err := Glance(dir); err != nil || held != want {
		t.Errorf("a glance sees %+v (%v), want %+v", held, err, want)
	}
	if _, err := Inspect(dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("the log is %v", err)
	}
	if log, err := openLog(dir, quiet()); !errors.Is(err, ErrDamaged) {
		t.Errorf("the start took it: %v", errors.Join(err, log.Close()))
	}
}

// BenchmarkOpen reads 16384 entries of 1 KiB, the most that a log should hold.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	log := open(b, dir)
	for i := uint64(1); i <= 1<<14; i += 64 {
		var batch []*raft.Log
		for j := range uint64(64) {
			batch = append(batch, &raft.Log{Index: i + j, Term: 1, Data: make([]byte, 1<<10)})
		}
		if err := log.StoreLogs(batch); err != nil {
			b.Fatal(err)
		}
	}
	log.Close()
	for b.Loop() {
		open(b, dir).Close()
	}
}

// BenchmarkMark is what the mark adds to each append.
func BenchmarkMark(b *testing.B) {
	mark, err := openMark(b.TempDir(), true)
	if err != nil {
		b.Fatal(err)
	}
	defer mark.file.Close()
	for i := uint64(0); b.Loop(); i++ {
		if err := mark.set(i); err != nil {
			b.Fatal(err)
		}
	}
}
