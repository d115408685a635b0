package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
)

func formatOf(cmd *cobra.Command) (string, error) {
	format, _ := cmd.Flags().GetString("output")
	switch format {
	case "human", "json", "ndjson":
		return format, nil
	}
	return "", usagef("output: %q is not known; use human, json or ndjson", format)
}

// emit prints a result: for people as the function writes it, for programs as
// one document, or each element of a list on a line.
func emit(cmd *cobra.Command, value any, human func(io.Writer)) error {
	format, err := formatOf(cmd)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	list := reflect.ValueOf(value)
	switch {
	case format == "human":
		human(out)
	case format == "ndjson" && list.Kind() == reflect.Slice:
		for i := range list.Len() {
			err = errors.Join(err, encoder.Encode(list.Index(i).Interface()))
		}
	default:
		err = encoder.Encode(value)
	}
	return errors.Join(err, out.Flush())
}

// note tells a person something that is not the result.
func note(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}

// rows prints a table for people.
func rows(w io.Writer, header table.Row, lines []table.Row) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(header)
	t.AppendRows(lines)
	fmt.Fprintln(w, t.Render())
}

// paint colours a word for a terminal, unless NO_COLOR is set.
func paint(word string) string {
	colour := text.FgYellow
	switch word {
	case "allow", "observe", "leader", "active":
		colour = text.FgGreen
	case "deny", "hold_funds", "down":
		colour = text.FgRed
	}
	if os.Getenv("NO_COLOR") != "" || !isTerminal(os.Stdout) {
		return word
	}
	return colour.Sprint(word)
}

func isTerminal(f *os.File) bool { return isatty.IsTerminal(f.Fd()) }

// confirm asks before something that others will feel.
func confirm(cmd *cobra.Command, yes bool, format string, args ...any) error {
	if yes {
		return nil
	}
	question := fmt.Sprintf(format, args...)
	if !isTerminal(os.Stdin) {
		return usagef("yes: is missing; add --yes where nobody can be asked: %s", question)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	typed := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		typed <- line
	}()
	answer := ""
	select {
	case answer = <-typed:
	case <-cmd.Context().Done():
		return cmd.Context().Err()
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("given up: nothing was done")
	}
	return nil
}

// moment prints milliseconds since the Unix epoch; none is empty.
func moment(millis int64) string { return apiv1.Moment(millis) }

// many writes a number with separators: 120,430.
func many[N ~int | ~int64 | ~uint64](n N) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// counted writes a number with its noun: 1 rule, 23 rules.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return many(n) + " " + noun
}
