package node

import (
	"fmt"

	"github.com/risknet/risknet/risk"
)

// loadStage notes whether this node's institution is live. One that is on its way in
// (生产验证) computes verdicts as all others do, and says that they must not be
// enforced; so does one that was suspended or has left.
func (n *Node) loadStage() error {
	reporter := n.reporter()
	if reporter.IsZero() {
		return nil
	}
	inst, err := n.store.Institution(reporter)
	if err != nil {
		return err
	}
	live := inst != nil && (inst.Stage == risk.StageLive || inst.Stage == risk.StageQuarantined)
	n.unenforced.Store(!live)
	if live {
		n.purposes.Store(uint32(inst.Purposes))
	}
	return nil
}

// reporter is the reporting id of this node's institution; zero if none is configured.
func (n *Node) reporter() risk.ID {
	id, _ := risk.ParseID(n.cfg.Reporter) // the configuration was checked
	return id
}

// mayAskFor holds a check to the purposes for which this node's institution was given
// the shared data (数据应用规则). One on its way in asks what it likes: its answers are
// not enforced.
func (n *Node) mayAskFor(purpose risk.Purpose) error {
	allowed := risk.Purpose(n.purposes.Load())
	if allowed == 0 || purpose&allowed != 0 {
		return nil
	}
	return fmt.Errorf("payment.purpose: this institution was given the shared data for %s, not for %s; have the hub widen what it signed for", allowed, purpose)
}
