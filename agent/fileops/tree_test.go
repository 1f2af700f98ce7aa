//go:build linux

package fileops

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// makeTree makes, as the user's, one of everything that a tree can hold.
func makeTree(t testing.TB, top string) {
	t.Helper()
	must0(t, os.MkdirAll(top+"/sub/empty", 0o755))
	for i, name := range awkward {
		must0(t, os.WriteFile(filepath.Join(top, name), bytes.Repeat([]byte{byte(i), 7}, i*1000), 0o644))
	}
	must0(t, os.WriteFile(top+"/sub/none", nil, 0o600))
	must0(t, os.WriteFile(top+"/sub/block", bytes.Repeat([]byte("b"), 512), 0o755))
	must0(t, os.WriteFile(top+"/sub/readonly", []byte("r"), 0o444))
	must0(t, os.WriteFile(top+"/sub/big", bytes.Repeat([]byte("0123456789abcde\n"), 200_001), 0o640))
	must0(t, os.Link(top+"/sub/big", top+"/sub/again"))
	must0(t, os.Link(top+"/plain", top+"/zlink"))
	must0(t, os.Symlink("/nowhere/\xff", top+"/absolute"))
	must0(t, os.Symlink("sub", top+"/todir"))
	must0(t, unix.Mkfifo(top+"/fifo", 0o620))
	sparse, err := os.Create(top + "/sparse")
	must0(t, err)
	_, err = sparse.WriteAt([]byte("middle"), 3<<20+17)
	must0(t, err)
	must0(t, sparse.Truncate(8<<20+5))
	must0(t, sparse.Close())
	must0(t, os.Mkdir(top+"/closed", 0o755))
	must0(t, os.WriteFile(top+"/closed/inside", []byte("i"), 0o644))

	n := int64(0)
	must0(t, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		must0(t, err)
		must0(t, os.Lchown(path, 1000, 1000))
		n++
		times := []unix.Timespec{{Sec: 5}, {Sec: 1_000_000_000 + n, Nsec: 1000*n + 1}}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW)
	}))
	must0(t, os.Chmod(top+"/sub/block", 0o751))
	must0(t, unix.Chmod(top+"/sub/block", 0o4751))
	must0(t, os.Chmod(top+"/closed", 0o555))
	must0(t, os.Chmod(top+"/sub/empty", 0o1777|os.ModeSticky))
	t.Cleanup(func() { os.Chmod(top+"/closed", 0o755) })
}

// treeOf describes a tree, one line for each file.
func treeOf(t testing.TB, top string) map[string]string {
	t.Helper()
	tree := make(map[string]string)
	inodes := make(map[uint64]string)
	must0(t, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		must0(t, err)
		rel, _ := filepath.Rel(top, path)
		st := statOf(t, path)
		line := fmt.Sprintf("mode %o owner %d:%d mtime %d", st.Mode, st.Uid, st.Gid, st.Mtim.Nano())
		switch {
		case isLink(st):
			target, err := os.Readlink(path)
			must0(t, err)
			line += fmt.Sprintf(" -> %q", target)
		case isRegular(st):
			line += fmt.Sprintf(" nlink %d content %x", st.Nlink, hashOf(t, path))
			if first, ok := inodes[st.Ino]; ok {
				line += fmt.Sprintf(" same as %q", first)
			}
			inodes[st.Ino] = rel
			if st.Size > 1<<20 {
				line += fmt.Sprintf(" sparse %v", st.Blocks*512 < st.Size/2)
			}
		}
		tree[rel] = line
		return nil
	}))
	return tree
}

func compareTrees(want, got map[string]string) string {
	for name, line := range want {
		if got[name] != line {
			return fmt.Sprintf("%q is\n%s, want\n%s", name, got[name], line)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			return fmt.Sprintf("%q was not there before", name)
		}
	}
	return ""
}

func hashOf(t testing.TB, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must0(t, err)
	return sha256.Sum256(b)
}
