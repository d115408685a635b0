package client

import (
	"context"
	"fmt"

	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// RunOffline answers every record of a file without a network: whoever is given
// answers each question by itself, in the order of the file. Client is not used.
func (c *Checker) RunOffline(ctx context.Context, rows *RowReader, keys *Keyring, ask func(context.Context, *apiv1.CheckRequest) (*apiv1.CheckResponse, error)) (int, error) {
	run := &checking{Checker: c, columns: rows.Columns}
	for answered := 0; ; answered++ {
		row, err := rows.Next()
		if isEnd(err) {
			return answered, nil
		}
		if err != nil {
			return answered, fmt.Errorf("read line %d: %w", rows.lines.number+1, err)
		}
		answer := Answer{Line: row.Line, Error: row.Fault}
		if row.Fault == "" {
			q, err := run.question(&row)
			if err == nil {
				request, _ := q.request(keys, nil)
				answer.Response, err = ask(ctx, request)
			}
			if err != nil {
				answer.Error = status.Convert(plain(err)).Message()
			}
		}
		if err := c.Answer(answer); err != nil {
			return answered, err
		}
	}
}
