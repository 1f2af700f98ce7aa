//go:build linux

package fileops

import (
	"archive/tar"
	"os"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// Somebody inside who swaps a directory for a symbolic link all the time does
// not lead an operation of root's outside of its tree.
func TestSwappedDirectories(t *testing.T) {
	for name, operate := range map[string]func(dir string){
		"remove": func(dir string) { do(t, wire.OpRemove, wire.File{Path: at(dir, "tree"), Recursive: true}, root) },
		"chmod": func(dir string) {
			do(t, wire.OpChmod, wire.File{Path: at(dir, "tree"), Recursive: true, Mode: mode(0o700)}, root)
		},
		"chown": func(dir string) {
			do(t, wire.OpChown, wire.File{Path: at(dir, "tree"), Recursive: true, Owner: "12:12"}, root)
		},
		"tarin": func(dir string) {
			put(t, wire.OpTarIn, wire.File{Path: at(dir, "tree")}, root, tarOf(t,
				tarEntry{name: "d/", kind: tar.TypeDir, mode: 0o700},
				tarEntry{name: "d/a/", kind: tar.TypeDir, mode: 0o700},
				tarEntry{name: "d/a/f", content: []byte("evil")},
				tarEntry{name: "d/new", content: []byte("evil")},
				tarEntry{name: "d/h", link: "d/a/f", kind: tar.TypeLink},
			))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := workDir(t)
			outside := dir + "/outside"
			must0(t, os.MkdirAll(outside+"/a", 0o755))
			must0(t, os.WriteFile(outside+"/a/f", []byte("old"), 0o644))
			must0(t, os.Symlink(outside, dir+"/evil"))
			before := treeOf(t, outside)
			must0(t, os.MkdirAll(dir+"/tree/d/a", 0o755))
			must0(t, os.WriteFile(dir+"/tree/d/a/f", []byte("x"), 0o644))
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					default:
						unix.Renameat2(unix.AT_FDCWD, dir+"/tree/d", unix.AT_FDCWD, dir+"/evil", unix.RENAME_EXCHANGE)
					}
				}
			}()
			for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
				operate(dir)
				if _, err := os.Lstat(dir + "/tree"); err != nil {
					os.Mkdir(dir+"/tree", 0o755)
					os.Mkdir(dir+"/tree/d", 0o755)
				}
			}
			close(stop)
			<-stopped
			if diff := compareTrees(before, treeOf(t, outside)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
