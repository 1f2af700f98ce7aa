//go:build linux && !noembedded

package sentry

import (
	"bytes"
	"io"
	"os"
	"strings"

	"gvisor.dev/gvisor/pkg/erofs"

	"github.com/pocketdock/pocketdock/internal/accounts"
)

// imageFile reads a small file of a root file system that is not mounted; one
// that is not there, or is no file, has nothing.
func imageFile(path, name string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	img, err := erofs.OpenImage(f)
	if err != nil {
		f.Close()
		return nil
	}
	defer img.Close()
	nid := img.RootNid()
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		dir, err := img.Inode(nid)
		if err != nil || !dir.IsDir() {
			return nil
		}
		if nid, err = dir.Lookup(part); err != nil {
			return nil
		}
	}
	n, err := img.Inode(nid)
	if err != nil || !n.IsRegular() || n.Size() > accounts.MaxFile {
		return nil
	}
	off, err := n.DataOffset()
	if err != nil {
		return nil
	}
	b, err := img.BytesAt(off, n.Size())
	if err != nil {
		return nil
	}
	return bytes.Clone(b)
}

// setUser makes the first process's user one of the image's.
func (w *watcher) setUser(user string) error {
	if user == "" {
		return nil
	}
	root := w.spec.Annotations["dev.gvisor.spec.rootfs.source"]
	u, err := accounts.Resolve(user, imageFile(root, "etc/passwd"), imageFile(root, "etc/group"))
	if err != nil {
		return err
	}
	p := &w.spec.Process.User
	p.UID, p.GID, p.AdditionalGids = u.UID, u.GID, u.Groups
	w.setHome(u)
	return nil
}

// setHome gives a process HOME, unless it has one.
func (w *watcher) setHome(u *accounts.User) {
	for _, kv := range w.spec.Process.Env {
		if strings.HasPrefix(kv, "HOME=") {
			return
		}
	}
	w.spec.Process.Env = append(w.spec.Process.Env, "HOME="+u.Home)
}

// runningUser is a user by the container's files as they are now.
func (w *watcher) runningUser(user string) (*accounts.User, error) {
	if user == "" {
		user = "0"
	}
	return accounts.Resolve(user, w.file("/etc/passwd"), w.file("/etc/group"))
}

// file reads a small file of the running container.
func (w *watcher) file(name string) []byte {
	r, p, err := os.Pipe()
	if err != nil {
		return nil
	}
	defer r.Close()
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(r, accounts.MaxFile))
		got <- b
	}()
	err = w.box.Sandbox.ReadFile(w.launch.ID, name, 0, accounts.MaxFile, p)
	p.Close()
	b := <-got
	if err != nil {
		return nil
	}
	return b
}
