package client

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads Go's durations (168h, 90m) and days (30d, 1.5d, 1d12h).
func ParseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, badDuration(text)
		}
		return d, nil
	}
	n, err := strconv.ParseFloat(days, 64)
	total := n * float64(24*time.Hour)
	if err != nil || math.IsNaN(total) || math.Abs(total) >= math.MaxInt64 || strings.ContainsAny(days, "xXpPeEiInN_") {
		return 0, badDuration(text)
	}
	d := time.Duration(total)
	if rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	sum := d + more
	if err != nil || more < 0 || d < 0 || sum < d {
		return 0, badDuration(text)
	}
	return sum, nil
}

func badDuration(text string) error {
	return fmt.Errorf("%q is not a duration; write 720h, 30d or 90m", text)
}

// ParseTime reads a time as milliseconds since the Unix epoch: RFC 3339, a date
// (midnight UTC), or such milliseconds as they are. Empty is zero.
func ParseTime(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil && t.UnixMilli() >= 0 {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("%q is not a time; write 2026-01-31, 2026-01-31T12:00:00+08:00 or milliseconds since 1970", text)
}

// parseUntil reads an end: a duration from now, or a time.
func parseUntil(text string, now time.Time) (int64, error) {
	if d, err := ParseDuration(text); err == nil {
		return now.Add(d).UnixMilli(), nil
	}
	if at, err := ParseTime(text); err == nil && text != "" {
		if at <= now.UnixMilli() {
			return 0, fmt.Errorf("%q is %s, which is past; write 720h, 30d or a day to come", text, time.UnixMilli(at).UTC().Format(time.DateOnly))
		}
		return at, nil
	}
	return 0, fmt.Errorf("%q is neither a duration nor a time; write 720h, 30d or 2026-12-31", text)
}
