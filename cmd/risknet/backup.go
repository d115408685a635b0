package main

import (
	"errors"
	"fmt"
	"io"
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
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(f.Name()) // it may have its own name already
		}
	}()
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
	return info, settle(os.Link, f.Name(), file)
}

// settle gives what was saved its name, durably, and never that of a file that has
// come there meanwhile. Where the file system has no links, which many a backup
// lies on, we can only look.
func settle(link func(from, to string) error, temp, file string) error {
	err := link(temp, file)
	if err == nil {
		err = os.Remove(temp)
	} else if _, missing := os.Lstat(file); errors.Is(missing, os.ErrNotExist) {
		err = os.Rename(temp, file)
	}
	if err != nil {
		return fmt.Errorf("FILE: %w; name another", err)
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	// If the power fails here, FILE may not be there; nobody was told of it yet.
	return errors.Join(dir.Sync(), dir.Close())
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
