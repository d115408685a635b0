package rules_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts anew")

// Each file in testdata/problems has faults; the transcript beside it holds what
// the compiler says, with line and column.
func TestProblemsNameLineColumnRuleAndCure(t *testing.T) {
	files, _ := filepath.Glob("testdata/problems/*.yaml")
	if len(files) < 6 {
		t.Fatalf("only %d files in testdata/problems", len(files))
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = rules.Compile(source)
		if err == nil {
			t.Errorf("%s compiles; every rule of it should be refused", file)
			continue
		}
		got := rules.InFile(err, filepath.Base(file)).Error() + "\n"
		transcript := strings.TrimSuffix(file, ".yaml") + ".txt"
		if *rewrite {
			if err := os.WriteFile(transcript, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, _ := os.ReadFile(transcript); got != string(want) {
			t.Errorf("%s: got\n%swant\n%s", file, got, want)
		}
	}
}

func TestEachProblemIsAPartOfTheError(t *testing.T) {
	source, _ := os.ReadFile("testdata/problems/cost.yaml")
	_, err := rules.Compile(source)
	var first *rules.Problem
	if !errors.As(err, &first) || first.Line != 6 || first.Column != 51 || first.Rule != "nested" {
		t.Errorf("the first part of %v is %+v", err, first)
	}
}

func TestLimitsOfASet(t *testing.T) {
	long := strings.Repeat("payment.amount > 1 && ", risk.MaxRuleBytes/20) + "true"
	wide := strings.Repeat("true && ", risk.MaxRuleNodes/2) + "true"
	deep := strings.Repeat("(", 4000) + "true" + strings.Repeat(")", 4000)
	deep = deep[:risk.MaxRuleBytes-1]
	for name, test := range map[string]struct {
		source []byte
		want   string
	}{
		"bytes of a file":    {make([]byte, risk.MaxRuleSetBytes+1), "1:1: the file has 262145 bytes"},
		"bytes of a rule":    {oneSet(long), "when has"},
		"nodes of a rule":    {oneSet(wide), "nodes; at most 256 are allowed"},
		"depth of a rule":    {oneSet(deep), "brackets deep; at most 32 are allowed"},
		"rules of a set":     {oneSet(make([]string, risk.MaxRules+1)...), "rules has 2001 rules; at most 2000 are allowed"},
		"no text at all":     {nil, "the file is empty"},
		"not UTF-8":          {[]byte("name: \xff"), "not UTF-8"},
		"two documents":      {[]byte("name: a\n---\nname: b\n"), "only one YAML document"},
		"conditionals":       {oneSet(strings.Repeat("true ? true : ", 280) + "true"), ""},
		"a rule as an alias": {[]byte("name: &a x\non_error: {pre: deny, in: deny, post: deny}\nrules: [*a]\n"), "must be a mapping"},
	} {
		_, err := rules.Compile(test.source)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %.300v, want %q", name, err, test.want)
		}
	}
}
