// Package erofstest reads EROFS images in tests, by gVisor's own reader.
package erofstest

import (
	"fmt"
	"os"
	"path"
	"testing"

	"gvisor.dev/gvisor/pkg/erofs"
)

// List is what is in an image as gVisor sees it, by path: "MODE UID:GID MTIME",
// a link's target or a file's content, or its size from 100 bytes on. A
// further name of a file is "= /FIRST". It checks on the way that names are
// sorted and found, and that gVisor can map each file.
func List(t testing.TB, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	img, err := erofs.OpenImage(f)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	list := map[string]string{}
	numbers := map[uint64]string{}
	var walk func(name string, nid, parent uint64)
	walk = func(name string, nid, parent uint64) {
		n, err := img.Inode(nid)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		line := fmt.Sprintf("%o %d:%d %d.%d", n.Mode(), n.UID(), n.GID(), int64(n.Mtime()), n.MtimeNsec())
		if first, ok := numbers[nid]; ok {
			list[name] = "= " + first
			return
		}
		numbers[nid] = name
		switch {
		case n.IsDir():
			subdirs := uint32(0)
			last := ""
			err := n.IterDirents(func(base string, typ uint8, child uint64) error {
				if base <= last {
					return fmt.Errorf("%q after %q", base, last)
				}
				last = base
				if got, err := n.Lookup(base); err != nil || got != child {
					return fmt.Errorf("looking up %q: %d, %v; listed as %d", base, got, err, child)
				}
				switch base {
				case ".":
					if child != nid {
						return fmt.Errorf(". is %d", child)
					}
					return nil
				case "..":
					if child != parent {
						return fmt.Errorf(".. is %d, not %d", child, parent)
					}
					return nil
				}
				if typ == 2 {
					subdirs++
				}
				walk(path.Join(name, base), child, nid)
				return nil
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n.Nlink() != 2+subdirs {
				t.Fatalf("%s: %d links with %d directories in it", name, n.Nlink(), subdirs)
			}
		case n.IsSymlink():
			target, err := n.Readlink()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			line += " -> " + target
		case n.IsRegular():
			// A file that gVisor can map, and so run.
			if _, err := n.DataOffset(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			ranges, err := n.DataRanges()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if s := string(ranges[0].Bytes); len(s) < 100 {
				line += fmt.Sprintf(" %q", s)
			} else {
				line += fmt.Sprintf(" %d bytes", len(s))
			}
			if n.Nlink() > 1 {
				line += fmt.Sprintf(" %d links", n.Nlink())
			}
		}
		list[name] = line
	}
	walk("/", img.RootNid(), img.RootNid())
	return list
}
