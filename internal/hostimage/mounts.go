package hostimage

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Below are the places below directories where something else is mounted, in
// the order of their depth, read from a process's mountinfo (proc(5)). A
// read-only mount of a directory does not make what is mounted below it
// read-only: that has to be mounted anew.
func Below(mountinfo io.Reader, dirs []string) ([]string, error) {
	var found []string
	s := bufio.NewScanner(mountinfo)
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) < 5 {
			continue
		}
		at := unescape(f[4])
		for _, d := range dirs {
			if strings.HasPrefix(at, d+"/") && !slices.Contains(found, at) {
				found = append(found, at)
			}
		}
	}
	slices.SortFunc(found, func(a, b string) int {
		if n := strings.Count(a, "/") - strings.Count(b, "/"); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	return found, s.Err()
}

// unescape reads the kernel's octal escapes of space, tab, newline and
// backslash.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
