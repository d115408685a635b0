package consensus

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/hashicorp/raft"

	"github.com/risknet/risknet/fault"
)

// RecoverConfig says which server goes on alone.
type RecoverConfig struct {
	Dir string // of the log of a server that does not run
	// Server is the one voter of the network from now on: a new id, at the address
	// where it will be reached.
	Server Server
	Term   uint64       // optional: the highest term that is known from elsewhere
	Logger *slog.Logger // slog.Default
}

// recoverBatch is how many entries a recovery applies at a time.
const recoverBatch = 256

// Recover makes this server the only voter of its network, for an operator who
// has lost the majority for good. It works on a server that does not run.
//
// The machine gets everything that the log still holds. The last of these entries
// may never have been committed, and become so here; entries that only the lost
// servers had are lost. Then comes a configuration with Server alone, in a term
// higher than any that this server knew. Start, under the new id, finds
// that and leads at once; the others join again empty, under new ids.
//
// None of the other old servers may ever run again under its old id: enough of
// them together would be a second network. A recovery that was interrupted, or is
// done twice, is simply done again.
func Recover(cfg RecoverConfig, machine Machine) error {
	if cfg.Dir == "" || cfg.Server.ID == "" || len(cfg.Server.ID) > maxID || cfg.Server.Address == "" {
		return errors.New("recover: the directory of the log, or the server's id or address, is missing or too long; give all three")
	}
	log, err := openLog(cfg.Dir, newBridge(or(cfg.Logger, slog.Default()).With("room", "consensus")))
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	err = recoverLog(log, &cfg, machine)
	if err = errors.Join(err, log.Close()); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return nil
}

func recoverLog(log logStore, cfg *RecoverConfig, machine Machine) error {
	if err := reconcileLog(log, machine.Position()); err != nil {
		return err
	}
	if err := applyRest(log, machine); err != nil {
		return err
	}
	// If we crash here, the machine holds the same entries as the log does.
	fault.Point("consensus: recovery applied the log")
	entry, err := soleVoter(log, cfg, machine.Position())
	if err != nil {
		return err
	}
	// The term comes first: a server must never have entries of a term that it does
	// not know.
	if err := log.SetUint64([]byte(keyTerm), entry.Term); err != nil {
		return fmt.Errorf("store term %d: %w", entry.Term, err)
	}
	// If we crash here, this server is still one of the old network.
	fault.Point("consensus: recovery stored the term")
	if _, err := machine.ApplyBatch([]Entry{entry}); err != nil {
		return fmt.Errorf("apply the configuration: %w", err)
	}
	if err := machine.Sync(); err != nil {
		return fmt.Errorf("sync the state at %d: %w", entry.Index, err)
	}
	// If we crash here, the next start drops the log, which the state has passed.
	fault.Point("consensus: recovery stored the configuration")
	if err := reconcileLog(log, machine.Position()); err != nil {
		return err
	}
	fault.Point("consensus: recovery dropped the log")
	return nil
}

// applyRest brings the machine to the end of the log, and the disk with it.
func applyRest(log logStore, machine Machine) error {
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	var batch []Entry
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if _, err := machine.ApplyBatch(batch); err != nil {
			return fmt.Errorf("apply entries %d to %d: %w", batch[0].Index, batch[len(batch)-1].Index, err)
		}
		batch = batch[:0]
		return nil
	}
	for index := machine.Position().Index + 1; index <= last; index++ {
		var l raft.Log
		if err := log.GetLog(index, &l); err != nil {
			return fmt.Errorf("read entry %d of the log: %w", index, err)
		}
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			batch = append(batch, entryOf(&l))
		}
		if len(batch) == recoverBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return machine.Sync()
}

// soleVoter is the entry that makes one server the whole network, behind all
// others and in a term above all others.
func soleVoter(log logStore, cfg *RecoverConfig, at Position) (Entry, error) {
	held, err := holdings(log)
	if err != nil {
		return Entry{}, err
	}
	if held.Last == 0 && at.Index == 0 {
		return Entry{}, errors.New("there is no log and no state; recover a server that has them")
	}
	voter := raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(cfg.Server.ID), Address: raft.ServerAddress(cfg.Server.Address)}
	return Entry{
		Index: max(held.Last, at.Index) + 1,
		Term:  max(cfg.Term, held.Term, held.LastTerm, at.Term) + 1,
		Kind:  Configuration,
		Data:  raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{voter}}),
	}, nil
}
