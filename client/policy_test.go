package client_test

import (
	"bytes"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// What policy show prints is what policy set takes, and nothing may be left out: it
// would weigh nothing.
func TestAPolicyIsReadAsItIsWritten(t *testing.T) {
	text, err := yaml.Marshal(client.WritePolicy(risk.DefaultPolicy()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.ReadPolicy(bytes.NewReader(text))
	if err != nil || !bytes.Equal(got.Encode(), risk.DefaultPolicy().Encode()) {
		t.Fatalf("%+v, %v", got, err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		if line[0] == ' ' || line[0] == '-' {
			continue
		}
		name, _, _ := strings.Cut(line, ":")
		less := strings.Replace(string(text), line, name+"x"+line[len(name):], 1)
		if _, err := client.ReadPolicy(strings.NewReader(less)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, err := client.ReadPolicy(strings.NewReader(string(text) + "more: 1\n")); err == nil {
		t.Error("a field that there is not was taken")
	}
}
