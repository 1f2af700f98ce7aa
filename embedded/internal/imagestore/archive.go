package imagestore

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Bounds on what an archive of images may have. One of a hundred images has
// some thousand members, and half a megabyte of JSON.
const (
	maxMembers = 20_000
	maxText    = 8 << 20  // bytes of one member that is JSON
	maxTexts   = 64 << 20 // of all of them: they are held in memory
	maxLinks   = 10       // from one member to another
)

// An archive is what docker save, podman save and OCI tools write, read to its
// end: layers are in a stage, and what is JSON is in memory.
type archive struct {
	members map[string]*member
	links   map[string]string // names that mean another member
}

// A member is a file of an archive. What is neither JSON nor a layer has err,
// which matters only if an image refers to it.
type member struct {
	text   []byte
	layer  *stagedLayer
	digest string // of the bytes in the archive
	err    error
}

// readArchive reads an archive, which may be compressed as a whole.
func (g *stage) readArchive(ctx context.Context, r io.Reader) (*archive, error) {
	in := bufio.NewReaderSize(stoppable{ctx, r}, 256<<10)
	whole, err := plain(in)
	if err != nil {
		return nil, invalidf("image archive: %w", err)
	}
	defer whole.Close()
	rest := bufio.NewReaderSize(io.LimitReader(whole, maxTars), 256<<10)
	if !isTar(rest) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, invalidf("image archive: it is no tar archive; what docker save and podman save write, and OCI layouts in a tar, can be loaded")
	}
	a := &archive{members: map[string]*member{}, links: map[string]string{}}
	if err := a.read(ctx, g, tar.NewReader(rest)); err != nil {
		return nil, err
	}
	// A compressed stream has a checksum at its end, after the archive's.
	if n, err := io.CopyN(io.Discard, rest, maxAfter); err != io.EOF {
		if err == nil {
			err = fmt.Errorf("more than %d MiB after its end", n>>20)
		}
		return nil, a.broken(ctx, err)
	}
	return a, nil
}

func (a *archive) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if isHost(err) {
		return fmt.Errorf("load images: %w", err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return invalidf("image archive: it is cut short: %w", err)
	}
	return invalidf("image archive: %w", err)
}

// isHost reports an error of this host's files, such as a full disk.
func isHost(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}

func (a *archive) read(ctx context.Context, g *stage, tr *tar.Reader) error {
	texts := 0
	in := bufio.NewReaderSize(nil, 64<<10)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return a.broken(ctx, err)
		}
		if n == maxMembers {
			return invalidf("image archive: more than %d files", maxMembers)
		}
		name := memberName(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			in.Reset(tr)
			m, err := g.addMember(ctx, in, h.Size, "layer-"+strconv.Itoa(n))
			if err != nil {
				return a.broken(ctx, err)
			}
			if texts += len(m.text); texts > maxTexts {
				return invalidf("image archive: more than %d MiB of JSON", maxTexts>>20)
			}
			a.members[name] = m
			delete(a.links, name)
		case tar.TypeSymlink:
			a.links[name] = memberName(path.Join(path.Dir("/"+name), h.Linkname))
		case tar.TypeLink:
			a.links[name] = memberName(h.Linkname)
		}
	}
}

// memberName is a clean name: archives say "./index.json", too. They are keys,
// never paths of the host.
func memberName(name string) string { return path.Clean("/" + name)[1:] }

// addMember reads a member to its end. Its error is the archive's or the
// host's; what is wrong with the member itself is in it.
func (g *stage) addMember(ctx context.Context, r *bufio.Reader, size int64, file string) (*member, error) {
	head, err := r.Peek(tarBlock)
	if err != nil && err != io.EOF {
		return nil, err
	}
	m := &member{}
	// The digest of a layer that is not compressed comes with it.
	in, sum := r, sha256.New()
	if !isTar(r) {
		in = bufio.NewReader(io.TeeReader(r, sum))
	}
	switch {
	case isTar(r) || isCompressed(head):
		m.layer, m.err = g.addLayer(ctx, in, file)
		if isHost(m.err) {
			return nil, m.err
		}
		if m.err != nil {
			g.dir.Remove(file)
		}
	case size > maxText:
		m.err = fmt.Errorf("neither a layer nor JSON of %d MiB at most", maxText>>20)
	case !looksJSON(head):
		m.err = errors.New("neither a layer nor JSON")
	default:
		if m.text, err = io.ReadAll(in); err != nil {
			return nil, err
		}
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return nil, err
	}
	m.digest = algorithm + hex.EncodeToString(sum.Sum(nil))
	if in == r && m.layer != nil {
		m.digest = m.layer.DiffID
	}
	return m, nil
}

func looksJSON(head []byte) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) > 0 && (head[0] == '{' || head[0] == '[')
}

// get finds a member, through links.
func (a *archive) get(name string) (*member, error) {
	at := memberName(name)
	for range maxLinks {
		if m := a.members[at]; m != nil {
			if m.err != nil {
				return nil, fmt.Errorf("%.200q: %w", name, m.err)
			}
			return m, nil
		}
		next, ok := a.links[at]
		if !ok {
			return nil, fmt.Errorf("%.200q is missing: it is cut short, or not whole", name)
		}
		at = next
	}
	return nil, fmt.Errorf("%.200q is a link without an end", name)
}

func (a *archive) text(name string) ([]byte, error) {
	m, err := a.get(name)
	if err != nil {
		return nil, err
	}
	if m.text == nil {
		return nil, fmt.Errorf("%.200q is no JSON", name)
	}
	return m.text, nil
}

// has reports that there is such a member, whole or not.
func (a *archive) has(name string) bool {
	_, link := a.links[name]
	return link || a.members[name] != nil
}

// blob is a member of an OCI layout, checked against its digest.
func (a *archive) blob(digest string) (*member, error) {
	if !isDigest(digest) {
		return nil, fmt.Errorf("the digest %.100q: sha256 only", digest)
	}
	m, err := a.get("blobs/sha256/" + hexOf(digest))
	if err != nil {
		return nil, err
	}
	if m.digest != digest {
		return nil, fmt.Errorf("the content of %s has another digest, %s", digest, m.digest)
	}
	return m, nil
}

// checkName compares a member's content with a digest in its name, if there is
// one, as in docker save's "DIGEST.json" and "blobs/sha256/DIGEST".
func checkName(name, digest string) error {
	base, _, _ := strings.Cut(path.Base(name), ".")
	if len(base) == 2*sha256.Size && isHex(base) && algorithm+base != digest {
		return fmt.Errorf("the content of %.200q has another digest, %s", name, digest)
	}
	return nil
}

// stoppable ends with its context, between two reads.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.r.Read(p)
}
