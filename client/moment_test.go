package client_test

import (
	"testing"
	"time"

	"github.com/risknet/risknet/client"
)

func TestDurations(t *testing.T) {
	day := 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"168h": 168 * time.Hour, "30d": 30 * day, "1.5d": 36 * time.Hour, "1d12h": 36 * time.Hour,
		"-2d": -2 * day, "0": 0, "90m": 90 * time.Minute, "0.5d": 12 * time.Hour, "720h30m": 720*time.Hour + 30*time.Minute,
	} {
		if got, err := client.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "30", "1dd", "1d-2h", "-1d2h", "1w", "0x1d", "1e3d", "infd", "nand", "200000d", "106751d24h", "1 d", "1_0d"} {
		if got, err := client.ParseDuration(text); err == nil {
			t.Errorf("%q was taken for %v", text, got)
		}
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "1700000000000": 1_700_000_000_000, "2026-01-31": 1_769_817_600_000,
		"2026-01-31T08:00:00+08:00": 1_769_817_600_000, "1970-01-01": 0,
	} {
		if got, err := client.ParseTime(text); err != nil || got != want {
			t.Errorf("%q: %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "yesterday", "2026-02-30", "1969-12-31", "31.01.2026"} {
		if got, err := client.ParseTime(text); err == nil {
			t.Errorf("%q was taken for %d", text, got)
		}
	}
}

// FuzzDuration: what Go reads is read alike, and days are 24 hours.
func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"30d", "1.5d", "1d2h", "-3d", "9223372036854775807ns", "d", "1e9d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := client.ParseDuration(text)
		if want, goErr := time.ParseDuration(text); goErr == nil && (err != nil || got != want) {
			t.Fatalf("%q: %v (%v), Go reads %v", text, got, err, want)
		}
		if err == nil {
			if again, err := client.ParseDuration(got.String()); err != nil || again != got {
				t.Fatalf("%q: %v reads back as %v (%v)", text, got, again, err)
			}
		}
	})
}
