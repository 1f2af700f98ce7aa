//go:build linux

package fileops

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// A mount is one line of mountinfo, see proc(5).
type mount struct {
	point, root    string
	fstype, source string
	writable       bool
}

const (
	mountFile = "/proc/self/mountinfo"
	// maxMounts bounds what is read of it, in bytes.
	maxMounts = 1 << 20
)

// readMounts reads the mounts of this process, and returns the text too.
func readMounts() ([]mount, []byte, error) {
	fd, err := openAt(unix.AT_FDCWD, mountFile, unix.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer closeFD(fd)
	var text []byte
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if n == 0 {
			break
		}
		if text = append(text, buf[:n]...); len(text) > maxMounts {
			return nil, nil, fmt.Errorf("%s has more than %d bytes", mountFile, maxMounts)
		}
	}
	list, err := parseMounts(text)
	return list, text, err
}

func parseMounts(text []byte) ([]mount, error) {
	var list []mount
	for line := range bytes.Lines(text) {
		before, after, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 2 {
			return nil, fmt.Errorf("%s: no mount: %q", mountFile, line)
		}
		super := "rw"
		if len(g) > 2 {
			super = g[2]
		}
		list = append(list, mount{
			root: unescape(f[3]), point: unescape(f[4]), fstype: g[0], source: unescape(g[1]),
			writable: firstOption(f[5]) != "ro" && firstOption(super) != "ro",
		})
	}
	return list, nil
}

// firstOption is "ro" or "rw".
func firstOption(options string) string {
	first, _, _ := strings.Cut(options, ",")
	return first
}

// unescape undoes the octal escapes of space, tab, newline and backslash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1]) && isOctal(s[i+2]) && isOctal(s[i+3]) {
			b = append(b, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }

// places are what of a sandbox's file systems can be written to, and is the
// sandbox's alone.
type places struct {
	trees   []string        // mount points, each a tree up to the next mount
	files   []string        // files that are mounted, and /dev/pts/ptmx
	mounted map[string]bool // every mount point
}

// choose sorts mounts into places. own is the agent's directory, which has to
// be a mount: it is, in a container of ours. What may be shared with somebody
// else cannot be reset and is an error.
func choose(mounts []mount, own string) (*places, error) {
	p := &places{mounted: map[string]bool{}}
	last := map[string]mount{} // what is on top counts
	for _, m := range mounts {
		last[m.point] = m
		p.mounted[m.point] = true
	}
	if !p.mounted[own] || !p.mounted["/"] {
		return nil, fmt.Errorf("%s is not a mount of its own", own)
	}
	for point, m := range last {
		if err := p.add(point, m, own); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *places) add(point string, m mount, own string) error {
	switch {
	case point == own, !m.writable, m.fstype == "proc", m.fstype == "sysfs":
		return nil
	case m.fstype == "devpts":
		// Terminals go with their processes; this stays, and has a mode.
		p.files = append(p.files, point+"/ptmx")
		return nil
	}
	st, err := lstat(point)
	if err != nil {
		return fmt.Errorf("%s: %w", point, err)
	}
	whole := m.root == "/" // of its file system, and not a part of another's
	switch {
	case !isDir(st):
		if strings.HasPrefix(point, "/proc/") || strings.HasPrefix(point, "/sys/") {
			return nil // masked, or made up by the engine at each read
		}
		p.files = append(p.files, point)
	case point == "/" && whole && m.fstype == "overlay",
		point == "/dev/shm" && whole && m.fstype == "tmpfs" && m.source == "shm",
		point != "/dev/shm" && whole && m.fstype == "tmpfs" && m.source == "tmpfs",
		whole && m.fstype == "mqueue":
		p.trees = append(p.trees, point)
	default:
		return fmt.Errorf("%s (%s) is writable, and it cannot be told what others have in it", point, m.fstype)
	}
	return nil
}
