package chaos

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// CrashPoints lists the names of all crash points in the source below a
// directory, in order. Tests have none.
func CrashPoints(root string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		found, err := pointsIn(path)
		names = append(names, found...)
		return err
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

func pointsIn(path string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return true
		}
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || fun.Sel.Name != "Point" {
			return true
		}
		room, ok := fun.X.(*ast.Ident)
		name, literal := call.Args[0].(*ast.BasicLit)
		if ok && room.Name == "fault" && literal {
			if text, err := strconv.Unquote(name.Value); err == nil {
				names = append(names, text)
			}
		}
		return true
	})
	return names, nil
}
