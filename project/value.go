package project

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pocketdock/pocketdock"
	"github.com/pocketdock/pocketdock/internal/pattern"
)

// A value is a setting's, in the field of its kind.
type value struct {
	text     string
	flag     bool
	count    int
	size     int64
	duration time.Duration
}

// maxText bounds a setting's text, in bytes: the longest is a path.
const maxText = 4096

// A duration is written as Go has it, without signs: "90s", "1h30m".
var durationText = pattern.New(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`)

// parse reads a value as people write it. Errors say how to write one and do
// not name the key.
func (f *field) parse(s string) (value, error) {
	v := value{text: s}
	switch f.kind {
	case text:
		if len(s) > maxText || strings.ContainsFunc(s, unicode.IsControl) {
			return v, fmt.Errorf("%s: must be a line of at most %d bytes", quote(s), maxText)
		}
		if len(f.words) > 0 && !contains(f.words, s) {
			return v, fmt.Errorf("%s: must be one of %s%s", quote(s), strings.Join(f.words, ", "), didYouMean(s, f.words))
		}
	case flag:
		if s != "true" && s != "false" {
			return v, fmt.Errorf("%s: must be true or false", quote(s))
		}
		v.flag = s == "true"
	case count:
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil || s != strconv.FormatUint(n, 10) {
			return v, fmt.Errorf("%s: must be a whole number from 0 to %d", quote(s), math.MaxInt32)
		}
		v.count = int(n)
	case size:
		n, err := pocketdock.ParseSize(s)
		if err != nil {
			return v, fmt.Errorf("%s: write a number and a unit, such as 512m or 2g", quote(s))
		}
		if n > 0 && n < minLog {
			return v, fmt.Errorf("%s: must be 0 for no limit, or at least %s", quote(s), "64k")
		}
		v.size = n
	case duration:
		if s == "0" {
			break
		}
		d, err := time.ParseDuration(s)
		if err != nil || !durationText.MatchString(s) {
			return v, fmt.Errorf("%s: write a number and a unit, such as 90s, 30m or 1h30m, or 0 for none", quote(s))
		}
		v.duration = d
	}
	return v, nil
}

func contains(list []string, s string) bool {
	for _, w := range list {
		if w == s {
			return true
		}
	}
	return false
}

// quote shows somebody's text in a message: one line, no control characters,
// not long.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.QuoteToGraphic(s)
}

// didYouMean is the hint at the nearest of the names, or nothing when none is
// near.
func didYouMean(s string, names []string) string {
	best, at := 1+max(2, len(s)/3), ""
	if len(s) > 64 {
		return ""
	}
	for _, n := range names {
		d := distance(strings.ToLower(s), n)
		if len(n) > 2 && strings.HasPrefix(s, n) {
			d = 1 // warning for warn
		}
		if d < best {
			best, at = d, n
		}
	}
	if at == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", at)
}

// distance is how many bytes must be inserted, deleted, replaced or swapped
// with their neighbour to make a of b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
