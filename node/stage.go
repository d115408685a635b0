package node

import "github.com/risknet/risknet/risk"

// loadStage notes whether this node's institution is live. One that is on its way in
// (生产验证) computes verdicts as all others do, and says that they must not be
// enforced; so does one that was suspended or has left.
func (n *Node) loadStage() error {
	if n.cfg.Reporter == "" {
		return nil
	}
	reporter, err := risk.ParseID(n.cfg.Reporter)
	if err != nil {
		return err
	}
	inst, err := n.store.Institution(reporter)
	if err != nil {
		return err
	}
	live := inst != nil && (inst.Stage == risk.StageLive || inst.Stage == risk.StageQuarantined)
	n.unenforced.Store(!live)
	return nil
}
