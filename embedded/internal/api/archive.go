//go:build linux

package api

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pocketdock/pocketdock/embedded/internal/container"
	"github.com/pocketdock/pocketdock/internal/wire"
)

// The archive API: docker cp.

// statHeader is how a path is described.
const statHeader = "X-Docker-Container-Path-Stat"

func pathStat(p string, st *wire.Stat) string {
	mode := fs.FileMode(st.Mode & 0o777)
	for bit, m := range map[uint32]fs.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky} {
		if st.Mode&bit != 0 {
			mode |= m
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	}
	b, _ := json.Marshal(map[string]any{"name": path.Base(p), "size": st.Size, "mode": mode,
		"mtime": time.Unix(0, st.MTime).UTC().Format(time.RFC3339Nano), "linkTarget": string(st.Target)})
	return base64.StdEncoding.EncodeToString(b)
}

// archivePath is the path that a request names, from the root. What is at its
// end says whether a link there is followed, so it is not cleaned.
func archivePath(r *http.Request) (string, error) {
	p := r.URL.Query().Get("path")
	if p == "" {
		return "", fmt.Errorf("bad parameter: path is empty: %w", container.ErrInvalid)
	}
	return "/" + strings.TrimLeft(p, "/"), nil
}

// pathError has Docker's words for what a path has not led to.
func pathError(c *container.Container, p string, err error) error {
	var e *wire.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case wire.CodeNotFound:
		return fmt.Errorf("could not find the file %s in container %s: %w", p, c.Name, errNoFile)
	case wire.CodeNotDir, wire.CodeInvalid, wire.CodeIsDir, wire.CodeExists, wire.CodeNotEmpty:
		return fmt.Errorf("%w: %w", err, container.ErrInvalid)
	case wire.CodeUnsupported:
		return fmt.Errorf("%w: %w", err, container.ErrNoSupport)
	case wire.CodePermission:
		return fmt.Errorf("%w: %w", err, errForbidden)
	}
	return err
}

func (s *Server) statArchive(w http.ResponseWriter, r *http.Request, ref string) error {
	return s.atPath(w, r, ref, func(*visit, *container.Container, string, *wire.Stat) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
}

// atPath visits a container, says what is at the request's path, and calls do.
func (s *Server) atPath(w http.ResponseWriter, r *http.Request, ref string, do func(*visit, *container.Container, string, *wire.Stat) error) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	p, err := archivePath(r)
	if err != nil {
		return err
	}
	v, err := s.visit(r.Context(), c)
	if err != nil {
		return err
	}
	defer v.giveUp()
	st, err := v.stat(p)
	if err != nil {
		return pathError(c, p, err)
	}
	w.Header().Set(statHeader, pathStat(p, st))
	return do(v, c, p, st)
}

func (s *Server) getArchive(w http.ResponseWriter, r *http.Request, ref string) error {
	return s.atPath(w, r, ref, func(v *visit, c *container.Container, p string, st *wire.Stat) error {
		return sendArchive(w, v, c, p, st)
	})
}

func sendArchive(w http.ResponseWriter, v *visit, c *container.Container, p string, st *wire.Stat) error {
	if err := v.request(wire.OpTarOut, &wire.File{Path: wire.Path(p), NoFollow: !strings.HasSuffix(p, "/"), Contents: true}); err != nil {
		return err
	}
	// The first frame says whether there is anything.
	kind, _, err := v.r.Header()
	if err != nil {
		return err
	}
	if kind == wire.KindFailure {
		_, err := v.answer(kind)
		return pathError(c, p, err)
	}
	w.Header().Set("Content-Type", "application/x-tar")
	err = rename(&content{v: v, kind: kind}, w, archiveName(p), st)
	if err != nil {
		panic(http.ErrAbortHandler) // the archive is cut: the client must see that
	}
	return nil
}

// archiveName is what an archive's first entry is called, as docker cp expects
// it: the last name of the path, "." or "/".
func archiveName(p string) string {
	if p == "/" || strings.HasSuffix(p, "/.") {
		return p[len(p)-1:]
	}
	return path.Base(p)
}

// rename copies an archive of what is in a directory, or of one file, and puts
// a name before all others.
func rename(from io.Reader, to io.Writer, name string, st *wire.Stat) error {
	in, out := tar.NewReader(from), tar.NewWriter(to)
	under := func(n string) string { return strings.TrimSuffix(name, "/") + "/" + n }
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimSuffix(name, "/") + "/", Mode: int64(st.Mode & 0o7777), Uid: int(st.UID), Gid: int(st.GID),
			ModTime: time.Unix(0, st.MTime), Format: tar.FormatPAX}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
	} else {
		under = func(string) string { return name }
	}
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !(errors.Is(err, tar.ErrInsecurePath) && h != nil) {
			return err
		}
		h.Name = under(h.Name)
		if h.Typeflag == tar.TypeLink {
			h.Linkname = under(h.Linkname)
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
	// The sandbox says whether it was all.
	if _, err := io.Copy(io.Discard, from); err != nil {
		return err
	}
	return out.Close()
}

// content is what an operation sends, up to its reply.
type content struct {
	v    *visit
	kind wire.Kind // of the frame that is being read; 0: none
	err  error
}

func (c *content) Read(p []byte) (int, error) {
	for c.err == nil {
		if c.kind == wire.KindData && c.v.r.Left() > 0 {
			n, err := c.v.r.Read(p)
			if err != nil {
				c.err = err
			}
			return n, c.err
		}
		if c.kind == wire.KindReply || c.kind == wire.KindFailure {
			if _, c.err = c.v.answer(c.kind); c.err == nil {
				c.err = io.EOF
			}
			break
		}
		c.kind, _, c.err = c.v.r.Header()
		if c.err == io.EOF {
			c.err = io.ErrUnexpectedEOF
		}
	}
	return 0, c.err
}

func (s *Server) putArchive(w http.ResponseWriter, r *http.Request, ref string) error {
	err := s.unpack(r, ref)
	if err != nil {
		// Who is still sending when the connection ends does not read why.
		const patience = 64 << 20
		io.CopyN(io.Discard, r.Body, patience)
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) unpack(r *http.Request, ref string) error {
	c, err := s.Store.Get(ref)
	if err != nil {
		return err
	}
	p, err := archivePath(r)
	if err != nil {
		return err
	}
	body, err := plain(r.Body)
	if err != nil {
		return err
	}
	v, err := s.visit(r.Context(), c)
	if err != nil {
		return err
	}
	// What is at the end of the path is followed: it is where things go.
	st, err := v.stat(strings.TrimSuffix(p, "/") + "/.")
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = &wire.Error{Code: wire.CodeNotDir}
	}
	var e *wire.Error
	if errors.As(err, &e) && e.Code == wire.CodeNotDir {
		err = fmt.Errorf("extraction point %s is not a directory: %w", p, container.ErrInvalid)
	}
	if err == nil {
		f := &wire.File{Path: wire.Path(p)}
		if is(r, "copyUIDGID") {
			f.Owner, err = s.owner(r, c)
		}
		if err == nil {
			err = v.unpack(f, body)
		}
	}
	if err != nil {
		v.giveUp()
		return pathError(c, p, err)
	}
	return v.done()
}

// owner is the container's user, to whom files may be given.
func (s *Server) owner(r *http.Request, c *container.Container) (string, error) {
	img, err := s.Store.Images.Get(r.Context(), c.ImageID)
	if err != nil {
		return "", err
	}
	u := c.Exec(img, nil, nil, "", "", false).User
	if u == "" || strings.Contains(u, ":") {
		return u, nil
	}
	if _, err := strconv.ParseUint(u, 10, 32); err == nil {
		return u + ":0", nil
	}
	return u + ":", nil // with the group that its user has
}

// unpack sends an archive.
func (v *visit) unpack(f *wire.File, body io.Reader) error {
	if err := v.request(wire.OpTarIn, f); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if bad := v.w.Frame(wire.KindData, buf[:n]); bad != nil {
				break // it says why
			}
		}
		if err == io.EOF {
			_ = v.w.Frame(wire.KindEnd, nil)
			break
		}
		if err != nil {
			return fmt.Errorf("the archive: %w: %w", err, container.ErrInvalid)
		}
	}
	_, err := v.reply()
	return err
}

// plain unpacks an archive that is compressed.
func plain(r io.Reader) (io.Reader, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	if b, _ := br.Peek(2); bytes.Equal(b, []byte{0x1f, 0x8b}) {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("the archive: %w: %w", err, container.ErrInvalid)
		}
		return zr, nil
	}
	return br, nil
}
