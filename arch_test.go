package risknet

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/risknet/risknet/"

// rooms is the import table: which rooms a room may know. A room that is not
// here may not exist.
var rooms = map[string][]string{
	"api/v1":         {},
	"risk":           {},
	"ledger":         {},
	"fault":          {},
	"token":          {"risk"},
	"rules":          {"risk"},
	"rules/industry": {},
	"consensus":      {"fault"},
	"store":          {"risk", "ledger", "fault"},
	"check":          {"risk", "rules"},
	"node":           {"api/v1", "risk", "token", "rules", "ledger", "store", "check", "consensus", "fault"},
	"client":         {"api/v1", "risk", "token", "rules"},
	"enrol":          {"api/v1", "risk", "node", "client"},
	"audit":          {"api/v1", "risk", "token", "rules", "ledger", "store", "check", "node", "client"},
	"audit/outsider": {},
	"replay":         {"risk", "token", "rules/industry", "store", "check", "node"},
	"testnet":        {"api/v1", "risk", "token", "rules", "rules/industry", "node", "client", "enrol", "replay"},
	"testnet/sim":    {"api/v1", "risk", "token", "rules", "rules/industry", "node", "client", "testnet"},
	"testnet/bugs":   {},
	"testnet/chaos":  {"api/v1", "risk", "token", "rules/industry", "node", "client", "testnet", "fault"},
	"cmd/risknet":    {"api/v1", "audit", "ledger", "risk", "token", "rules", "rules/industry", "node", "client", "enrol", "testnet", "replay"},
	"bench/compare":  {"api/v1", "client", "risk"},
	"bench/peers":    {"risk", "check", "client"},
	"bench/growth":   {"consensus", "node"},
	"":               {},
}

// libraries says which rooms alone may know a library.
var libraries = map[string][]string{
	"github.com/dgraph-io/badger/":        {"store", "bench/peers"},
	"github.com/hashicorp/raft":           {"consensus"},
	"cel.dev/cel-go":                      {"rules", "bench/peers"},
	"github.com/bits-and-blooms/":         {"check"},
	"golang.org/x/mod/sumdb":              {"ledger", "audit/outsider"},
	"google.golang.org/grpc":              {"api/v1", "node", "client", "bench/compare"},
	"github.com/prometheus/client_golang": {"node"},
	"github.com/spf13/cobra":              {"cmd/risknet"},
	"github.com/nyaruka/phonenumbers":     {"token"},
	"gonum.org/v1/plot":                   {"replay", "bench/compare", "bench/growth", "cmd/risknet"},
}

// forbidden calls, by room: what would make two replicas differ, or a read wait.
var forbidden = map[string][]string{
	"risk":   {"time.Now", "time.Since", "rand.Int", "rand.IntN", "sync.Mutex", "os.Open", "os.ReadFile", "net.Dial"},
	"rules":  {"time.Now", "time.Since", "os.Open", "os.ReadFile", "net.Dial"},
	"ledger": {"time.Now", "time.Since", "rand.Read", "os.Open", "os.ReadFile", "net.Dial", "net.Listen"},
	"store":  {"time.Now", "time.Since", "rand.Read", "net.Dial", "net.Listen"},
	"check":  {"sync.Mutex", "sync.RWMutex"},
}

// pure rooms start no goroutine.
var pure = []string{"risk", "rules", "ledger", "token"}

const (
	maxFunctionLines = 70
	maxFileLines     = 500
)

type source struct {
	path string
	room string
	test bool
	text []byte
	file *ast.File
	fset *token.FileSet
}

func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".pb.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		room := filepath.ToSlash(filepath.Dir(path))
		if room == "." {
			room = ""
		}
		all = append(all, &source{path: path, room: room, test: strings.HasSuffix(path, "_test.go"), text: text, file: file, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files were found; the walk is broken", len(all))
	}
	return all
}

func TestRoomsImportOnlyWhatTheTableAllows(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := rooms[s.room]
		if !known {
			t.Errorf("%s: there is no room %q in the table", s.path, s.room)
			continue
		}
		for _, spec := range s.file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if other, ours := strings.CutPrefix(path, module); ours && other != s.room && !slices.Contains(allowed, other) && !s.test {
				t.Errorf("%s: room %q may not import %q", s.path, s.room, other)
			}
			for library, owners := range libraries {
				if strings.HasPrefix(path, library) && !slices.Contains(owners, s.room) && !s.test {
					t.Errorf("%s: only %v import %s", s.path, owners, library)
				}
			}
		}
	}
}

// The promise that raw identifiers stay out of what is stored and replicated.
func TestWhatIsStoredCannotMakeTokens(t *testing.T) {
	for _, s := range sources(t) {
		for _, spec := range s.file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if path == module+"token" && slices.Contains([]string{"store", "consensus", "ledger"}, s.room) {
				t.Errorf("%s: imports token; what is stored must never see a raw identifier", s.path)
			}
		}
	}
}

func TestEachPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test && s.file.Doc != nil {
			documented[s.room] = true
		}
	}
	for room := range rooms {
		if !documented[room] {
			t.Errorf("room %q has no package comment", room)
		}
	}
}

func TestFunctionsAndFilesFitTheirScreens(t *testing.T) {
	for _, s := range sources(t) {
		if lines := strings.Count(string(s.text), "\n"); lines > maxFileLines {
			t.Errorf("%s has %d lines; at most %d", s.path, lines, maxFileLines)
		}
		for _, decl := range s.file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := s.fset.Position(fn.End()).Line - s.fset.Position(fn.Pos()).Line + 1; lines > maxFunctionLines {
				t.Errorf("%s: %s has %d lines; at most %d", s.path, fn.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

func TestNoRoomCallsWhatItMustNot(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				name, ok := n.X.(*ast.Ident)
				if ok && slices.Contains(forbidden[s.room], name.Name+"."+n.Sel.Name) {
					t.Errorf("%s: %s.%s is not allowed in %s", s.fset.Position(n.Pos()), name.Name, n.Sel.Name, s.room)
				}
			case *ast.GoStmt:
				if slices.Contains(pure, s.room) {
					t.Errorf("%s: %s starts no goroutine", s.fset.Position(n.Pos()), s.room)
				}
			}
			return true
		})
	}
}
