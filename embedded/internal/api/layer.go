//go:build linux

package api

import (
	"archive/tar"
	"io"
	"path"
	"strings"

	"github.com/pocketdock/pocketdock/embedded/internal/container"
)

// newLayer makes an image's layer of what gVisor says was written: a character
// device 0:0 is its mark of what was deleted, the same one for all, so that the
// others are hard links to the first; and places where something else was
// mounted are none of the image's.
func newLayer(upper io.Reader, c *container.Container) io.Reader {
	r, w := io.Pipe()
	go func() { w.CloseWithError(rewrite(tar.NewReader(upper), tar.NewWriter(w), c.MountPoints())) }()
	return r
}

func rewrite(in *tar.Reader, out *tar.Writer, mounted []string) error {
	deleted := map[string]bool{}
	for {
		h, err := in.Next()
		if err == io.EOF {
			return out.Close()
		}
		if err != nil {
			return err
		}
		name := path.Clean("/" + h.Name)
		if h.Typeflag == tar.TypeChar && h.Devmajor == 0 && h.Devminor == 0 || h.Typeflag == tar.TypeLink && deleted[path.Clean("/"+h.Linkname)] {
			deleted[name] = true
		}
		if name == "/" || isMounted(name, mounted) {
			continue
		}
		h.Name = strings.TrimPrefix(name, "/")
		if h.Typeflag == tar.TypeDir {
			h.Name += "/"
		}
		if deleted[name] {
			dir, base := path.Split(strings.TrimPrefix(name, "/"))
			h = &tar.Header{Typeflag: tar.TypeReg, Name: dir + ".wh." + base, Mode: 0o600, ModTime: h.ModTime}
		}
		if h.Typeflag == tar.TypeLink {
			h.Linkname = strings.TrimPrefix(path.Clean("/"+h.Linkname), "/")
		}
		opaque := false
		records := map[string]string{}
		for k, v := range h.PAXRecords {
			switch {
			case strings.Contains(k, ".overlay."):
				opaque = opaque || strings.HasSuffix(k, ".overlay.opaque")
			case strings.HasPrefix(k, "SCHILY.xattr."):
				records[k] = v
			}
		}
		h = &tar.Header{Typeflag: h.Typeflag, Name: h.Name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid,
			ModTime: h.ModTime, Devmajor: h.Devmajor, Devminor: h.Devminor, PAXRecords: records, Format: tar.FormatPAX}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if opaque {
			// It took the place of another directory, whose content is not its.
			mark := &tar.Header{Typeflag: tar.TypeReg, Name: h.Name + ".wh..wh..opq", Mode: 0o600, ModTime: h.ModTime}
			if err := out.WriteHeader(mark); err != nil {
				return err
			}
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}

func isMounted(name string, mounted []string) bool {
	for _, m := range mounted {
		if name == m || strings.HasPrefix(name, m+"/") {
			return true
		}
	}
	return false
}
