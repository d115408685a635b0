package node

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/risknet/risknet/risk"
)

// incarnation says whose directory this is and in which of the node's lives it
// was written. It stands in the data directory and in the anchor: where the two
// differ, one of them is not what this node left.
type incarnation struct {
	Network risk.Hash
	Node    risk.ID
	Number  uint64 // from 1
}

const incarnationFile = "incarnation"

// server is the id under which an incarnation takes part in raft. A server that
// has lost what it once acknowledged must never go on under its old id: the
// others count on it.
func (i incarnation) server() string { return serverID(i.Node, i.Number) }

func serverID(node risk.ID, number uint64) string {
	if number <= 1 {
		return node.String()
	}
	return fmt.Sprintf("%s+%d", node, number)
}

// splitServer gives the node and the incarnation behind a server id.
func splitServer(server string) (node risk.ID, number uint64, err error) {
	name, suffix, later := strings.Cut(server, "+")
	if node, err = risk.ParseID(name); err != nil {
		return node, 0, fmt.Errorf("server %q: %w", server, err)
	}
	if !later {
		return node, 1, nil
	}
	if number, err = strconv.ParseUint(suffix, 10, 64); err != nil || number < 2 {
		return node, 0, fmt.Errorf("server %q: is not a node's id, or that and + and a number from 2", server)
	}
	return node, number, nil
}

const incarnationMagic = "risknet incarnation 1"

// encode: lines of the magic, network, node and number, and SHA-256 of them. The
// sum finds damage, not malice.
func (i incarnation) encode() []byte {
	text := fmt.Appendf(nil, "%s\n%s\n%s\n%d\n", incarnationMagic, i.Network, i.Node, i.Number)
	return fmt.Appendf(text, "%x\n", sha256.Sum256(text))
}

func decodeIncarnation(text []byte) (incarnation, error) {
	var i incarnation
	lines := strings.Split(string(text), "\n")
	if len(lines) != 6 || lines[0] != incarnationMagic {
		return i, errors.New("is not an incarnation file")
	}
	var err error
	if i.Network, err = risk.ParseHash(lines[1]); err != nil {
		return i, err
	}
	if i.Node, err = risk.ParseID(lines[2]); err != nil {
		return i, err
	}
	if i.Number, err = strconv.ParseUint(lines[3], 10, 64); err != nil || i.Number == 0 {
		return i, errors.New("has no number")
	}
	if !bytes.Equal(i.encode(), text) {
		return i, errors.New("is damaged: its checksum does not match")
	}
	return i, nil
}

// readIncarnation gives nil where there is none.
func readIncarnation(dir string) (*incarnation, error) {
	text, err := os.ReadFile(filepath.Join(dir, incarnationFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i, err := decodeIncarnation(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, incarnationFile), err)
	}
	return &i, nil
}

func (i incarnation) write(dir string) error {
	return writeFileSync(filepath.Join(dir, incarnationFile), i.encode())
}
