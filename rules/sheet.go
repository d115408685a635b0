package rules

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/risknet/risknet/risk"
)

// sheet reads one YAML document strictly and collects every problem in it.
type sheet struct {
	lines    [][]rune
	rule     string // named in each problem, as is
	test     string
	problems Problems
}

// openSheet parses the text; a nil node means that the problems say why not.
func openSheet(source []byte) (*sheet, *yaml.Node) {
	s := &sheet{}
	switch {
	case len(source) > risk.MaxRuleSetBytes:
		s.problem(1, 1, "the file has %d bytes; at most %d are allowed: split the set or shorten it", len(source), risk.MaxRuleSetBytes)
		return s, nil
	case !utf8.Valid(source):
		s.problem(1, 1, "the file is not UTF-8 text: save it as UTF-8")
		return s, nil
	}
	for line := range strings.SplitSeq(string(source), "\n") {
		s.lines = append(s.lines, []rune(line))
	}
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	var document, more yaml.Node
	if err := decoder.Decode(&document); err == io.EOF {
		s.problem(1, 1, "the file is empty")
		return s, nil
	} else if err != nil {
		s.syntax(err)
		return s, nil
	}
	if err := decoder.Decode(&more); err != io.EOF {
		s.problem(max(1, more.Line), max(1, more.Column), "only one YAML document is allowed in a file")
		return s, nil
	}
	return s, document.Content[0]
}

// syntax reports what the YAML parser says, at the line that it names.
func (s *sheet) syntax(err error) {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, message, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, text = n, message
		}
	}
	s.problem(line, 1, "not YAML: %s", text)
}

func (s *sheet) problem(line, column int, format string, args ...any) {
	s.problems = append(s.problems, &Problem{Line: line, Column: column, Rule: s.rule, Test: s.test, Text: fmt.Sprintf(format, args...)})
}

func (s *sheet) at(n *yaml.Node, format string, args ...any) {
	s.problem(n.Line, n.Column, format, args...)
}

// fields gives the values of a mapping by key and reports unknown and repeated
// keys. What says what the mapping is, in the words of a message.
func (s *sheet) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	values := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		s.at(n, "%s must be a mapping of %s", what, strings.Join(known, ", "))
		return values
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || !contains(known, key.Value):
			s.at(key, "unknown field %q in %s%s", key.Value, what, suggest(key.Value, known))
		case values[key.Value] != nil:
			s.at(key, "field %q stands twice in %s", key.Value, what)
		default:
			values[key.Value] = value
		}
	}
	return values
}

func contains(list []string, name string) bool {
	for _, known := range list {
		if known == name {
			return true
		}
	}
	return false
}

// list gives the elements of a sequence.
func (s *sheet) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		s.at(n, "%s must be a list", what)
		return nil
	}
	return n.Content
}

// need gives a field that must be there; parent is where its absence is reported.
func (s *sheet) need(values map[string]*yaml.Node, parent *yaml.Node, name, cure string) *yaml.Node {
	if values[name] == nil {
		s.at(parent, "%s is missing: %s", name, cure)
	}
	return values[name]
}

// text reads a scalar that is not empty and not longer than limit bytes.
func (s *sheet) text(n *yaml.Node, what string, limit int) string {
	switch {
	case n == nil:
	case n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || strings.TrimSpace(n.Value) == "":
		s.at(n, "%s must be text", what)
	case len(n.Value) > limit:
		s.at(n, "%s has %d bytes; at most %d are allowed", what, len(n.Value), limit)
	default:
		return strings.TrimSpace(n.Value)
	}
	return ""
}

// number reads a decimal number between low and high. Leading zeros are fine:
// code tables print 02.
func (s *sheet) number(n *yaml.Node, what string, low, high int64) int64 {
	if n == nil {
		return 0
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil || v < low || v > high {
		s.at(n, "%s must be a whole number from %d to %d", what, low, high)
		return 0
	}
	return v
}

// flag reads true or false.
func (s *sheet) flag(n *yaml.Node, what string) bool {
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		s.at(n, "%s must be true or false", what)
	}
	return n.Value == "true"
}

// position finds where the character at an offset of a scalar's value stands in
// the file. It walks the value and its source side by side and passes over what
// YAML adds: indentation, folded line ends, quotes and escapes. It is exact for
// every style but hexadecimal escapes, where it stops at the escape.
func (s *sheet) position(n *yaml.Node, offset int) (line, column int) {
	c := &cursor{lines: s.lines, line: n.Line - 1, column: n.Column - 1}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		c.line, c.column = c.line+1, 0
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		c.column++
	}
	value := []rune(n.Value)
	for i, want := range value[:min(offset, len(value))] {
		if !c.find(want) {
			return c.line + 1, c.column + 1
		}
		if next := i + 1; next < len(value) || offset < len(value) {
			c.step()
		} else {
			c.column++
		}
	}
	if offset < len(value) {
		c.find(value[offset])
	}
	return c.line + 1, c.column + 1
}

// cursor is a place in the text of a file, counted from zero in characters.
type cursor struct {
	lines        [][]rune
	line, column int
}

func (c *cursor) here() (rune, bool) {
	if c.line >= len(c.lines) {
		return 0, false
	}
	text := c.lines[c.line]
	if c.column >= len(text) {
		return '\n', true
	}
	return text[c.column], true
}

func (c *cursor) step() {
	if r, _ := c.here(); r == '\n' {
		c.line, c.column = c.line+1, 0
	} else {
		c.column++
	}
}

// find goes on to the next place that can have given the character.
func (c *cursor) find(want rune) bool {
	for {
		r, ok := c.here()
		switch {
		case !ok:
			return false
		case r == want || unicode.IsSpace(r) && unicode.IsSpace(want):
			return true
		case unicode.IsSpace(r) || r == '\\' || r == '\'':
			c.step()
		default:
			return false
		}
	}
}
