package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/rules"
)

type fieldChangeJSON struct {
	Rule   string `json:"rule"`
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

type diffJSON struct {
	Added   []string          `json:"added"`
	Removed []string          `json:"removed"`
	Changed []fieldChangeJSON `json:"changed"`
}

func newRulesDiffCommand() *cobra.Command {
	return &cobra.Command{Use: "diff A [B]", Short: "Compare two rule sets, each a file or a version; one alone with the set in force",
		Example: "  risknet rules diff rules.yaml\n  risknet rules diff 1 2\n  risknet rules diff old.yaml new.yaml", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				args = []string{"", args[0]}
			}
			var sets [2]*rules.Set
			for i, name := range args {
				source, err := anySource(cmd, name)
				if err != nil {
					return err
				}
				if sets[i], err = rules.Parse(source); err != nil {
					return fmt.Errorf("rules: %q is not a rule set; see rules lint", name)
				}
			}
			out := diffSets(sets[0], sets[1])
			return emit(cmd, out, func(w io.Writer) { printDiff(w, out) })
		}}
}

// anySource reads a file, a published version, or with no name the set in force.
func anySource(cmd *cobra.Command, name string) ([]byte, error) {
	version, err := strconv.ParseUint(name, 10, 32)
	if name != "" && err != nil {
		return ruleSource(name)
	}
	c, err := dial(cmd)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if name == "" {
		if version, err = activeVersion(cmd, c); err != nil {
			return nil, err
		}
	}
	return c.RuleSource(cmd.Context(), uint32(version))
}

func activeVersion(cmd *cobra.Command, c *client.Client) (uint64, error) {
	sets, err := c.RuleSets(cmd.Context())
	if err == nil && sets.Active == 0 {
		err = errors.New("rules: no set is in force; give two files to compare")
	}
	return uint64(sets.GetActive()), err
}

func diffSets(before, after *rules.Set) diffJSON {
	out := diffJSON{Added: []string{}, Removed: []string{}, Changed: []fieldChangeJSON{}}
	old := map[string]*rules.Rule{}
	for _, r := range before.Rules {
		old[r.ID] = r
	}
	for _, r := range after.Rules {
		was := old[r.ID]
		delete(old, r.ID)
		if was == nil {
			out.Added = append(out.Added, r.ID)
			continue
		}
		a, b := ruleFields(was), ruleFields(r)
		for i := range a {
			if a[i] != b[i] {
				out.Changed = append(out.Changed, fieldChangeJSON{r.ID, a[i].name, a[i].value, b[i].value})
			}
		}
	}
	for _, r := range before.Rules {
		if old[r.ID] != nil {
			out.Removed = append(out.Removed, r.ID)
		}
	}
	return out
}

type ruleField struct{ name, value string }

func ruleFields(r *rules.Rule) []ruleField {
	return []ruleField{{"when", r.When}, {"advice", r.Advice.String()}, {"mode", r.Mode.String()},
		{"phases", fmt.Sprintf("%03b", r.Phases>>1)}, {"code", fmt.Sprint(r.Code)},
		{"reason", r.ReasonEN}, {"reason_zh", r.ReasonZH}}
}

func printDiff(w io.Writer, out diffJSON) {
	for _, id := range out.Removed {
		fmt.Fprintf(w, "- %s\n", id)
	}
	for _, id := range out.Added {
		fmt.Fprintf(w, "+ %s\n", id)
	}
	for _, c := range out.Changed {
		fmt.Fprintf(w, "~ %s: %s\n    - %s\n    + %s\n", c.Rule, c.Field, c.Before, c.After)
	}
	if len(out.Removed)+len(out.Added)+len(out.Changed) == 0 {
		fmt.Fprintln(w, "the rules are the same")
	}
}
