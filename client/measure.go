package client

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// metricsTimeout bounds one reading of a node's metrics.
const metricsTimeout = 10 * time.Second

// ServerChecks reads how many checks the asked node has answered since it
// started, from the node's own metrics.
func (c *Client) ServerChecks(ctx context.Context) (int64, error) {
	address, err := c.metricsAddress(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		return 0, fmt.Errorf("http: %q: %w", address, err)
	}
	transport := &http.Transport{TLSClientConfig: c.tls.Clone()}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, fmt.Errorf("http: no metrics from %s: %w", address, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("http: %s/metrics answers %s", address, response.Status)
	}
	return sumMetric(response.Body, "risknet_checks_total")
}

// metricsAddress finds the HTTP side of the node whose gRPC side is asked.
func (c *Client) metricsAddress(ctx context.Context) (string, error) {
	if !c.pinned && c.profile.HTTP != "" {
		return c.profile.HTTP, nil
	}
	network, err := c.Network(ctx)
	if err != nil {
		return "", err
	}
	for _, n := range network.Nodes {
		if n.Api == c.Endpoint() && n.Http != "" {
			return n.Http, nil
		}
	}
	return "", fmt.Errorf("http: the address of %s is not known; ask it by the address in its node record", c.Endpoint())
}

// sumMetric adds up a counter over all its labels (Prometheus text format).
func sumMetric(text io.Reader, name string) (int64, error) {
	var sum float64
	found := false
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		fields := strings.Fields(rest[strings.LastIndexByte(rest, '}')+1:])
		if len(fields) == 0 {
			continue
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, fmt.Errorf("metrics: %s: %w", name, err)
		}
		sum, found = sum+value, true
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	if !found {
		return 0, fmt.Errorf("metrics: the node shows no %s", name)
	}
	return int64(sum), nil
}
