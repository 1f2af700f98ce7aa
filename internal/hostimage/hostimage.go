// Package hostimage makes the image of the host profile: a few empty
// directories and a filtered copy of /etc, on which the host's own system
// directories are mounted. No build tool and no network is needed, and the
// same host makes the same bytes, so that an engine loads them once.
package hostimage

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// An Image is what one host's looks like.
type Image struct {
	ID   string // "sha256:…", the digest of its configuration
	Name string // repository and a tag made of the ID
	// Archive is the image as engines load it.
	Archive []byte
	// Mounts are the host's directories that belong over it, read-only, each
	// at its own path.
	Mounts []string
}

// system are the directories of programs and libraries. Where /usr is merged
// all but the first are links, and then links in the image, too.
var system = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// users has root, nobody and the sandbox's own, and nobody of the host.
const (
	passwd = "root:x:0:0:root:/root:/bin/sh\n" +
		"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" +
		"sandbox:x:1000:1000::/home/sandbox:%s\n"
	group = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\nsandbox:x:1000:\n"
	// nsswitch: the host's may ask services whose sockets are in /run.
	nsswitch = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nprotocols: files\nservices: files\n"
)

// Make makes the image of the host whose root directory is given ("/"; tests
// have others). arch is the processor as Go names it. labels go on the image.
func Make(root, arch, repo string, labels map[string]string) (*Image, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	l := &layer{w: tar.NewWriter(&b)}
	if err := l.host(r); err != nil {
		return nil, fmt.Errorf("image of this host: %w", err)
	}
	img := &Image{Mounts: l.mounts}
	return img, img.pack(b.Bytes(), arch, repo, labels)
}

// A base is what the host has of the system directories.
type base struct {
	dirs  []string    // to be mounted
	links [][2]string // where /usr is merged
	shell string
}

// look says what the host has.
func look(r *os.Root) (*base, error) {
	b := &base{shell: "/bin/sh"}
	for _, name := range system {
		fi, err := r.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) && name != "usr" {
			continue
		}
		if err != nil {
			return nil, err
		}
		switch {
		case fi.IsDir():
			b.dirs = append(b.dirs, "/"+name)
		case fi.Mode().Type() == fs.ModeSymlink:
			to, err := r.Readlink(name)
			if err != nil {
				return nil, err
			}
			b.links = append(b.links, [2]string{name, to})
		}
	}
	if fi, err := r.Stat("usr/bin/bash"); err == nil && fi.Mode().IsRegular() {
		b.shell = "/usr/bin/bash"
	} else if fi, err := r.Lstat("bin/bash"); err == nil && fi.Mode().IsRegular() {
		b.shell = "/bin/bash"
	}
	return b, nil
}

// host writes the file system, and says what is to be mounted over it.
func (l *layer) host(r *os.Root) error {
	b, err := look(r)
	if err != nil {
		return err
	}
	l.mounts = b.dirs
	for _, d := range b.dirs {
		l.dir(d[1:], 0o755)
	}
	for _, link := range b.links {
		l.link(link[0], link[1])
	}
	for _, d := range []string{"dev", "etc", "home", "mnt", "opt", "proc", "run", "srv", "sys", "var", "var/cache", "var/lib", "var/log"} {
		l.dir(d, 0o755)
	}
	l.dir("root", 0o700)
	l.dir("tmp", 0o1777)
	l.dir("var/tmp", 0o1777)
	l.link("var/run", "/run")
	l.entry(&tar.Header{Typeflag: tar.TypeDir, Name: "home/sandbox/", Mode: 0o755, Uid: 1000, Gid: 1000}, nil)
	l.file("etc/passwd", fmt.Appendf(nil, passwd, b.shell))
	l.file("etc/group", []byte(group))
	l.file("etc/nsswitch.conf", []byte(nsswitch))
	if err := l.etc(r); err != nil {
		return err
	}
	return errors.Join(l.err, l.w.Close())
}

// pack makes the archive that engines load: configuration, manifest, layer.
// https://github.com/moby/docker-image-spec/blob/main/v1.2.md
func (img *Image) pack(files []byte, arch, repo string, labels map[string]string) error {
	type object = map[string]any
	config, err := json.Marshal(object{
		"architecture": arch, "os": "linux", "created": "1970-01-01T00:00:00Z",
		"config": object{
			"User": "sandbox", "WorkingDir": "/home/sandbox", "Cmd": []string{"/bin/sh"}, "Labels": labels,
			"Env": []string{"PATH=/home/sandbox/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_CTYPE=C.UTF-8"}, // LANG would have every program read twelve files that say what is so anyway
		},
		"rootfs":  object{"type": "layers", "diff_ids": []string{"sha256:" + digest(files)}},
		"history": []object{{"created": "1970-01-01T00:00:00Z", "created_by": "pocketdock"}},
	})
	if err != nil {
		return err
	}
	id := digest(config)
	img.ID, img.Name = "sha256:"+id, repo+":"+id[:12]
	// The full name, as of an image that was pulled: Podman would call another localhost/….
	manifest, err := json.Marshal([]object{{"Config": id + ".json", "RepoTags": []string{"docker.io/" + img.Name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	a := &layer{w: tar.NewWriter(&b)}
	a.file(id+".json", config)
	a.file("manifest.json", manifest)
	a.file("layer.tar", files)
	if err := errors.Join(a.err, a.w.Close()); err != nil {
		return err
	}
	img.Archive = b.Bytes()
	return nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// A layer is a tar stream being written; its first error is kept.
type layer struct {
	w      *tar.Writer
	err    error
	bytes  int      // of files
	mounts []string // the host's directories that belong over it
}

func (l *layer) entry(h *tar.Header, data []byte) {
	if l.err != nil {
		return
	}
	h.Name, h.Size = path.Clean(h.Name), int64(len(data))
	if h.Typeflag == tar.TypeDir {
		h.Name += "/"
	}
	if l.err = l.w.WriteHeader(h); l.err == nil {
		_, l.err = l.w.Write(data)
	}
}

func (l *layer) dir(name string, mode int64) {
	l.entry(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}, nil)
}

func (l *layer) link(name, to string) {
	l.entry(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}, nil)
}

func (l *layer) file(name string, data []byte) {
	l.entry(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, data)
}
