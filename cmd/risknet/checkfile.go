package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode"

	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

type answerJSON struct {
	Line     int                  `json:"line"`
	Advice   string               `json:"advice"`
	Listed   bool                 `json:"listed"`
	Reasons  []apiv1.AnswerReason `json:"reasons"`
	Enforced *bool                `json:"enforced,omitempty"` // false while the institution is not live
}

type faultJSON struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

// checkFile answers every record of a file, in its order. The answers are data
// for a program whatever the output format: one array with json, else one object
// a line.
func checkFile(cmd *cobra.Command, c *client.Client, o checkOptions) error {
	if o.question.Explain {
		return usagef("explain: is for one check; ask about the row that you mean with --subject")
	}
	file, size, _, err := openInput(cmd, o.file)
	if err != nil {
		return err
	}
	defer file.Close()
	m := newMeter(cmd, "check", size)
	defer m.end()
	lines, err := o.rows(bufio.NewReader(m.read(file)))
	if err != nil {
		return err
	}
	noteUnused(cmd, lines)
	out := &answerWriter{rows: newRowWriter(cmd)}
	checker := &client.Checker{Client: c, Template: o.question, Progress: m.done, Answer: out.answer}
	answered, err := checker.Run(cmd.Context(), lines)
	m.end()
	if err := out.rows.end(err); err != nil {
		return err
	}
	return out.verdict(answered)
}

// rows begins to read a file of checks.
func (o *checkOptions) rows(in *bufio.Reader) (*client.RowReader, error) {
	options, err := rowOptions(guessFormat(*o, in), o.columns)
	if err != nil {
		return nil, err
	}
	options.Identity = o.kind
	if options.Format == client.FormatValues || options.Format == client.FormatIPsum {
		if _, err := parseKind(o.kind); err != nil {
			return nil, err
		}
	}
	lines, err := client.NewRowReader(in, client.QuestionRows(options))
	if err != nil {
		return nil, usageError{err.Error()}
	}
	return lines, nil
}

// answerWriter prints answers and counts rows that could not be asked.
type answerWriter struct {
	rows   *rowWriter
	faults int
}

func (w *answerWriter) answer(a client.Answer) error {
	if a.Error != "" {
		w.faults++
		return w.rows.row(faultJSON{a.Line, a.Error})
	}
	return w.rows.row(answerJSON{a.Line, a.Response.Advice, a.Response.Listed, apiv1.ReasonsOf(a.Response.Reasons), a.Response.Enforced()})
}

func (w *answerWriter) verdict(answered int) error {
	if w.faults > 0 {
		return fmt.Errorf("file: %s of %s rows could not be asked; their error says why", many(w.faults), many(answered))
	}
	return nil
}

// guessFormat looks at the flags and the first character.
func guessFormat(o checkOptions, in *bufio.Reader) string {
	if o.format != "" {
		return o.format
	}
	for n := 1; n <= 64; n++ {
		head, err := in.Peek(n)
		if err != nil {
			break
		}
		if first := head[n-1]; first == '{' {
			return string(client.FormatNDJSON)
		} else if first < 0x80 && !unicode.IsSpace(rune(first)) {
			break
		}
	}
	if o.kind != "" && len(o.columns) == 0 {
		return string(client.FormatValues)
	}
	return string(client.FormatCSV)
}

// rowWriter prints many objects: as one array with -o json, else one a line.
type rowWriter struct {
	out     *bufio.Writer
	encoder *json.Encoder
	array   bool
	count   int
}

func newRowWriter(cmd *cobra.Command) *rowWriter {
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
	w := &rowWriter{out: out, encoder: json.NewEncoder(out)}
	w.encoder.SetEscapeHTML(false)
	format, _ := formatOf(cmd)
	w.array = format == "json"
	return w
}

func (w *rowWriter) row(value any) error {
	w.count++
	if w.array {
		separator := ","
		if w.count == 1 {
			separator = "["
		}
		if _, err := io.WriteString(w.out, separator); err != nil {
			return err
		}
	}
	return w.encoder.Encode(value)
}

// end closes the array, so that even a broken-off run leaves a whole document.
func (w *rowWriter) end(err error) error {
	if w.array {
		if w.count == 0 {
			_, _ = io.WriteString(w.out, "[")
		}
		_, _ = io.WriteString(w.out, "]\n")
	}
	if flushed := w.out.Flush(); flushed != nil && err == nil {
		err = errors.New("output: cannot be written: " + flushed.Error())
	}
	return err
}

// flush shows what was printed so far, to somebody who waits for more.
func (w *rowWriter) flush(now bool) error {
	if !now {
		return nil
	}
	return w.out.Flush()
}
