package client

import (
	"context"

	"google.golang.org/grpc"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// WatchAlerts gives the alerts of the asked node that lie behind a cursor, in order.
// With follow it waits for more until the context ends, and goes on behind the last
// one when the node was away. Alerts are one node's own, so no other node is asked;
// each is given once.
func (c *Client) WatchAlerts(ctx context.Context, after uint64, follow bool, each func(*apiv1.Alert) error) error {
	var taken error // what each said
	watch := func(ctx context.Context, conn grpc.ClientConnInterface) error {
		stream, err := apiv1.NewAlertsClient(conn).WatchAlerts(ctx, &apiv1.WatchAlertsRequest{After: after, Follow: follow})
		for err == nil {
			var a *apiv1.Alert
			if a, err = stream.Recv(); err != nil {
				break
			}
			if taken = each(a); taken != nil {
				return taken
			}
			after = a.Cursor
		}
		if isEnd(err) {
			return nil
		}
		return err
	}
	for wait := firstWait; ; wait = nextWait(wait) {
		before := after
		inner, stop := context.WithCancel(ctx) // a stream that is left must be ended
		address, err := c.attempt(inner, false, watch)
		stop()
		if taken != nil {
			return taken
		}
		if !follow || !retryable(err) && err != nil {
			return explain(address, err)
		}
		if after != before {
			wait = firstWait
		}
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
}
