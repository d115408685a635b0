package rules

import (
	"fmt"
	"regexp"
	"strings"
)

// The messages of cel-go that a person meets most, and what we say instead.
var messages = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(`^comprehension exceeds nesting limit$`), "a loop stands inside another: a rule loops over one list at a time"},
	{regexp.MustCompile(`^undeclared reference to '([^']*)'(?: \(in container ''\))?$`), "unknown function %q; a rule may call size, startsWith, endsWith, contains, exists, all, exists_one, filter and map"},
	{regexp.MustCompile(`^Syntax error: (?:mismatched|extraneous) input '<EOF>'`), "the expression ends too early"},
	{regexp.MustCompile(`^Syntax error: (?:mismatched|extraneous) input '(.*?)' expecting`), "%q is not expected here"},
	{regexp.MustCompile(`^found no matching overload for '(.*?)' applied to '(.*)'$`), "%s cannot be applied to %s"},
}

// plain says in our words what cel-go found; what we have no words for stays.
func plain(message string) string {
	for _, m := range messages {
		found := m.theirs.FindStringSubmatch(message)
		if found == nil {
			continue
		}
		parts := make([]any, 0, 2)
		for _, part := range found[1:] {
			parts = append(parts, strings.Trim(part, "_@"))
		}
		return fmt.Sprintf(m.ours, parts...)
	}
	return strings.TrimPrefix(message, "Syntax error: ")
}
