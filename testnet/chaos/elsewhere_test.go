//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// elsewhereRow is measured by a test of another room, which leaves a report.
type elsewhereRow struct {
	name, what   string
	room, tests  string
	amount, full string // the variable that says how much, and its value for the whole matrix
	report       string // the variable that names the report
	read         func(file string, began time.Time) ([]Result, error)
}

var elsewhereRows = []elsewhereRow{
	{"sim", "faults on fake time", "testnet/sim", "Seeds", "RISKNET_SIM_DAYS", "10", "RISKNET_SIM_REPORT", ReadSimulated},
	{"corruptions", "damaged files", "store", "DamageIsRefused", "RISKNET_CORRUPTIONS", "1000", "RISKNET_CORRUPTIONS_REPORT", ReadDamage},
}

// measureElsewhere runs another room's test and takes over its report, also if
// the test fails: that is what the report says.
func measureElsewhere(ctx context.Context, t *testing.T, root, name, file string) {
	for _, row := range elsewhereRows {
		if row.name != name {
			continue
		}
		amount := os.Getenv(row.amount)
		if amount == "" {
			amount = row.full
		}
		report, began := filepath.Join(t.TempDir(), "report"), time.Now()
		cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout", "0", "-run", row.tests, "./"+row.room)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), row.amount+"="+amount, row.report+"="+report)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", row.what, err, out)
		}
		results, err := row.read(report, began)
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", row.what, err))
		}
		for i := range results {
			if err := AppendResult(file, &results[i]); err != nil {
				t.Error(err)
			}
		}
	}
}
