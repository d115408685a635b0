package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/node"
)

type backupJSON struct {
	File       string `json:"file"`
	Network    string `json:"network"`
	Size       uint64 `json:"size"`
	Root       string `json:"root"`
	Index      uint64 `json:"index"`
	LedgerFrom uint64 `json:"ledger_from"`
	Listings   uint64 `json:"listings"`
	Bytes      int64  `json:"bytes"`
}

func emitBackup(cmd *cobra.Command, verb, file string, info *node.BackupInfo) error {
	out := backupJSON{File: file, Network: info.Network.String(), Size: info.Size, Root: info.Root.String(), Index: info.Index,
		LedgerFrom: info.LedgerFrom, Listings: info.Listings, Bytes: info.Bytes}
	return emit(cmd, out, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s: %s listings at %d leaves, root %s…, ledger from leaf %d, %s bytes\n",
			verb, file, many(out.Listings), out.Size, out.Root[:16], out.LedgerFrom, many(uint64(out.Bytes)))
	})
}

func newNodeBackupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Save the state and ledger of your own node, while it runs, and verify what was saved",
		Long: `Save the state and ledger of the profile's node into FILE, while it runs, and
read the file back as a restore would: every record against the state's digest,
every leaf against the tree's root. A FILE that is there is not overwritten.
The file holds what the node holds, tokens and no raw identifier: keep it as you
keep the node's own disk.`,
		Example: "  risknet node backup --profile hub.yaml /backup/n1-2026-11-23.risknet",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err == nil {
				return fmt.Errorf("FILE: %s is there already; name another", args[0])
			}
			info, err := backUp(cmd, args[0])
			if err != nil {
				return err
			}
			return emitBackup(cmd, "saved", args[0], &info)
		},
	}
}

// backUp saves into a file of another name, verifies that, and then gives it its
// own, durably and in nobody's place.
func backUp(cmd *cobra.Command, file string) (info node.BackupInfo, err error) {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*")
	if err != nil {
		return info, fmt.Errorf("FILE: %w; name one in a directory where you may write", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	c, err := dial(cmd)
	if err != nil {
		return info, err
	}
	defer c.Close()
	if _, err := c.Backup(cmd.Context(), f); err != nil {
		return info, err
	}
	if err := f.Sync(); err != nil {
		return info, err
	}
	if info, err = verifyBackup(cmd, f.Name(), filepath.Dir(file)); err != nil {
		return info, fmt.Errorf("verify the backup: %w", err)
	}
	if err := os.Link(f.Name(), file); err != nil {
		return info, fmt.Errorf("FILE: %w; name another, on a file system that has hard links", err)
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return info, err
	}
	return info, errors.Join(dir.Sync(), dir.Close())
}

// verifyBackup unpacks into a directory below scratch.
func verifyBackup(cmd *cobra.Command, file, scratch string) (node.BackupInfo, error) {
	f, err := os.Open(file)
	if err != nil {
		return node.BackupInfo{}, fmt.Errorf("BACKUP: %w; name a file that `risknet node backup` has made", err)
	}
	defer f.Close()
	return node.VerifyBackup(cmd.Context(), f, scratch)
}

func newNodeRestoreCommand() *cobra.Command {
	var config, scratch string
	var verify bool
	cmd := &cobra.Command{
		Use:   "restore --config FILE BACKUP",
		Short: "Put a backup into the empty data directory of a node that does not run",
		Long: `Put a backup into the empty data directory of a node that does not run, after
verifying all of it. The node goes on as a new server without a vote: what comes
back is the past, and its network, if there is one, brings it up to date first.
If no majority of the network is left, follow with risknet cluster recover.
With --verify the backup is unpacked and verified below --scratch, which takes
about as much room as the backup, and what was unpacked is removed again.`,
		Example: "  risknet node restore --config /etc/risknet/node.yaml /backup/n1-2026-11-23.risknet",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if verify {
				info, err := verifyBackup(cmd, args[0], scratch)
				if err != nil {
					return err
				}
				return emitBackup(cmd, "verified", args[0], &info)
			}
			if config == "" {
				return usagef("config: is missing; name the configuration file of the node to restore")
			}
			cfg, err := node.LoadConfig(config)
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("BACKUP: %w; name a file that `risknet node backup` has made", err)
			}
			defer f.Close()
			info, err := node.Restore(cmd.Context(), cfg, f)
			if err != nil {
				return err
			}
			return emitBackup(cmd, "restored", args[0], &info)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the node's configuration file")
	cmd.Flags().BoolVar(&verify, "verify", false, "only verify the backup")
	cmd.Flags().StringVar(&scratch, "scratch", os.TempDir(), "with --verify: the directory to unpack in")
	return cmd
}

type recoverJSON struct {
	Server    string `json:"server"`
	Size      uint64 `json:"size"`
	Root      string `json:"root"`
	Index     uint64 `json:"index"`
	Listings  uint64 `json:"listings"`
	LastTerm  uint64 `json:"last_term"`
	LastIndex uint64 `json:"last_index"`
	Asked     int    `json:"asked"`
	Answered  int    `json:"answered"`
}

func (out *recoverJSON) text(w io.Writer, name string, done bool) {
	from := fmt.Sprintf("%s listings at %d leaves, root %s…", many(out.Listings), out.Size, out.Root[:16])
	if !done {
		fmt.Fprintf(w, "%s would go on alone from %s, and from its log, whose last entry is %d of term %d; nothing was changed, say --yes on the node with the highest term, and of several the highest entry\n",
			name, from, out.LastIndex, out.LastTerm)
		return
	}
	fmt.Fprintf(w, "%s goes on alone, as server %s, from %s; of %d other nodes that it knows %d answered; start it now\n",
		name, out.Server, from, out.Asked, out.Answered)
}

func newClusterRecoverCommand() *cobra.Command {
	var config string
	var yes bool
	cmd := &cobra.Command{
		Use:   "recover --config FILE --yes",
		Short: "Make one node that does not run the only voter, after a majority was lost for good",
		Long: `Make a node that does not run the only voter of its network. This is for a
majority that is lost for good: what only the lost nodes had acknowledged is gone.
End every node that is left and look at each with this command: without --yes it
changes nothing and names the last entry of the node's log. Recover the node whose
last entry has the highest term, and of several in that term the highest number:
it has everything that was acknowledged and is left. Start it, and then the others
with empty data directories: they join anew by themselves.
Never do this while a majority may come back: there would be two networks.`,
		Example: "  risknet cluster recover --config /etc/risknet/node.yaml\n  risknet cluster recover --config /etc/risknet/node.yaml --yes",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := node.LoadConfig(config)
			if err != nil {
				return err
			}
			var asked node.Asked
			look := func() (node.RecoverInfo, error) { return node.Inspect(cfg) }
			if yes {
				if asked, err = node.Outlived(cmd.Context(), cfg); err != nil {
					return err
				}
				look = func() (node.RecoverInfo, error) { return node.Recover(cfg, slog.New(slog.DiscardHandler)) }
			}
			info, err := look()
			if err != nil {
				return err
			}
			out := &recoverJSON{info.Server, info.Size, info.Root.String(), info.Index, info.Listings, info.LastTerm, info.LastIndex, asked.Nodes, asked.Answered}
			return emit(cmd, out, func(w io.Writer) { out.text(w, cfg.Name, yes) })
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the node's configuration file (required)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	_ = cmd.MarkFlagRequired("config")
	return cmd
}
