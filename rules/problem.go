package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one fault in a rule set or a test file. Line and column count from
// 1, the column in characters.
type Problem struct {
	File   string // empty until [InFile] names it
	Line   int
	Column int
	Rule   string // id of the rule; empty outside of one
	Test   string // name of the test; empty outside of one
	Text   string
}

func (p *Problem) Error() string {
	at := fmt.Sprintf("%d:%d: ", p.Line, p.Column)
	if p.File != "" {
		at = p.File + ":" + at
	}
	if p.Rule != "" {
		at += fmt.Sprintf("rule %q: ", p.Rule)
	}
	if p.Test != "" {
		at += fmt.Sprintf("test %q: ", p.Test)
	}
	return at + p.Text
}

// Problems is every fault of one file, in the order of its lines.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the parts, as [errors.Join] would.
func (ps Problems) Unwrap() []error {
	parts := make([]error, len(ps))
	for i, p := range ps {
		parts[i] = p
	}
	return parts
}

// InFile names the file in every problem of err and returns err.
func InFile(err error, file string) error {
	var problems Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			p.File = file
		}
	}
	return err
}

// asError sorts the problems; none is no error.
func (ps Problems) asError() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return ps
}

// suggest gives the cure for a misspelt name: `; did you mean "x"?`, or nothing
// when no known name is near.
func suggest(name string, known []string) string {
	best, nearest := "", max(2, len(name)/4)+1
	for _, candidate := range known {
		if d := distance(name, candidate); d < nearest {
			best, nearest = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
