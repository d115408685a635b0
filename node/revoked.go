package node

import (
	"errors"

	"github.com/risknet/risknet/risk"
)

// loadRevoked puts in force what the ledger says of revoked certificates. It runs
// where the command is applied: when its receipt is given, this node lets the
// certificate in at no port, and its connections have ended.
func (n *Node) loadRevoked() error {
	list, err := n.store.Revocations()
	if err != nil {
		return err
	}
	set := make(map[Fingerprint]bool, len(list))
	for _, r := range list {
		set[Fingerprint(r.Fingerprint)] = true
	}
	if ended := n.creds.lines.revoke(set); ended > 0 {
		n.log.Warn("connections of revoked certificates were ended", "connections", ended)
	}
	n.ownCertificateStands(list)
	return nil
}

// ownCertificateStands says loudly when it does not: the others no longer answer.
func (n *Node) ownCertificateStands(list []*risk.Revocation) {
	own := FingerprintOf(n.creds.leaf())
	for _, r := range list {
		if Fingerprint(r.Fingerprint) == own {
			n.log.Error("alarm", "error", errors.New("this node's certificate was revoked; no other node answers it: have a new one issued, with a new key, and put it in its place"), "reason", r.Reason)
		}
	}
}
