package node

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/risknet/risknet/risk"
)

// other is what a node remembers of another one.
type other struct {
	Institution string `json:"institution"`
	Name        string `json:"name"`
	API         string `json:"api"`
	Voter       bool   `json:"voter"`
}

func otherOf(record *risk.PutNode) other {
	return other{Institution: record.Institution, Name: record.Name, API: record.API, Voter: record.Suffrage == risk.Voter}
}

// identity is what that node's certificate says.
func (o *other) identity(network string) Identity {
	return Identity{Network: network, Institution: o.Institution, Role: RoleNode, Name: o.Name}
}

// The other nodes are written down beside the anchor and in the data directory,
// for a start at which the state cannot be read. Nobody is trusted for standing in
// that file: who answers shows a certificate.
const peersFile = "peers.json"

func (n *Node) savePeers() error {
	others, err := n.recordedOthers()
	if err != nil || len(others) == 0 {
		return err
	}
	text, err := json.Marshal(others)
	if err != nil {
		return err
	}
	for _, dir := range []string{n.cfg.Anchor, n.cfg.Data} {
		path := filepath.Join(dir, peersFile)
		if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
			continue
		}
		if err := writeFileSync(path, text); err != nil {
			return err
		}
	}
	return nil
}

// recordedOthers are the other nodes' records.
func (n *Node) recordedOthers() ([]other, error) {
	nodes, err := n.store.Nodes()
	if err != nil {
		return nil, err
	}
	var others []other
	for _, record := range nodes {
		if record.Node != n.id {
			others = append(others, otherOf(record))
		}
	}
	return others, nil
}

func savedPeers(dir string) []other {
	var others []other
	text, err := os.ReadFile(filepath.Join(dir, peersFile))
	if err != nil || json.Unmarshal(text, &others) != nil {
		return nil
	}
	return others
}

// foundingOthers are the other nodes that a founding file names.
func foundingOthers(founding []*risk.Signed, self risk.ID) []other {
	var others []other
	for _, signed := range founding {
		command, err := risk.DecodeCommand(signed.Header)
		if err != nil {
			continue
		}
		if p, ok := command.Params.(*risk.PutNode); ok && p.Node != self {
			others = append(others, otherOf(p))
		}
	}
	return others
}

// memories are the lists of others that this node has, the newest first: beside
// the anchor, in the data directory, in its state, in the founding file.
func (n *Node) memories() [][]other {
	lists := [][]other{savedPeers(n.cfg.Anchor), savedPeers(n.cfg.Data)}
	if n.store != nil {
		recorded, _ := n.recordedOthers() // the saved ones stand in
		lists = append(lists, recorded)
	}
	return append(lists, foundingOthers(n.founding, n.id))
}

// lastKnown is the newest memory that there is of the others.
func (n *Node) lastKnown() []other {
	for _, list := range n.memories() {
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// otherPlaces is everybody who may know this node.
func (n *Node) otherPlaces() []place { return placesOf(n.memories()...) }

// placesOf names each node once, at each address that is remembered of it.
func placesOf(lists ...[]other) []place {
	var places []place
	for _, o := range slices.Concat(lists...) {
		places = append(places, place{o.Institution, o.Name, o.API})
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.api, b.api), cmp.Compare(a.institution, b.institution), cmp.Compare(a.name, b.name))
	})
	return slices.Compact(places)
}
