package testnet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/risknet/risknet/client"
)

// probe asks a node's HTTP side how it is.
type probe struct{ http *http.Client }

func newProbe(profileFile string) (*probe, error) {
	profile, err := client.LoadProfile(profileFile)
	if err != nil {
		return nil, err
	}
	config, err := profile.TLS()
	if err != nil {
		return nil, err
	}
	return &probe{http: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}}, nil
}

func (p *probe) ready(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		return fmt.Errorf("%s", strings.TrimSpace(string(text)))
	}
	return nil
}

// ProcessStatus is how one node process is.
type ProcessStatus struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	State string `json:"state"` // ready, not ready, paused or down
	Note  string `json:"note,omitempty"`
}

// Status says how each process is.
func (p *Processes) Status(ctx context.Context) ([]ProcessStatus, error) {
	probe, err := newProbe(p.Profiles[hubName])
	if err != nil {
		return nil, err
	}
	var rows []ProcessStatus
	for i := range p.Nodes {
		n := &p.Nodes[i]
		row := ProcessStatus{Name: n.Name, PID: n.PID, State: "ready"}
		switch {
		case !n.ours():
			row.State = "down"
		case stopped(n.PID):
			row.State = "paused"
		default:
			if err := probe.ready(ctx, n.HTTP); err != nil {
				row.State, row.Note = "not ready", err.Error()
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}
