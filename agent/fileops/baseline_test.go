//go:build linux

package fileops

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// baseline takes note of a tree.
func baseline(t testing.TB, top string) *Baseline {
	t.Helper()
	b, err := baselineOf(&places{trees: []string{top}}, time.Now().Add(time.Minute))
	must0(t, err)
	return b
}

// TestRestore: what can be undone is, and all else is found.
func TestRestore(t *testing.T) {
	outside := t.TempDir() + "/outside"
	must0(t, os.WriteFile(outside, []byte("x"), 0o600))
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, top string)
		why    string // empty: it is restored
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"new", func(t *testing.T, top string) {
			must0(t, os.MkdirAll(top+"/sub/new/deep", 0o700))
			must0(t, os.WriteFile(top+"/sub/new/deep/\xff\n", nil, 0))
			must0(t, os.Symlink(outside, top+"/sub/link"))
			must0(t, os.Symlink(outside, top+"/sub/empty/link"))
			must0(t, unix.Mkfifo(top+"/sub/pipe", 0o600))
			must0(t, os.Chmod(top+"/sub/new", 0))
		}, ""},
		{"many", func(t *testing.T, top string) {
			for i := range 5000 {
				must0(t, os.WriteFile(fmt.Sprint(top, "/sub/", i), nil, 0o600))
			}
		}, ""},
		{"directories", func(t *testing.T, top string) {
			must0(t, os.Chmod(top+"/sub", 0o700))
			must0(t, os.Chown(top+"/sub", 5, 6))
			must0(t, os.Chtimes(top+"/closed", time.Unix(1, 0), time.Unix(2, 0)))
			must0(t, os.Chmod(top, 0o2755))
		}, ""},
		{"an empty directory anew", func(t *testing.T, top string) {
			must0(t, os.Remove(top+"/sub/empty"))
			must0(t, os.Mkdir(top+"/sub/empty", 0o700))
		}, ""},
		{"content", func(t *testing.T, top string) { must0(t, os.WriteFile(top+"/sub/readonly", []byte("y"), 0)) }, "/sub/readonly"},
		{"content, with its times", func(t *testing.T, top string) {
			st := statOf(t, top+"/sub/block")
			must0(t, os.WriteFile(top+"/sub/block", make([]byte, st.Size), 0))
			must0(t, unix.UtimesNanoAt(unix.AT_FDCWD, top+"/sub/block", []unix.Timespec{st.Atim, st.Mtim}, 0))
		}, "/sub/block"},
		{"a mode", func(t *testing.T, top string) { must0(t, os.Chmod(top+"/sub/readonly", 0o600)) }, "/sub/readonly"},
		{"removed", func(t *testing.T, top string) { must0(t, os.Remove(top+"/sub/none")) }, "/sub/"},
		{"moved and back", func(t *testing.T, top string) {
			must0(t, os.Rename(top+"/sub/readonly", top+"/x"))
			must0(t, os.Rename(top+"/x", top+"/sub/readonly"))
		}, "/sub/readonly"},
		{"a link for a file", func(t *testing.T, top string) {
			must0(t, os.Remove(top+"/sub/readonly"))
			must0(t, os.Symlink(outside, top+"/sub/readonly"))
		}, "/sub/readonly"},
		{"a link for a directory", func(t *testing.T, top string) {
			must0(t, os.Remove(top+"/sub/empty"))
			must0(t, os.Symlink(t.TempDir(), top+"/sub/empty"))
		}, "/sub/empty"},
		{"a directory for a file", func(t *testing.T, top string) {
			must0(t, os.Remove(top+"/sub/readonly"))
			must0(t, os.Mkdir(top+"/sub/readonly", 0o755))
		}, "/sub/readonly"},
		{"another link", func(t *testing.T, top string) {
			must0(t, os.Remove(top+"/todir"))
			must0(t, os.Symlink("sub", top+"/todir"))
		}, "/todir"},
		{"one more name", func(t *testing.T, top string) { must0(t, os.Link(top+"/sub/readonly", top+"/sub/more")) }, "/sub/readonly"},
		{"an attribute of a directory", func(t *testing.T, top string) {
			must0(t, unix.Setxattr(top+"/sub", "user.note", []byte("x"), 0))
		}, "/sub/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			makeTree(t, top)
			want := treeOf(t, top)
			b := baseline(t, top)
			tt.change(t, top)
			_, err := b.Restore(time.Now().Add(time.Minute))
			if tt.why != "" {
				if err == nil || !strings.Contains(err.Error(), top+tt.why) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if bad := compareTrees(want, treeOf(t, top)); bad != "" {
				t.Error(bad)
			}
			if removed, err := b.Restore(time.Now().Add(time.Minute)); err != nil || removed != 0 {
				t.Errorf("again: %d removed, %v", removed, err)
			}
		})
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "x" {
		t.Errorf("outside: %q, %v", b, err)
	}
}

// TestRestoreMapped: on tmpfs a write through a mapping changes no time.
func TestRestoreMapped(t *testing.T) {
	top, err := os.MkdirTemp("/dev/shm", "baseline")
	must0(t, err)
	t.Cleanup(func() { os.RemoveAll(top) })
	must0(t, os.WriteFile(top+"/f", make([]byte, 4096), 0o600))
	b := baseline(t, top)
	f, err := os.OpenFile(top+"/f", os.O_RDWR, 0)
	must0(t, err)
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must0(t, err)
	m[100] = 'x'
	must0(t, unix.Munmap(m))
	if _, err := b.Restore(time.Now().Add(time.Minute)); err == nil {
		t.Error("not noticed")
	}
}

// TestRestoreGivesUp when its time is over.
func TestRestoreGivesUp(t *testing.T) {
	top := t.TempDir()
	makeTree(t, top)
	b := baseline(t, top)
	must0(t, os.MkdirAll(top+"/sub/"+strings.Repeat("d/", 200), 0o755))
	if _, err := b.Restore(time.Now().Add(-time.Second)); err == nil {
		t.Error("no error")
	}
}

// TestMounts sorts mounts as engines make them.
func TestMounts(t *testing.T) {
	const text = `196 166 0:58 / / rw,relatime master:85 - overlay overlay rw,lowerdir=/a:/b,upperdir=/c
197 196 0:66 / /proc rw,nosuid - proc proc rw
198 196 0:67 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
199 198 0:68 / /dev/pts rw,nosuid - devpts devpts rw,gid=5
200 196 0:69 / /sys ro,nosuid - sysfs sysfs ro
201 200 0:70 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755
202 201 0:29 /docker/76c8 /sys/fs/cgroup/cpu ro,nosuid master:6 - cgroup cgroup rw,cpu
213 196 0:72 / /dev/shm rw,nosuid - tmpfs shm rw
214 196 254:0 /agent /.pocketdock/agent ro,relatime - ext4 /dev/vda rw
215 196 254:0 /io /.pocketdock/io rw,relatime - ext4 /dev/vda rw
`
	have := func(text string) (*places, error) {
		mounts, err := parseMounts([]byte(text))
		must0(t, err)
		return choose(mounts, "/.pocketdock/io")
	}
	p, err := have(text)
	must0(t, err)
	slices.Sort(p.trees)
	if !slices.Equal(p.trees, []string{"/", "/dev", "/dev/shm", "/sys/fs/cgroup"}) || !slices.Equal(p.files, []string{"/dev/pts/ptmx"}) {
		t.Errorf("%+v", p)
	}
	for _, more := range []string{
		"216 196 254:0 /data /tmp rw,relatime - ext4 /dev/vda rw",     // somebody's directory
		"216 196 0:90 / /dev/shm rw - tmpfs tmpfs rw",                 // perhaps the host's
		"216 196 0:91 / / rw - ext4 /dev/vda rw",                      // no container's root
		"216 196 0:92 / /sys/fs/cgroup rw - cgroup2 cgroup rw",        // holds limits
		"216 196 0:93 / / rw - fuse.fuse-overlayfs fuse-overlayfs rw", // times that were not looked at
	} {
		if p, err := have(text + more + "\n"); err == nil {
			t.Errorf("%s: %+v", more, p)
		}
	}
	if _, err := choose([]mount{{point: "/", root: "/", fstype: "overlay", writable: true}}, "/.pocketdock/io"); err == nil {
		t.Error("outside of a container of ours")
	}
	if got := unescape(`/with\040space\134and\0`); got != `/with space\and\0` {
		t.Errorf("%q", got)
	}
}
