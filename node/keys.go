package node

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/risknet/risknet/risk"
)

// TokenKey is one epoch's secret, as a member's node gets it on admission.
type TokenKey struct {
	Epoch  risk.Epoch
	Secret [32]byte
}

// LoadTokenKeys reads a file of "EPOCH HEX" lines.
func LoadTokenKeys(path string) ([]TokenKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("token_keys: %w", err)
	}
	defer f.Close()
	var keys []TokenKey
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		epoch, secret, _ := strings.Cut(text, " ")
		number, err := strconv.ParseUint(epoch, 10, 32)
		raw, hexErr := hex.DecodeString(secret)
		if err != nil || hexErr != nil || len(raw) != 32 {
			return nil, fmt.Errorf("token_keys: %s:%d: is not an epoch number, a space and 64 hex digits", path, n)
		}
		keys = append(keys, TokenKey{Epoch: risk.Epoch(number), Secret: [32]byte(raw)})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("token_keys: %w", err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("token_keys: %s holds no key; get the network's from the hub", path)
	}
	return keys, nil
}

// FormatTokenKeys gives the text that LoadTokenKeys reads.
func FormatTokenKeys(keys []TokenKey) []byte {
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%d %x\n", k.Epoch, k.Secret)
	}
	return []byte(b.String())
}
