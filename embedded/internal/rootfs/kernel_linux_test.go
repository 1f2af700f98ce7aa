package rootfs

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// otherReaders is an image with everything that is laid out in a way of its own.
func otherReaders(t *testing.T) string {
	entries := []string{"small=1", "link>small", "page=" + strings.Repeat("p", 4096), "more=" + strings.Repeat("m", 9000), "empty=",
		"long@" + strings.Repeat("t/", 2040), "short@x", "d/e/f/g/", "+before-dot=1"}
	for n := range 3000 { // several blocks of entries
		entries = append(entries, fmt.Sprintf("many/%s%d=%d", strings.Repeat("n", n%200), n, n))
	}
	for n := range 130 { // around the size of a block, with what is inline
		entries = append(entries, fmt.Sprintf("edge%d/%s%s=", n, strings.Repeat("a", 200), strings.Repeat("b", n%50)))
		for i := range 18 {
			entries = append(entries, fmt.Sprintf("edge%d/%d%s=", n, i, strings.Repeat("c", 190+n/13)))
		}
		entries = append(entries, fmt.Sprintf("link%d@%s", n, strings.Repeat("l", 3966+n)))
	}
	file, err := build(t, layer(t, entries...))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestOtherReaders: gVisor, Linux and the file system's own checker read
// directories and links of every size.
func TestOtherReaders(t *testing.T) {
	file := otherReaders(t)
	list := read(t, file)
	if len(list) != 5744 {
		t.Errorf("%d files", len(list))
	}
	t.Run("fsck", func(t *testing.T) {
		fsck, err := exec.LookPath("fsck.erofs")
		if err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal("no fsck.erofs: scripts/engines tools installs it")
			}
			t.Skip("no fsck.erofs; apt install erofs-utils")
		}
		if out, err := exec.Command(fsck, "--extract", file).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("linux", func(t *testing.T) { compareMounted(t, file, list) })
}

// compareMounted mounts an image and compares it with what gVisor sees.
func compareMounted(t *testing.T, file string, want map[string]string) {
	if os.Getuid() != 0 {
		t.Skip("only root may mount")
	}
	at, seen := t.TempDir(), 0
	if out, err := exec.Command("mount", "-t", "erofs", "-o", "loop,ro", file, at).CombinedOutput(); err != nil {
		t.Skipf("this machine cannot mount EROFS: %v: %s", err, out)
	}
	defer func() {
		if err := syscall.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	}()
	err := filepath.WalkDir(at, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return err
		}
		rel := "/" + strings.TrimPrefix(strings.TrimPrefix(name, at), "/")
		line := fmt.Sprintf("%o %d:%d %d.%d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch d.Type() {
		case 0:
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if line += fmt.Sprintf(" %d bytes", len(b)); len(b) < 100 {
				line = strings.TrimSuffix(line, fmt.Sprintf(" %d bytes", len(b))) + fmt.Sprintf(" %q", b)
			}
			if st.Nlink > 1 {
				line += fmt.Sprintf(" %d links", st.Nlink)
			}
		case fs.ModeSymlink:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		seen++
		if first, ok := strings.CutPrefix(want[rel], "= "); ok {
			a, err := os.Lstat(filepath.Join(at, first))
			if b, err2 := os.Lstat(name); err != nil || err2 != nil || !os.SameFile(a, b) {
				t.Errorf("%s: not the same file as %s", rel, first)
			}
		} else if want[rel] != line {
			t.Errorf("%s: Linux sees %.100s, gVisor %.100s", rel, line, want[rel])
		}
		return nil
	})
	if err != nil || seen != len(want) {
		t.Errorf("%d of %d files; %v", seen, len(want), err)
	}
}
