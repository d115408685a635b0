package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
)

// fixture is a state as SIGKILL leaves it: tables, a log of what was synced and
// of what was not, and what a sound replica would answer after each entry.
type fixture struct {
	world   *world
	files   map[string]sparse
	synced  uint64 // the entry that was applied when it was last synced
	index   uint64 // the newest entry in it
	answers map[uint64]string
	image   []byte
	at      Position
	archive []byte
}

// sparse is a file without the zeros behind it: badger's are tens of megabytes.
type sparse struct {
	data []byte
	size int64
}

func (f sparse) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path, f.data, 0o600), os.Truncate(path, f.size))
}

// fixtureTail is how many entries come after the sync, and after the crash.
const fixtureTail = 8

func newFixture(t *testing.T) *fixture {
	w := newWorld()
	f := &fixture{world: w, files: map[string]sparse{}, answers: map[uint64]string{}}
	live, reference := t.TempDir(), open(t, t.TempDir(), Options{})
	defer reference.Close()
	var s *Store
	for part := range 4 { // each of the first three becomes a table
		if s != nil {
			mustClose(t, s)
		}
		s = open(t, live, Options{})
		for i := range 6 {
			w.publish(w.acq, fmt.Sprint("note ", part), subjects(60*(part+i), 60)...)
		}
		if source := []byte("rules"); part == 0 {
			body := risk.NewBody(source)
			w.propose(w.hub, &risk.PublishRules{Hash: sha(source)}, []risk.Item{{Op: risk.ItemDocument, Commitment: body.Commit()}}, []risk.Body{body})
		}
		mustApply(t, s, w.entries)
	}
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	mustApply(t, reference, w.entries)
	f.synced = w.index
	f.note(t, reference)
	for i := range 2 * fixtureTail {
		w.publish(w.bank, "late", 10*i, 10*i+1, 10*i+2)
		mustApply(t, reference, w.entries[len(w.entries)-1:])
		f.note(t, reference)
	}
	f.index = f.synced + fixtureTail
	for i := range fixtureTail {
		mustApply(t, s, w.entries[int(f.synced)+i:int(f.synced)+i+1])
	}
	f.image, f.at = imageOf(t, reference), reference.Position()
	f.archive, _ = archiveOf(t, reference)
	f.keep(t, live)
	mustClose(t, s)
	return f
}

func (f *fixture) note(t *testing.T, s *Store) {
	t.Helper()
	answers, err := answersOf(s)
	if err != nil {
		t.Fatal(err)
	}
	f.answers[s.Version()] = answers
}

// keep copies the files as they are while the state is open.
func (f *fixture) keep(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, err2 := filepath.Rel(dir, path)
		if e.Name() != "LOCK" && !strings.HasPrefix(name, imagesDir) {
			f.files[name] = sparse{bytes.TrimRight(data, "\x00"), int64(len(data))}
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// answersOf asks everything that a store can be asked, and gives it in short. As
// a check does, it holds what a token is answered against the scan of tokens.
func answersOf(s *Store) (string, error) {
	hash := sha256.New()
	out := json.NewEncoder(hash)
	add := func(answer any, err error) error { return errors.Join(err, out.Encode(answer)) }
	r, version := s.Reader(), s.Version()
	var tokens []Touched
	err := r.Tokens(version, func(kind risk.Kind, token risk.Token, sum uint16) error {
		tokens = append(tokens, Touched{Key{kind, token}, sum})
		return nil
	})
	slices.SortFunc(tokens, func(a, b Touched) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.Token[:], b.Token[:]))
	})
	for _, k := range tokens {
		list, sum, err2 := r.Standing(version, k.Kind, k.Token)
		if err2 == nil && (len(list) == 0 || sum != k.Delta) {
			err2 = fmt.Errorf("%w: a token of the filter has other listings", ErrDamaged)
		}
		err = errors.Join(err, add(list, err2))
	}
	for _, ask := range []func() (any, error){
		func() (any, error) { return s.Network() }, func() (any, error) { return s.Clock() },
		func() (any, error) { return s.Epochs() }, func() (any, error) { return s.Scopes() },
		func() (any, error) { return s.RulesHead() }, func() (any, error) { return s.Nodes() },
		func() (any, error) { return s.Institutions() }, func() (any, error) { return s.RuleSets() },
		func() (any, error) { return []any{s.Head(), s.Digest(), s.Count(), s.Position(), s.LastAt()}, nil },
		func() (any, error) { source, _, err := s.RuleSource(1); return source, err },
	} {
		answer, err2 := ask()
		err = errors.Join(err, add(answer, err2))
	}
	for i := range s.Head().Size {
		leaf, err2 := s.Leaf(i)
		err = errors.Join(err, add(leaf, err2))
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), err
}

// corruption is one damage to one file.
type corruption struct {
	Kind   string `json:"kind"`   // of the file
	How    string `json:"how"`    // flip, cut or lose
	Offset int64  `json:"offset"` // of the bit's byte, or of the end
	Bit    int    `json:"bit"`
	name   string
}

func (c corruption) String() string {
	return fmt.Sprintf("%s of %s (%s) at %d bit %d", c.How, c.Kind, c.name, c.Offset, c.Bit)
}

func (c corruption) apply(f sparse) sparse {
	data := bytes.Clone(f.data)
	switch c.How {
	case "flip":
		data = append(data, make([]byte, max(0, c.Offset+1-int64(len(data))))...)
		data[c.Offset] ^= 1 << c.Bit
		return sparse{data, f.size}
	default:
		return sparse{data[:min(c.Offset, int64(len(data)))], c.Offset}
	}
}

// kindOf is what a file is for; the number of a table or of a log is not part of it.
func kindOf(name string) string {
	if ext := filepath.Ext(name); ext != "" {
		return ext
	}
	return filepath.Base(name)
}

// draw picks a damage: one of the kinds in turn, anywhere in one of its files.
func (f *fixture) draw(rnd *rand.Rand, turn int) corruption {
	byKind := map[string][]string{"image": {"image"}, "archive": {"archive"}}
	for name := range f.files {
		byKind[kindOf(name)] = append(byKind[kindOf(name)], name)
	}
	kinds := []string{}
	for kind, names := range byKind {
		slices.Sort(names)
		kinds = append(kinds, kind)
		if kind == ".sst" || kind == ".mem" { // where the records are
			kinds = append(kinds, kind, kind)
		}
	}
	slices.Sort(kinds)
	kind := kinds[turn%len(kinds)]
	name := byKind[kind][rnd.IntN(len(byKind[kind]))]
	file := f.file(name)
	c := corruption{Kind: kind, How: "flip", name: name, Bit: rnd.IntN(8)}
	written := int64(len(file.data))
	if written > 0 {
		c.Offset = rnd.Int64N(written)
	}
	switch n := rnd.IntN(20); {
	case n < 8:
		c.How, c.Bit = "cut", 0
	case n < 9 && kind != "image" && kind != "archive":
		c = corruption{Kind: kind, How: "lose", name: name}
	case n < 10 && file.size > written: // in the zeros behind
		c.Offset = written + rnd.Int64N(min(4096, file.size-written))
	case n < 13: // where lengths and checksums are
		c.Offset = max(0, written-1-rnd.Int64N(min(64, max(1, written))))
	}
	return c
}

func (f *fixture) file(name string) sparse {
	switch name {
	case "image":
		return sparse{f.image, int64(len(f.image))}
	case "archive":
		return sparse{f.archive, int64(len(f.archive))}
	default:
		return f.files[name]
	}
}

// The outcomes of a corruption. Everything else fails the test.
const (
	refusedAtOpen = "refused at open"
	refusedAsked  = "refused when asked"
	refusedTaken  = "refused when installed"
	wentBack      = "goes on from what was synced, or later"
	harmless      = "the same answers"
)

// suffer damages a copy of the fixture and says what became of it.
func (f *fixture) suffer(dir string, c corruption) (string, error) {
	for name, file := range f.files {
		if name == c.name {
			if c.How == "lose" {
				continue
			}
			file = c.apply(file)
		}
		if err := file.write(filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	s, err := Open(dir, Options{Logger: quiet, Network: f.world.network, MemTableBytes: 24 << 20})
	if errors.Is(err, ErrDamaged) {
		return refusedAtOpen, f.openAgain(dir)
	}
	if err != nil {
		return "", fmt.Errorf("open: %w", err)
	}
	outcome, err := f.ask(s)
	return outcome, errors.Join(err, s.Close())
}

// openAgain: what was refused once is not taken the next time.
func (f *fixture) openAgain(dir string) error {
	s, err := Open(dir, Options{Logger: quiet, MemTableBytes: 24 << 20})
	if err == nil {
		return errors.Join(errors.New("it was refused once and then taken"), s.Close())
	}
	if !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("open again: %w", err)
	}
	return nil
}

// ask holds an opened state to the sound one, where it stands and after raft has
// delivered what comes next.
func (f *fixture) ask(s *Store) (string, error) {
	at := s.Version()
	if at < f.synced || at > f.index {
		return "", fmt.Errorf("it is at entry %d; %d was synced", at, f.synced)
	}
	for range 2 {
		answers, err := answersOf(s)
		if errors.Is(err, ErrDamaged) {
			return refusedAsked, nil
		}
		if err != nil || answers != f.answers[s.Version()] {
			return "", fmt.Errorf("other answers at entry %d: %w", s.Version(), err)
		}
		for _, r := range s.Apply(f.world.entries[s.Version():]) {
			if r.Err != nil {
				return refusedAsked, nil
			}
		}
	}
	if _, err := s.VerifyAll(ctx); err != nil {
		return "", fmt.Errorf("the scan of everything: %w", err)
	}
	if at < f.index {
		return wentBack, nil
	}
	return harmless, nil
}

// take gives a damaged image or archive to a store that has nothing.
func (f *fixture) take(dir string, c corruption) (string, error) {
	damaged := c.apply(f.file(c.name)).data
	var err error
	if c.name == "image" {
		s, err2 := Open(dir, Options{Logger: quiet, MemTableBytes: 24 << 20})
		if err2 != nil {
			return "", err2
		}
		if err = install(s, damaged, f.at); err != nil && s.Version() != 0 {
			return "", errors.New("the old state is gone")
		}
		if err2 := s.Close(); err2 != nil {
			return "", err2
		}
	} else {
		_, err = ReadArchive(dir, bytes.NewReader(damaged), Options{Logger: quiet, MemTableBytes: 24 << 20})
	}
	if err == nil {
		return "", errors.New("it was taken")
	}
	return refusedTaken, nil
}

// Flip a bit, cut the tail or take the file away, anywhere: a state is refused,
// or answers exactly as before. A log whose tail is lost may end earlier, but
// never before what was synced, since raft delivers what comes after again.
//
// RISKNET_CORRUPTIONS=N makes N of them, and RISKNET_CORRUPTIONS_REPORT names a
// file for what became of them, as JSON lines.
func TestDamageIsRefusedOrHarmless(t *testing.T) {
	t.Parallel()
	count := 60
	if text := os.Getenv("RISKNET_CORRUPTIONS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("RISKNET_CORRUPTIONS: %v", err)
		}
		count = n
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	f := newFixture(t)
	base := t.TempDir()
	table := map[[3]string]int{}
	for turn := range count {
		c := f.draw(rnd, turn)
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		do := f.suffer
		if c.Kind == "image" || c.Kind == "archive" {
			do = f.take
		}
		outcome, err := do(dir, c)
		if err != nil {
			outcome = "violation"
			t.Errorf("seed %d, turn %d, %v: %v", seed, turn, c, err)
		}
		table[[3]string{c.Kind, c.How, outcome}]++
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	report(t, table)
}

func report(t *testing.T, table map[[3]string]int) {
	t.Helper()
	var lines []string
	for k, n := range table {
		line, err := json.Marshal(map[string]any{"file": k[0], "damage": k[1], "outcome": k[2], "runs": n})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line)+"\n")
	}
	slices.Sort(lines)
	text := strings.Join(lines, "")
	t.Log("\n" + text)
	if path := os.Getenv("RISKNET_CORRUPTIONS_REPORT"); path != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Damage to a table while it is in use is refused where it is met, and the scan
// of everything meets it, unless it changes nothing.
func TestDamageWhileTheStateIsOpenIsFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	refused, scanned := 0, 0
	for range 12 {
		dir := t.TempDir()
		for name, file := range f.files {
			if err := file.write(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, dir, Options{})
		tables, err := filepath.Glob(filepath.Join(dir, "state-1", "*.sst"))
		if err != nil || len(tables) == 0 {
			t.Fatalf("no tables: %v", err)
		}
		path := tables[rnd.IntN(len(tables))]
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := rnd.IntN(len(data))
		table, err := os.OpenFile(path, os.O_RDWR, 0) // in place, as badger has it mapped
		if err != nil {
			t.Fatal(err)
		}
		_, err = table.WriteAt([]byte{data[at] ^ 1<<rnd.IntN(8)}, int64(at))
		if err := errors.Join(err, table.Close()); err != nil {
			t.Fatal(err)
		}
		answers, err := answersOf(s)
		if err == nil && answers != f.answers[s.Version()] || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("seed %d: byte %d of %s: other answers, %v", seed, at, path, err)
		}
		if err != nil {
			refused++
		}
		_, found := s.VerifyAll(ctx)
		version := s.Version()
		mustClose(t, s)
		if errors.Is(found, ErrDamaged) {
			scanned++
			continue
		}
		// Blocks are compressed and their checksums are of what comes out of them:
		// other bytes can say the same. Or the table was merged into another before.
		s = open(t, dir, Options{})
		if answers, err := answersOf(s); found != nil || err != nil || answers != f.answers[version] {
			t.Errorf("seed %d: byte %d of %s: the scan of everything says %v; opened again it answers otherwise, %v", seed, at, path, found, err)
		}
		mustClose(t, s)
	}
	if scanned < 6 { // all but what was merged before, or says the same
		t.Errorf("the scan of everything found %d of 12", scanned)
	}
	t.Logf("%d of 12 met it", refused)
}

// Badger takes the cut tail of its manifest for a write that a crash cut off, and
// removes the table that it named. What is newer is in a log, so the newest
// position is there and what came before it is not: the mark of each cut tells.
func TestATableThatIsLostInTheMiddleIsFound(t *testing.T) {
	f := newFixture(t)
	name := "state-1/MANIFEST"
	c := corruption{Kind: "MANIFEST", How: "cut", Offset: f.files[name].size - 1, name: name}
	dir := t.TempDir()
	for name, file := range f.files {
		if name == c.name {
			file = c.apply(file)
		}
		if err := file.write(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // nor the next time
		s, err := Open(dir, Options{Logger: quiet})
		if err == nil {
			mustClose(t, s)
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "is lost") {
			t.Fatalf("opened: %v", err)
		}
	}
}
