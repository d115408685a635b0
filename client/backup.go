package client

import (
	"context"
	"errors"
	"io"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// Backup writes an archive of the state and ledger of the profile's own node,
// and gives its length. What was written is whole only if there is no error.
func (c *Client) Backup(ctx context.Context, to io.Writer) (int64, error) {
	conn, err := c.Conn(c.Endpoint())
	if err != nil {
		return 0, err
	}
	stream, err := apiv1.NewClusterClient(conn).Backup(ctx, &apiv1.BackupRequest{})
	if err != nil {
		return 0, explain(c.Endpoint(), err)
	}
	total := int64(0)
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, explain(c.Endpoint(), err)
		}
		n, err := to.Write(part.Data)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}
