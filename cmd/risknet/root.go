package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "risknet",
		Short: "Share payment-risk information between institutions",
		Long: "risknet runs a node of a risk-sharing network, and asks and tells nodes.\n\n" +
			"A profile says how to reach a node and who is speaking. Identifiers become\n" +
			"tokens on this machine; a raw value never leaves it.",
		Example:       "  risknet demo --exit\n  risknet --profile hub.yaml list import --kind ip --format ipsum ipsum.txt\n  risknet --profile hub.yaml check --subject ip=203.0.113.9 -o json",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			_, err := formatOf(cmd)
			return err
		},
	}
	flags := root.PersistentFlags()
	flags.String("profile", os.Getenv(client.ProfileEnv), "profile `file` ("+client.ProfileEnv+")")
	flags.String("endpoint", "", "ask the node at `host:port` instead of the profile's own")
	flags.StringP("output", "o", "human", "output `format`: human, json or ndjson")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"human", "json", "ndjson"}, cobra.ShellCompDirectiveNoFileComp))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Sprintf("%v; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(newListCommand(), newCheckCommand(), newRulesCommand(), newPolicyCommand(),
		newFeedbackCommand(), newProtectCommand(), newReplayCommand())
	root.AddCommand(newInstitutionCommand(), newOverrideCommand(), newClusterCommand(), newBenchCommand(),
		newDemoCommand(), newTestnetCommand(), newNodeCommand(), newAlertsCommand())
	root.AddCommand(newKeyCommand(), newEpochCommand(), newCACommand(), newAuditCommand())
	return root
}

// version is what this program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version + " " + info.GoVersion
	return fmt.Sprintf("%s, protocol %d", text, risk.ProtocolVersion)
}

// newNoun is a command that only holds verbs.
func newNoun(name, short string, verbs ...*cobra.Command) *cobra.Command {
	var names []string
	for _, verb := range verbs {
		names = append(names, verb.Name())
	}
	noun := &cobra.Command{
		Use:     name + " " + strings.Join(names, "|"),
		Short:   short,
		Example: verbs[0].Example,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%s: %q is not a verb; use %s", name, args[0], strings.Join(names, ", "))
			}
			return usagef("%s: needs a verb; use %s", name, strings.Join(names, ", "))
		},
	}
	noun.AddCommand(verbs...)
	return noun
}

// usageError is wrong usage; the program ends with 2.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// watchStart tells whether some command began to run: an error before that is
// cobra's, about flags and arguments.
func watchStart(root *cobra.Command) *bool {
	started := new(bool)
	var watch func(*cobra.Command)
	watch = func(cmd *cobra.Command) {
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				*started = true
				return run(cmd, args)
			}
		}
		for _, child := range cmd.Commands() {
			watch(child)
		}
	}
	watch(root)
	return started
}

// dial prepares connections under the profile that the flags name.
func dial(cmd *cobra.Command) (*client.Client, error) {
	path, _ := cmd.Flags().GetString("profile")
	if path == "" {
		return nil, usagef("profile: is missing; name one with --profile or %s", client.ProfileEnv)
	}
	profile, err := client.LoadProfile(path)
	if err != nil {
		return nil, err
	}
	endpoint, _ := cmd.Flags().GetString("endpoint")
	return client.Dial(profile, endpoint)
}

// author connects and signs under the profile.
func author(cmd *cobra.Command) (*client.Client, *client.Author, error) {
	c, err := dial(cmd)
	if err != nil {
		return nil, nil, err
	}
	a, err := client.NewAuthor(cmd.Context(), c)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	a.Patience = outage
	var last atomic.Int64
	a.Retrying = func(err error) { // many commands at a time meet the same fault
		now, before := time.Now().UnixNano(), last.Load()
		if now-before > int64(retryNote) && last.CompareAndSwap(before, now) {
			note(cmd, "sending again: %v", err)
		}
	}
	return c, a, nil
}

const (
	// outage is how long a command may find no majority before it gives up.
	outage = 2 * time.Minute
	// retryNote is the least time between two lines that say so.
	retryNote = 20 * time.Second
)

// days is a flag that takes Go's durations and days.
type days time.Duration

func (d *days) String() string { return time.Duration(*d).String() }
func (d *days) Type() string   { return "duration" }
func (d *days) Set(text string) error {
	v, err := client.ParseDuration(text)
	*d = days(v)
	return err
}

// daysFlag adds such a flag.
func daysFlag(cmd *cobra.Command, name string, value time.Duration, usage string) *days {
	d := days(value)
	cmd.Flags().Var(&d, name, usage)
	return &d
}
