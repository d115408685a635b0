package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/rules"
	"github.com/risknet/risknet/rules/industry"
)

func newRulesCommand() *cobra.Command {
	return newNoun("rules", "Write, test, publish and put rule sets in force",
		newRulesLintCommand(), newRulesTestCommand(), newRulesPublishCommand(), newRulesActivateCommand(),
		newRulesRollbackCommand(), newRulesHistoryCommand(), newRulesDiffCommand())
}

// starterName stands for the rule set that comes with the program.
const starterName = "starter"

// ruleSource reads a rule set: a file, or the starter set.
func ruleSource(path string) ([]byte, error) {
	if path == starterName {
		return industry.Source, nil
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("file: %w; name a rule set, or %q for the one that comes with the program", err, starterName)
	}
	return source, nil
}

// compileFile reads and compiles; its error is one sentence, and the problems go
// to standard error line by line.
func compileFile(cmd *cobra.Command, path string) (*rules.Program, []byte, error) {
	source, err := ruleSource(path)
	if err != nil {
		return nil, nil, err
	}
	program, err := rules.Compile(source)
	if problems, ok := errors.AsType[rules.Problems](rules.InFile(err, path)); ok {
		for _, p := range problems {
			note(cmd, "%v", p)
		}
		return nil, nil, fmt.Errorf("rules: %s has %s; correct what is shown and try again", path, counted(len(problems), "problem"))
	}
	return program, source, err
}

type problemJSON struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Rule   string `json:"rule,omitempty"`
	Text   string `json:"text"`
}

type lintJSON struct {
	File     string        `json:"file"`
	OK       bool          `json:"ok"`
	Rules    int           `json:"rules"`
	Hash     string        `json:"hash,omitempty"`
	Problems []problemJSON `json:"problems"`
}

func newRulesLintCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "lint FILE…", Short: "Compile rule sets and show every problem with its place",
		Example: "  risknet rules lint rules.yaml", Args: cobra.MinimumNArgs(1)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var out []lintJSON
		bad := 0
		for _, path := range args {
			result, err := lint(path)
			if err != nil {
				return err
			}
			if out = append(out, result); !result.OK {
				bad++
			}
		}
		if err := emit(cmd, out, func(w io.Writer) { printLint(w, out) }); err != nil {
			return err
		}
		if bad > 0 {
			return fmt.Errorf("rules: problems in %d of %s; correct what is shown and try again", bad, counted(len(out), "file"))
		}
		return nil
	}
	return cmd
}

func lint(path string) (lintJSON, error) {
	out := lintJSON{File: path, Problems: []problemJSON{}}
	source, err := ruleSource(path)
	if err != nil {
		return out, err
	}
	program, err := rules.Compile(source)
	if problems, ok := errors.AsType[rules.Problems](err); ok {
		for _, p := range problems {
			out.Problems = append(out.Problems, problemJSON{p.Line, p.Column, p.Rule, p.Text})
		}
		return out, nil
	}
	if err == nil {
		out.OK, out.Rules, out.Hash = true, len(program.Rules()), program.Hash().String()
	}
	return out, err
}

func printLint(w io.Writer, out []lintJSON) {
	for _, file := range out {
		for _, p := range file.Problems {
			rule := ""
			if p.Rule != "" {
				rule = fmt.Sprintf("rule %q: ", p.Rule)
			}
			fmt.Fprintf(w, "%s:%d:%d: %s%s\n", file.File, p.Line, p.Column, rule, p.Text)
		}
		if file.OK {
			fmt.Fprintf(w, "%s: %s, no problem\n", file.File, counted(file.Rules, "rule"))
		}
	}
}

type testJSON struct {
	Name   string `json:"name"`
	Line   int    `json:"line"`
	Passed bool   `json:"passed"`
	Diff   string `json:"diff,omitempty"`
}

func newRulesTestCommand() *cobra.Command {
	return &cobra.Command{Use: "test FILE [TESTS…]", Short: "Run a rule set's tests",
		Long:    "Runs test files against a rule set. Without one, it is tests.yaml beside the rule\nset, or NAME_test.yaml for NAME.yaml.",
		Example: "  risknet rules test rules.yaml rules_test.yaml\n  risknet rules test starter", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			program, _, err := compileFile(cmd, args[0])
			if err != nil {
				return err
			}
			out, failed := []testJSON{}, 0
			for _, path := range testFiles(args) {
				results, err := runTestFile(program, path)
				if err != nil {
					return err
				}
				for _, r := range results {
					out = append(out, testJSON{Name: r.Name, Line: r.Line, Passed: r.Diff == "", Diff: r.Diff})
					if r.Diff != "" {
						failed++
					}
				}
			}
			if err := emit(cmd, out, func(w io.Writer) { printTests(w, out) }); err != nil {
				return err
			}
			if failed > 0 {
				return fmt.Errorf("rules: %d of %s failed; correct the rules or what the tests want", failed, counted(len(out), "test"))
			}
			return nil
		}}
}

func testFiles(args []string) []string {
	if len(args) > 1 {
		return args[1:]
	}
	if args[0] == starterName {
		return args
	}
	ext := filepath.Ext(args[0])
	named := strings.TrimSuffix(args[0], ext) + "_test" + ext
	if _, err := os.Stat(named); err == nil {
		return []string{named}
	}
	return []string{filepath.Join(filepath.Dir(args[0]), "tests.yaml")}
}

func runTestFile(program *rules.Program, path string) ([]rules.Result, error) {
	source := industry.Tests
	if path != starterName {
		var err error
		if source, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("tests: %w; name the test file", err)
		}
	}
	results, err := rules.RunTests(program, source)
	return results, rules.InFile(err, path)
}

func printTests(w io.Writer, out []testJSON) {
	passed := 0
	for _, t := range out {
		if t.Passed {
			passed++
			continue
		}
		fmt.Fprintf(w, "FAIL line %d: %s\n  %s\n", t.Line, t.Name, strings.ReplaceAll(t.Diff, "\n", "\n  "))
	}
	fmt.Fprintf(w, "%d of %s passed\n", passed, counted(len(out), "test"))
}

type publishedJSON struct {
	Version uint32 `json:"version"`
	State   string `json:"state"`
	Hash    string `json:"hash"`
	Rules   int    `json:"rules"`
}

func newRulesPublishCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "publish FILE", Short: "Send a rule set to the network; it is not yet in force",
		Example: "  risknet rules publish rules.yaml --yes\n  risknet rules publish starter --activate --yes", Args: cobra.ExactArgs(1)}
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	activate := cmd.Flags().Bool("activate", false, "also put it in force")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		program, source, err := compileFile(cmd, args[0])
		if err != nil {
			return err
		}
		if err := confirm(cmd, *yes, "Publish %q with %s to the whole network?", program.Name(), counted(len(program.Rules()), "rule")); err != nil {
			return err
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		out := publishedJSON{State: "published", Hash: program.Hash().String(), Rules: len(program.Rules())}
		if out.Version, err = c.PublishRules(cmd.Context(), signer, source); err != nil {
			return err
		}
		if *activate {
			if _, err := client.ActivateRules(cmd.Context(), signer, out.Version); err != nil {
				return err
			}
			out.State = "active"
		}
		return emit(cmd, out, func(w io.Writer) {
			fmt.Fprintf(w, "rule set %d is %s (%s)\n", out.Version, out.State, counted(out.Rules, "rule"))
		})
	}
	return cmd
}

type activeJSON struct {
	Version uint32 `json:"version"`
	Before  uint32 `json:"before"`
	Size    uint64 `json:"size"`
}

func newRulesActivateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "activate [VERSION|FILE]", Short: "Put a published rule set in force: by its number, by its file, or the newest",
		Example: "  risknet rules activate 2 --yes\n  risknet rules activate rules.yaml --yes", Args: cobra.MaximumNArgs(1)}
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		sets, err := c.RuleSets(cmd.Context())
		if err != nil {
			return err
		}
		version, err := chooseVersion(sets, args)
		if err != nil {
			return err
		}
		if err := confirm(cmd, *yes, "Put rule set %d in force on every node, in place of %d?", version, sets.Active); err != nil {
			return err
		}
		receipt, err := client.ActivateRules(cmd.Context(), signer, version)
		if err != nil {
			return err
		}
		out := activeJSON{version, sets.Active, receipt.Leaf + 1}
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "rule set %d is in force\n", version) })
	}
	return cmd
}

// chooseVersion reads a number, or finds the newest version of a file, or of all.
func chooseVersion(sets *apiv1.RuleSetsResponse, args []string) (version uint32, err error) {
	var hash string
	if len(args) > 0 {
		if n, err := strconv.ParseUint(args[0], 10, 32); err == nil {
			return uint32(n), nil
		}
		source, err := ruleSource(args[0])
		if err != nil {
			return 0, err
		}
		sum := sha256.Sum256(source)
		hash = string(sum[:])
	}
	for _, set := range sets.RuleSets {
		if hash == "" || string(set.Hash) == hash {
			version = max(version, set.Version)
		}
	}
	if version == 0 {
		return 0, errors.New("version: no such rule set was published; publish it first")
	}
	return version, nil
}

func newRulesRollbackCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rollback", Short: "Bring back the rule set that was in force before",
		Example: "  risknet rules rollback --yes", Args: cobra.NoArgs}
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := confirm(cmd, *yes, "Bring back the rule set before the one in force, on every node?"); err != nil {
			return err
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		from, err := c.RollbackRules(cmd.Context(), signer)
		if err != nil {
			return err
		}
		sets, err := c.RuleSets(cmd.Context())
		if err != nil {
			return err
		}
		out := activeJSON{Version: sets.Active, Before: from}
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "rule set %d is in force, %d was taken back\n", sets.Active, from) })
	}
	return cmd
}

type historyJSON struct {
	Version     uint32 `json:"version"`
	State       string `json:"state"`
	Author      string `json:"author"`
	PublishedAt string `json:"published_at"`
	Hash        string `json:"hash"`
}

func newRulesHistoryCommand() *cobra.Command {
	return &cobra.Command{Use: "history", Short: "List every rule set that was published",
		Example: "  risknet rules history -o json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			sets, err := c.RuleSets(cmd.Context())
			if err != nil {
				return err
			}
			out, lines := []historyJSON{}, []table.Row{}
			for _, s := range sets.RuleSets {
				h := historyJSON{s.Version, s.State, s.Author, moment(s.PublishedAtMs), fmt.Sprintf("%x", s.Hash)}
				out = append(out, h)
				lines = append(lines, table.Row{h.Version, paint(h.State), h.Author, h.PublishedAt, h.Hash[:min(16, len(h.Hash))]})
			}
			return emit(cmd, out, func(w io.Writer) {
				rows(w, table.Row{"version", "state", "author", "published", "hash"}, lines)
			})
		}}
}
