package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

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
