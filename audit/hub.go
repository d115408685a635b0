package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/risknet/risknet/risk"
)

// hub is what the network's id and the hub's own signed commands say about its keys.
type hub struct {
	founding *risk.Found
	id       risk.ID
	network  risk.Hash
	keys     map[risk.ID]risk.PublicKey
}

// hubOf follows the hub's keys from the founding command on. A key that was retired
// later stays good for what it signed before, so retirements are not asked for.
func hubOf(chain []SignedHeader, network risk.Hash) (*hub, error) {
	if len(chain) == 0 {
		return nil, errors.New("keys: the founding command is missing")
	}
	if risk.CommandID(chain[0].Header) != network {
		return nil, errors.New("keys[0]: is not the founding command of this network")
	}
	command, err := risk.DecodeCommand(chain[0].Header)
	if err != nil {
		return nil, fmt.Errorf("keys[0]: %w", err)
	}
	founding, ok := command.Params.(*risk.Found)
	if !ok {
		return nil, errors.New("keys[0]: founds nothing")
	}
	h := &hub{founding: founding, id: command.Author, network: network, keys: map[risk.ID]risk.PublicKey{}}
	for _, key := range founding.HubKeys {
		h.keys[key.ID()] = key
	}
	for i, signed := range chain[1:] {
		command, err := h.signed(signed, int(founding.Threshold))
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i+1, err)
		}
		added, ok := command.Params.(*risk.AddKey)
		if !ok || added.Reporter != h.id {
			return nil, fmt.Errorf("keys[%d]: adds no key of the hub", i+1)
		}
		h.keys[added.Key.ID()] = added.Key
	}
	return h, nil
}

// signed verifies a command of the hub that at least so many of its keys signed.
func (h *hub) signed(s SignedHeader, least int) (*risk.Command, error) {
	command, err := risk.DecodeCommand(s.Header)
	if err != nil {
		return nil, err
	}
	if command.Network != h.network || command.Author != h.id {
		return nil, errors.New("is not a command of this network's hub")
	}
	if len(s.Signatures) != len(command.Signers) {
		return nil, fmt.Errorf("has %d signatures of %d signers", len(s.Signatures), len(command.Signers))
	}
	good := 0
	for i, signer := range command.Signers {
		key, known := h.keys[signer.Key]
		if !known || signer.Reporter != h.id {
			continue
		}
		if !ed25519.Verify(key.Bytes[:], risk.SigningBytes(s.Header), s.Signatures[i]) {
			return nil, fmt.Errorf("the signature of key %s does not verify", signer.Key)
		}
		good++
	}
	if good < least {
		return nil, fmt.Errorf("is signed by %d keys of the hub, not %d", good, least)
	}
	return command, nil
}
