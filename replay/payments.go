package replay

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Payment is one labelled payment.
type Payment struct {
	At       int64  // milliseconds since the Unix epoch
	Customer uint32 // whose institution is this number modulo how many there are
	Terminal uint32
	Amount   int64 // minor units
	Fraud    bool
	Scenario uint8 // how the fraud was done; 0 for none
}

// Fields of a payment, and the columns where the Fraud Detection Handbook has them.
var columns = map[string]string{"time": "tx_datetime", "customer": "customer_id", "terminal": "terminal_id",
	"amount": "tx_amount", "fraud": "tx_fraud", "scenario": "tx_fraud_scenario"}

// Columns gives the fields and the columns where they are looked for.
func Columns() map[string]string {
	all := make(map[string]string, len(columns))
	for field, column := range columns {
		all[field] = column
	}
	return all
}

// ReadFiles reads CSV files with a header, gzipped or not (- is stdin), and puts the payments in
// the order of their times. Named gives other columns than the usual ones, by field.
func ReadFiles(paths []string, named map[string]string) ([]Payment, error) {
	var all []Payment
	for _, path := range paths {
		file := os.Stdin
		if path != "-" {
			var err error
			if file, err = os.Open(path); err != nil {
				return nil, err
			}
		}
		var err error
		all, err = read(all, file, named)
		if err = errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	slices.SortStableFunc(all, func(a, b Payment) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		}
		return 0
	})
	return all, nil
}

// Read reads one CSV file.
func Read(in io.Reader, named map[string]string) ([]Payment, error) { return read(nil, in, named) }

func read(dst []Payment, in io.Reader, named map[string]string) ([]Payment, error) {
	buffered := bufio.NewReaderSize(in, 1<<20)
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return dst, err
		}
		buffered = bufio.NewReaderSize(unzipped, 1<<20)
	}
	rows := csv.NewReader(buffered)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return dst, fmt.Errorf("header: %w", err)
	}
	at, err := places(header, named)
	if err != nil {
		return dst, err
	}
	name := strings.Clone(header[at["time"]])
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
		if row[at["time"]] == name {
			continue // files were put together, headers and all
		}
		p, err := payment(row, at)
		if err != nil {
			line, _ := rows.FieldPos(0)
			return dst, fmt.Errorf("line %d: %w", line, err)
		}
		dst = append(dst, p)
	}
}

// places finds the column of each field.
func places(header []string, named map[string]string) (map[string]int, error) {
	at := map[string]int{}
	for field, column := range columns {
		if other := named[field]; other != "" {
			column = other
		}
		at[field] = slices.Index(header, column)
		if at[field] < 0 && (field != "scenario" || named[field] != "") {
			return nil, fmt.Errorf("header: has no column %q for the %s; name it with --column %s=NAME", column, field, field)
		}
	}
	for field := range named {
		if _, known := columns[field]; !known {
			return nil, fmt.Errorf("column: %q is no field of a payment; there are time, customer, terminal, amount, fraud and scenario", field)
		}
	}
	return at, nil
}

func payment(row []string, at map[string]int) (p Payment, err error) {
	if p.At, err = moment(row[at["time"]]); err != nil {
		return p, err
	}
	if p.Customer, err = number("customer", row[at["customer"]]); err != nil {
		return p, err
	}
	if p.Terminal, err = number("terminal", row[at["terminal"]]); err != nil {
		return p, err
	}
	amount, err := strconv.ParseFloat(row[at["amount"]], 64)
	if err != nil || amount < 0 || amount > 1e12 {
		return p, fmt.Errorf("amount: %q is not one, such as 57.16", row[at["amount"]])
	}
	p.Amount = int64(math.Round(amount * 100))
	switch row[at["fraud"]] {
	case "0", "false":
	case "1", "true":
		p.Fraud = true
	default:
		return p, fmt.Errorf("fraud: %q is neither 0 nor 1", row[at["fraud"]])
	}
	if i := at["scenario"]; i >= 0 && strings.TrimSpace(row[i]) != "" {
		n, err := strconv.ParseUint(strings.TrimSpace(row[i]), 10, 8)
		if err != nil {
			return p, fmt.Errorf("scenario: %q is not a number from 0 to 255", row[i])
		}
		p.Scenario = uint8(n)
	}
	return p, nil
}

func number(field, text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a whole number; institutions are assigned by the customer's number", field, text)
	}
	return uint32(n), nil
}

// layouts of a time without a zone are taken as UTC.
var layouts = []string{"2006-01-02T15:04:05", time.DateTime, time.RFC3339}

func moment(text string) (int64, error) {
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("time: %q is not one, such as 2018-04-01T00:00:31", text)
}
