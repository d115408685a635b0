package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/risknet/risknet/risk"
)

func FuzzFoundingFile(f *testing.F) {
	signed := &risk.Signed{Header: []byte("header")}
	f.Add(FormatFounding([]*risk.Signed{signed}))
	f.Add([]byte{0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(t.TempDir(), "founding.bin")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := loadFounding(path, signed.ID()); err == nil && list[0].ID() != signed.ID() {
			t.Error("a founding of another network was taken")
		}
	})
}

func FuzzTokenKeyFile(f *testing.F) {
	f.Add(string(FormatTokenKeys([]TokenKey{{Epoch: 7}})))
	f.Add("1 zz\n# comment\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "token.keys")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := LoadTokenKeys(path)
		if err == nil && len(keys) == 0 {
			t.Error("no key and no error")
		}
	})
}
