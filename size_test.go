package pocketdock

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64 // -1: an error
	}{
		{"0", 0},
		{"4096", 4096},
		{"1b", 1},
		{"1k", 1 << 10},
		{"1KB", 1 << 10},
		{"1KiB", 1 << 10},
		{"256m", 256 << 20},
		{"256M", 256 << 20},
		{"1.5GiB", 3 << 29},
		{"0.5k", 512},
		{"2t", 2 << 40},
		{"007", 7},
		{"9223372036854775807", math.MaxInt64},
		{"8388607t", 8388607 << 40},
		{"8388608t", -1},
		{"9223372036854775808", -1},
		{"99999999999999999999999999", -1},
		{"9000000000.5g", -1},
		{"", -1},
		{"b", -1},
		{"m", -1},
		{"-1", -1},
		{"+1", -1},
		{" 1", -1},
		{"1 m", -1},
		{"1m ", -1},
		{"1e3", -1},
		{"0x10", -1},
		{"1_000", -1},
		{"1,5m", -1},
		{".5g", -1},
		{"5.g", -1},
		{"1..5g", -1},
		{"1.2.3", -1},
		{"1mm", -1},
		{"1ik", -1},
		{"1bk", -1},
		{"1p", -1},
		{"NaN", -1},
		{"inf", -1},
		{"١m", -1}, // a digit, and not one of ours
	} {
		got, err := ParseSize(tt.in)
		if tt.want < 0 {
			if !errors.Is(err, ErrInvalid) || got != 0 {
				t.Errorf("%q: %d, %v; want ErrInvalid", tt.in, got, err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: %d, %v; want %d", tt.in, got, err, tt.want)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for _, tt := range []struct {
		in   int64
		want string
	}{
		{0, "0 B"},
		{1, "1 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{1<<20 - 1, "1.0 MiB"}, // not "1024.0 KiB"
		{1 << 20, "1.0 MiB"},
		{256 << 20, "256.0 MiB"},
		{3 << 29, "1.5 GiB"},
		{math.MaxInt64, "8.0 EiB"},
		{-1, "-1 B"},
		{-1536, "-1.5 KiB"},
		{math.MinInt64, "-8.0 EiB"},
	} {
		if got := FormatSize(tt.in); got != tt.want {
			t.Errorf("%d: %q, want %q", tt.in, got, tt.want)
		}
	}
}

// FuzzParseSize: what is accepted is not negative, is no other number with
// another case, and is about what FormatSize writes of it.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1g", "1.5GiB", "4096", "-1", "9223372036854775807", "8388608t", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			if n != 0 || !errors.Is(err, ErrInvalid) {
				t.Fatalf("%q: %d, %v", s, n, err)
			}
			return
		}
		if n < 0 {
			t.Fatalf("%q is read as %d", s, n)
		}
		if upper, err := ParseSize(strings.ToUpper(s)); err != nil || upper != n {
			t.Fatalf("%q in upper case: %d, %v", s, upper, err)
		}
		written := strings.ReplaceAll(FormatSize(n), " ", "")
		if strings.HasSuffix(written, "EiB") {
			return // ParseSize stops at t
		}
		if strings.HasSuffix(written, "PiB") {
			return
		}
		back, err := ParseSize(written)
		if err != nil || math.Abs(float64(back-n)) > 0.051*float64(n) {
			t.Fatalf("%d is written %q and read back as %d, %v", n, written, back, err)
		}
	})
}
