package client

import (
	"bufio"
	"bytes"
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

// ServerUse is what a node says of itself since it started.
type ServerUse struct {
	Checks int64   // answered
	CPU    float64 // seconds of all its processors; 0 where its system does not tell
}

// ServerUse reads the metrics of the asked node.
func (c *Client) ServerUse(ctx context.Context) (use ServerUse, err error) {
	text, err := c.metrics(ctx)
	if err != nil {
		return use, err
	}
	checks, err := sumMetric(bytes.NewReader(text), "risknet_checks_total")
	if err != nil {
		return use, err
	}
	use.Checks = int64(checks)
	if cpu, err := sumMetric(bytes.NewReader(text), "process_cpu_seconds_total"); err == nil {
		use.CPU = cpu
	}
	return use, nil
}

// maxMetricsBytes is more than a node has to say.
const maxMetricsBytes = 16 << 20

func (c *Client) metrics(ctx context.Context) ([]byte, error) {
	address, err := c.metricsAddress(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("http: %q: %w", address, err)
	}
	transport := &http.Transport{TLSClientConfig: c.tls.Clone(), TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 10 * time.Second}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("http: no metrics from %s: %w", address, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("http: %s/metrics answers %s", address, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxMetricsBytes))
	if err != nil {
		return nil, fmt.Errorf("http: metrics from %s: %w", address, err)
	}
	return text, nil
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
func sumMetric(text io.Reader, name string) (float64, error) {
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
	return sum, nil
}
