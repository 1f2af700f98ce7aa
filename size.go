package pocketdock

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes as people write it: "256m", "1g", "1.5GiB",
// "4096". The units k, m, g, t (also kb, kib and so on, in any case) are powers
// of 1024, as container engines have them. Signs and spaces inside are errors.
func ParseSize(s string) (int64, error) {
	num := strings.TrimRight(s, "bBiIkKmMgGtT")
	unit := strings.ToLower(s[len(num):])
	shift, ok := map[string]int{
		"": 0, "b": 0,
		"k": 10, "kb": 10, "kib": 10,
		"m": 20, "mb": 20, "mib": 20,
		"g": 30, "gb": 30, "gib": 30,
		"t": 40, "tb": 40, "tib": 40,
	}[unit]
	if !ok || num == "" || strings.Trim(num, "0123456789.") != "" || strings.HasPrefix(num, ".") || strings.HasSuffix(num, ".") {
		return 0, invalidf("size %q: write a number and a unit, such as 512m or 2g", s)
	}
	if n, err := strconv.ParseInt(num, 10, 64); err == nil {
		if n > math.MaxInt64>>shift {
			return 0, invalidf("size %q is too large", s)
		}
		return n << shift, nil
	}
	f, err := strconv.ParseFloat(num, 64)
	if err != nil || f*float64(int64(1)<<shift) >= math.MaxInt64 {
		return 0, invalidf("size %q: not a number that fits", s)
	}
	return int64(f * float64(int64(1)<<shift)), nil
}

// FormatSize writes a number of bytes for people: "0 B", "512 B", "1.5 MiB".
func FormatSize(n int64) string {
	if n < 0 {
		return "-" + FormatSize(-max(n, -math.MaxInt64))
	}
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, units := float64(n)/1024, "KMGTPE"
	i := 0
	for v >= 1023.95 && i < len(units)-1 {
		v /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
