package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
)

// FormatFounding gives the text of a founding file: each signed command behind
// its length, a big-endian u32.
func FormatFounding(commands []*risk.Signed) []byte {
	var file []byte
	for _, c := range commands {
		encoded := c.Encode()
		file = binary.BigEndian.AppendUint32(file, uint32(len(encoded)))
		file = append(file, encoded...)
	}
	return file
}

// loadFounding reads a founding file. The first command must found the network
// that the configuration names.
func loadFounding(path string, network risk.Hash) ([]*risk.Signed, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("founding: %w", err)
	}
	var commands []*risk.Signed
	for len(file) > 0 {
		if len(file) < 4 || uint64(len(file)-4) < uint64(binary.BigEndian.Uint32(file)) {
			return nil, fmt.Errorf("founding: %s is cut short; make it again", path)
		}
		size := binary.BigEndian.Uint32(file)
		signed, err := risk.DecodeSigned(file[4 : 4+size])
		if err != nil {
			return nil, fmt.Errorf("founding: %s: %w", path, err)
		}
		commands = append(commands, signed)
		file = file[4+size:]
	}
	if len(commands) == 0 {
		return nil, errors.New("founding: the file holds no command")
	}
	if commands[0].ID() != network {
		return nil, fmt.Errorf("founding: %s founds network %s, the configuration names %s", path, commands[0].ID(), network)
	}
	return commands, nil
}

// founderFile lies in the anchor while this node may found its network: from its
// very first start until the network is there. A node that begins another life
// must not found a second one.
const founderFile = "founder"

func (n *Node) mayFound(may bool) error {
	path := filepath.Join(n.cfg.Anchor, founderFile)
	if may {
		return writeFileSync(path, []byte(n.network.String()+"\n"))
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncDir(n.cfg.Anchor)
}

func (n *Node) isFounder() bool {
	_, err := os.Stat(filepath.Join(n.cfg.Anchor, founderFile))
	return err == nil && len(n.founding) > 0
}

// foundedNote lies beside the founding file once the network is there. A founder
// that has lost data and anchor knows by it that it is not starting for the first
// time, also where there is nobody else whom it could ask.
func (n *Node) foundedNote() string { return n.cfg.Founding + ".done" }

func (n *Node) wasFounded() bool {
	_, err := os.Stat(n.foundedNote())
	return err == nil
}

func (n *Node) noteFounded() {
	if len(n.founding) == 0 || n.wasFounded() {
		return
	}
	if err := writeFileSync(n.foundedNote(), []byte(n.network.String()+"\n")); err != nil {
		n.log.Warn("if this node loses both its directories, it will not know that its network was founded", "error", err)
	}
}

// bootstrap founds the network, if this is the node that does and nothing was
// founded before. The others that the founding names are asked first: one that is
// silent may hold the network that this node has forgotten, so it waits until each
// of them has said that it has nothing. Where one has something, its leader takes
// this node in, and the wait ends with that.
func (n *Node) bootstrap(ctx context.Context) error {
	if len(n.founding) == 0 {
		return nil
	}
	if !n.isFounder() {
		if n.empty() {
			n.await(fmt.Errorf("this network was founded before, and this node has nothing of it; it waits until the others take it in. If nobody is left who has the network, restore a backup and recover it (`risknet node restore --help`, `risknet cluster recover --help`); if it was never used, remove %s, %s and %s, and it is founded again", n.foundedNote(), n.cfg.Data, n.cfg.Anchor))
		}
		return nil
	}
	for n.empty() {
		err := n.nobodyElseHasIt(ctx)
		if err == nil {
			n.waits.Store(nil)
			err = n.order.Bootstrap()
			if errors.Is(err, consensus.ErrNotEmpty) {
				return nil // the others were quicker
			}
			return err
		}
		n.await(err)
		if !pause(ctx, 100*time.Millisecond) {
			return nil
		}
	}
	return nil
}

// empty reports whether no network has ever reached this life of the node.
func (n *Node) empty() bool { return n.Head().Size == 0 && len(n.order.Servers()) == 0 }

// await says, once, what an empty node waits for.
func (n *Node) await(why error) {
	if before := n.waits.Swap(&why); before == nil || (*before).Error() != why.Error() {
		n.log.Warn(fmt.Sprintf("this node has no network yet: %v", why))
	}
}

// nobodyElseHasIt asks all nodes that the founding names. What a network has
// acknowledged lies with a majority of its voters; who they were the founder
// cannot know any more, but if nobody has anything there was nothing.
func (n *Node) nobodyElseHasIt(ctx context.Context) error {
	others := foundingOthers(n.founding, n.id)
	heard, _ := askWitnesses(ctx, n.peers, n.id, placesOf(others))
	var silent []string
	for _, o := range others {
		seen, ok := heard[o.identity(n.creds.Identity.Network)]
		if ok && !seen.nothing() {
			return fmt.Errorf("%s is part of this network already, so it is not founded again; this node waits until the others take it in", o.Name)
		}
		if !ok {
			silent = append(silent, o.Name)
		}
	}
	if len(silent) > 0 {
		return fmt.Errorf("%s must say first that the network is not there already: the node that founds asks all whom the founding names; start them", strings.Join(silent, ", "))
	}
	return nil
}
