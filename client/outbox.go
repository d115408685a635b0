package client

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// Outbox is the file in which an author notes every command before it is sent, and
// then what it was promised and what became of it. With it an auditor of the
// author's own can say whether promises were kept, and whether somebody else writes
// in its name. It holds no raw identifier and no body.
//
// The file has one JSON object a line. Several processes may append to it.
type Outbox struct {
	mu   sync.Mutex
	file *os.File
}

// OutboxLine is one line: a command that is about to leave, or what was heard of it.
type OutboxLine struct {
	Command string `json:"command"`
	// Promise is the leader's, as a signed note.
	Promise string `json:"promise,omitempty"`
	// Leaf is where the command is said to stand.
	Leaf   *uint64 `json:"leaf,omitempty"`
	Result string  `json:"result,omitempty"`
}

// OpenOutbox opens the file, or begins it.
func OpenOutbox(path string) (*Outbox, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err == nil {
		err = endLine(file)
	}
	if err != nil {
		return nil, fmt.Errorf("outbox: %w; name a file that can be written", err)
	}
	return &Outbox{file: file}, nil
}

// endLine ends a line that a crash has cut off, so that the next one stands by itself.
func endLine(file *os.File) error {
	last := []byte{'\n'}
	end, err := file.Seek(0, io.SeekEnd)
	if err == nil && end > 0 {
		_, err = file.ReadAt(last, end-1)
	}
	if err == nil && last[0] != '\n' {
		_, err = file.Write([]byte{'\n'})
	}
	return err
}

// Close closes the file.
func (o *Outbox) Close() error { return o.file.Close() }

// sending is noted before the command leaves. If we crash here, the outbox knows a
// command that nobody has seen: nothing follows from that.
func (o *Outbox) sending(signed *risk.Signed) error {
	if o == nil {
		return nil
	}
	if err := o.write(OutboxLine{Command: signed.ID().String()}); err != nil {
		return err
	}
	// What was sent and is not here would look like the work of a thief.
	if err := o.file.Sync(); err != nil {
		return fmt.Errorf("outbox: %w; nothing is sent that could not be noted", err)
	}
	return nil
}

// heard notes an answer.
func (o *Outbox) heard(signed *risk.Signed, receipt *apiv1.Receipt, failure error) error {
	if o == nil {
		return nil
	}
	line := OutboxLine{Command: signed.ID().String()}
	if receipt != nil {
		line.Promise, line.Result = string(receipt.Promise), receipt.Result
		if receipt.Recorded {
			line.Leaf = &receipt.Leaf
		}
	}
	for _, detail := range status.Convert(failure).Details() {
		if promised, ok := detail.(*apiv1.Promised); ok {
			line.Promise = string(promised.Promise)
		}
	}
	if line.Promise == "" && line.Result == "" {
		return nil
	}
	return o.write(line)
}

// write puts a line down with one call, so that lines of several processes do not
// mix.
func (o *Outbox) write(line OutboxLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := o.file.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("outbox: %w; nothing more is sent that could not be noted", err)
	}
	return nil
}

// maxOutboxLine is more than a promise needs.
const maxOutboxLine = 16 << 10

// Sent is all that an outbox says of one command.
type Sent struct {
	Promises []string
	Leaf     *uint64 // where it was said to stand
}

// ReadOutbox gives what the file says, by command. A line that is cut off, by a crash
// or a full disk, is left out: what it would have named was not sent. A file of nothing
// else is no outbox.
func ReadOutbox(in io.Reader) (map[risk.Hash]*Sent, error) {
	sent, skipped := map[risk.Hash]*Sent{}, 0
	lines := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if skipped > 0 && len(sent) == 0 {
				return nil, fmt.Errorf("outbox: none of its %d lines is one; name the file in which this institution's programs note what they send", skipped)
			}
			return sent, nil
		}
		if err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		if len(text) > maxOutboxLine {
			return nil, fmt.Errorf("outbox: line %d has %d bytes; at most %d are written", n, len(text), maxOutboxLine)
		}
		var line OutboxLine
		if err := json.Unmarshal(text, &line); err != nil {
			skipped++
			continue
		}
		id, err := hex.DecodeString(line.Command)
		if err != nil || len(id) != len(risk.Hash{}) {
			return nil, fmt.Errorf("outbox: line %d: command: %q is not an id", n, line.Command)
		}
		one := sent[risk.Hash(id)]
		if one == nil {
			one = &Sent{}
			sent[risk.Hash(id)] = one
		}
		one.take(&line)
	}
}

func (s *Sent) take(line *OutboxLine) {
	if line.Promise != "" {
		s.Promises = append(s.Promises, line.Promise)
	}
	if line.Leaf != nil {
		s.Leaf = line.Leaf
	}
}
