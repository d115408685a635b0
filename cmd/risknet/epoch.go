package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

func newEpochCommand() *cobra.Command {
	return newNoun("epoch", "Change the key that makes tokens of identifiers",
		newEpochNewCommand(), newEpochOpenCommand(), newEpochCloseCommand(), newEpochListCommand())
}

func epochFlag(cmd *cobra.Command) func() (risk.Epoch, error) {
	number := cmd.Flags().Uint32("number", 0, "the epoch's `number`, one above the newest (required)")
	_ = cmd.MarkFlagRequired("number")
	return func() (risk.Epoch, error) {
		if *number == 0 {
			return 0, usagef("number: epochs count from 1; see epoch list")
		}
		return risk.Epoch(*number), nil
	}
}

type newEpochJSON struct {
	Number     uint32 `json:"number"`
	File       string `json:"file"`
	Commitment string `json:"commitment"`
}

func newEpochNewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new --number N --append FILE",
		Short: "Make the token key of the next epoch; the network does not use it yet",
		Long: `Make a random token key and append it to a node's token_keys file as the line
"N HEX". Hand that line to every node, over a way that nobody else reads: whoever
has it can guess identifiers from tokens. Only its commitment enters the ledger.`,
		Example: "  risknet epoch new --number 2 --append /etc/risknet/token.keys", Args: cobra.NoArgs}
	number := epochFlag(cmd)
	file := cmd.Flags().String("append", "", "the token keys `file`; it is made if it is not there (required)")
	_ = cmd.MarkFlagRequired("append")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		epoch, err := number()
		if err != nil {
			return err
		}
		key := node.TokenKey{Epoch: epoch}
		_, _ = rand.Read(key.Secret[:]) // never fails since Go 1.24
		if err := appendTokenKey(*file, key); err != nil {
			return fmt.Errorf("append: %w", err)
		}
		out := newEpochJSON{uint32(epoch), *file, risk.CommitEpochKey(key.Secret).String()}
		return emit(cmd, out, func(w io.Writer) {
			fmt.Fprintf(w, "the key of epoch %d is in %s\ncommitment: %s\n", out.Number, out.File, out.Commitment)
		})
	}
	return cmd
}

// appendTokenKey writes the whole file anew and switches it in, so that a node
// that starts meanwhile reads one or the other.
func appendTokenKey(file string, key node.TokenKey) error {
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	default:
		known, err := node.LoadTokenKeys(file)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(known, func(k node.TokenKey) bool { return k.Epoch == key.Epoch }) {
			return fmt.Errorf("%s holds a key of epoch %d already; open that one, or take the next number", file, key.Epoch)
		}
	}
	if len(text) > 0 && !strings.HasSuffix(string(text), "\n") {
		text = append(text, '\n')
	}
	text = append(text, node.FormatTokenKeys([]node.TokenKey{key})...)
	return replaceFile(file, text, 0o600)
}

type epochChangeJSON struct {
	Number uint32 `json:"number"`
	State  string `json:"state"`
	Size   uint64 `json:"size"`
}

func newEpochOpenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "open --number N --token-keys FILE",
		Short: "Put a token key in use beside the old one, on every node",
		Long: `Put a token key in use beside the old one: checks ask for the tokens of both,
what is reported from now on stands under the new one. Needs the hub's threshold.
A node whose token_keys file lacks the key stops, and starts again when it has it:
hand it to every node and restart each before. Nodes that are up are asked; one
that joined since the key was made needs it too.`,
		Example: "  risknet epoch open --number 2 --token-keys /etc/risknet/token.keys --yes", Args: cobra.NoArgs}
	number := epochFlag(cmd)
	file := cmd.Flags().String("token-keys", "", "a node's token keys `file`; only the key's commitment is sent (required)")
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	_ = cmd.MarkFlagRequired("token-keys")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		epoch, err := number()
		if err != nil {
			return err
		}
		keys, err := node.LoadTokenKeys(*file)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(keys, func(k node.TokenKey) bool { return k.Epoch == epoch })
		if i < 0 {
			return fmt.Errorf("token-keys: %s holds no key of epoch %d; make it with epoch new", *file, epoch)
		}
		if err := everyNodeHolds(cmd, epoch); err != nil {
			return err
		}
		if err := confirm(cmd, *yes, "Open epoch %d? A node without its key stops.", epoch); err != nil {
			return err
		}
		return changeEpoch(cmd, &risk.OpenEpoch{Epoch: epoch, Commitment: risk.CommitEpochKey(keys[i].Secret)}, epoch, "live", nil)
	}
	return cmd
}

// everyNodeHolds asks the nodes that are up, and tells of those that are not.
func everyNodeHolds(cmd *cobra.Command, epoch risk.Epoch) error {
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	nodes, err := c.Status(cmd.Context())
	if err != nil {
		return err
	}
	var lacking []string
	for _, n := range nodes {
		switch {
		case n.Role == "down":
			note(cmd, "%s is down and could not be asked; without the key of epoch %d it will not start", n.Name, epoch)
		case !slices.Contains(n.TokenEpochs, uint32(epoch)):
			lacking = append(lacking, n.Name)
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("token-keys: %s would stop, for want of the key of epoch %d; hand it over, restart, and open the epoch then", strings.Join(lacking, ", "), epoch)
	}
	return nil
}

func newEpochCloseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "close --number N",
		Short: "Take the older token key out of use",
		Long: `Take the older of two token keys out of use. Nobody asks for its tokens any more:
what stands under it alone is not found, although it is in force. So this looks
first whether each reporter has as many listings in force under the newer epoch
as under this one, and refuses if not, unless --anyway is given. Needs the hub's
threshold.`,
		Example: "  risknet epoch close --number 1 --yes", Args: cobra.NoArgs}
	number := epochFlag(cmd)
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	anyway := cmd.Flags().Bool("anyway", false, "also if listings are left behind")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		epoch, err := number()
		if err != nil {
			return err
		}
		if err := confirm(cmd, *yes, "Close epoch %d? What stands under it alone is not found any more.", epoch); err != nil {
			return err
		}
		look := func(c *client.Client) error { return nothingLeftBehind(cmd, c, uint32(epoch)) }
		if *anyway {
			look = nil
		}
		return changeEpoch(cmd, &risk.CloseEpoch{Epoch: epoch}, epoch, "closed", look)
	}
	return cmd
}

// nothingLeftBehind compares how much each reporter has under the epoch and
// under newer ones. Which listing is whose twin nobody can tell: the tokens of
// two keys have nothing in common.
func nothingLeftBehind(cmd *cobra.Command, c *client.Client, epoch uint32) error {
	uses, err := c.EpochUses(cmd.Context())
	if err != nil {
		return err
	}
	old, newer := map[string]uint64{}, map[string]uint64{}
	for _, u := range uses {
		for reporter, n := range u.InForce {
			switch {
			case u.Number == epoch:
				old[reporter] = n
			case u.Number > epoch:
				newer[reporter] += n
			}
		}
	}
	var behind []string
	for reporter, n := range old {
		if n > newer[reporter] {
			behind = append(behind, fmt.Sprintf("%s has %s under epoch %d and %s under newer ones", reporter, many(n), epoch, many(newer[reporter])))
		}
	}
	if len(behind) == 0 {
		return nil
	}
	slices.Sort(behind)
	return fmt.Errorf("number: listings in force would be left behind and not be found: %s; have them imported again first, or say --anyway", strings.Join(behind, ", "))
}

func changeEpoch(cmd *cobra.Command, params risk.Params, epoch risk.Epoch, state string, look func(*client.Client) error) error {
	c, signer, err := author(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	if look != nil {
		if err := look(c); err != nil {
			return err
		}
	}
	receipt, err := signer.Do(cmd.Context(), params, nil, nil)
	if err != nil {
		return err
	}
	out := epochChangeJSON{uint32(epoch), state, receipt.Leaf + 1}
	return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "epoch %d is %s\n", out.Number, out.State) })
}

type epochJSON struct {
	Number    uint32 `json:"number"`
	State     string `json:"state"`
	Listings  uint64 `json:"listings"`
	Reporters int    `json:"reporters"`
}

func newEpochListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the token epochs and how many listings in force stand under each",
		Long: `List the token epochs and how many listings in force stand under each. It walks
all listings of the node. Under a closed epoch nothing is found any more.`,
		Example: "  risknet epoch list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			uses, err := c.EpochUses(cmd.Context())
			if err != nil {
				return err
			}
			out, lines := []epochJSON{}, []table.Row{}
			for _, u := range uses {
				row := epochJSON{Number: u.Number, State: "closed", Listings: u.Listings(), Reporters: len(u.InForce)}
				if u.Live {
					row.State = "live"
				}
				out = append(out, row)
				lines = append(lines, table.Row{row.Number, row.State, many(row.Listings), row.Reporters})
			}
			return emit(cmd, out, func(w io.Writer) { rows(w, table.Row{"epoch", "state", "in force", "reporters"}, lines) })
		}}
}
