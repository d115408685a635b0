package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
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

// Spread is how long publications took to protect, and lifts to clear: until the node
// that took them answers so, and until the last node of the network does.
type Spread struct {
	Own, All         *hdrhistogram.Histogram // microseconds
	OwnLift, AllLift *hdrhistogram.Histogram
	Nodes            int
	Failures         int
}

// MeasurePublish reports one subject after the other and asks every node until it
// knows, then lifts it and asks every node until it is clear.
func (c *Client) MeasurePublish(ctx context.Context, author *Author, count int, each func(done int)) (Spread, error) {
	spread := Spread{Own: newHistogram(), All: newHistogram(), OwnLift: newHistogram(), AllLift: newHistogram()}
	network, err := c.Network(ctx)
	if err != nil {
		return spread, err
	}
	var nodes []string
	for _, n := range network.Nodes {
		nodes = append(nodes, n.Api)
	}
	if len(nodes) == 0 {
		nodes = []string{c.Endpoint()}
	}
	spread.Nodes = len(nodes)
	keys, err := c.FreshKeyring(ctx)
	if err != nil {
		return spread, err
	}
	for i := range count {
		value := fmt.Sprintf("risknet-bench-publish-%d-%d", time.Now().UnixNano(), i)
		start := time.Now()
		receipt, in, err := publishOne(ctx, author, keys, value)
		if err != nil {
			return spread, err
		}
		spread.Failures += c.spread(ctx, start, nodes, in, receipt, true, spread.Own, spread.All)
		item, body := risk.Item{Op: risk.ItemLift, Target: risk.ItemID{Leaf: receipt.Leaf}, Reason: risk.LiftWithdrawn}, risk.NewBody([]byte{})
		item.Commitment = body.Commit()
		start = time.Now()
		if receipt, err = author.Do(ctx, &risk.Listings{}, []risk.Item{item}, []risk.Body{body}); err != nil {
			return spread, err
		}
		spread.Failures += c.spread(ctx, start, nodes, in, receipt, false, spread.OwnLift, spread.AllLift)
		if each != nil {
			each(i + 1)
		}
	}
	return spread, ctx.Err()
}

// spread notes when the receipt came and when the last node answers so; it gives the
// number of failures.
func (c *Client) spread(ctx context.Context, start time.Time, nodes []string, in *apiv1.CheckRequest, receipt *apiv1.Receipt,
	listed bool, own, all *hdrhistogram.Histogram) int {
	_ = own.RecordValue(max(1, time.Since(start).Microseconds()))
	in.MinSize = receipt.Leaf + 1
	if err := c.seenBy(ctx, nodes, in, listed); err != nil {
		return 1
	}
	_ = all.RecordValue(max(1, time.Since(start).Microseconds()))
	return 0
}

func publishOne(ctx context.Context, author *Author, keys *Keyring, value string) (*apiv1.Receipt, *apiv1.CheckRequest, error) {
	report := NewReport(risk.KindDevice, time.Now())
	_ = report.Set("expires", "1h")
	report.Value = value
	subject, err := report.subject()
	if err != nil {
		return nil, nil, err
	}
	item, body, err := report.finish(subject, keys.ring.ListSubject(subject))
	if err != nil {
		return nil, nil, err
	}
	q := Question{subjects: []askedSubject{{"", subject}}}
	in, _ := q.request(keys, nil)
	receipt, err := author.Do(ctx, &risk.Listings{}, []risk.Item{item}, []risk.Body{body})
	return receipt, in, err
}

// seenBy waits until every node answers that the subject is listed, or that it is not.
func (c *Client) seenBy(ctx context.Context, nodes []string, in *apiv1.CheckRequest, listed bool) error {
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	var group sync.WaitGroup
	faults := make([]error, len(nodes))
	for i, address := range nodes {
		group.Go(func() { faults[i] = c.seen(ctx, address, in, listed) })
	}
	group.Wait()
	return errors.Join(faults...)
}

func (c *Client) seen(ctx context.Context, address string, in *apiv1.CheckRequest, listed bool) error {
	conn, err := c.Conn(address)
	if err != nil {
		return err
	}
	for {
		answer, err := apiv1.NewChecksClient(conn).Check(ctx, in)
		if err == nil && answer.Listed == listed {
			return nil
		}
		if err != nil && !retryable(err) {
			return explain(address, err)
		}
		if !pause(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
}
