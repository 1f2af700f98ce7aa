package pocketdock

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"

	"github.com/pocketdock/pocketdock/images"
	"github.com/pocketdock/pocketdock/internal/treetar"
)

// ProfileBuildOptions are the optional properties of a profile's build.
type ProfileBuildOptions struct {
	// Args are the values of ARG instructions, such as http_proxy. They are
	// part of the image's history: no place for secrets.
	Args map[string]string
	// Certificates, in PEM, are trusted besides the usual ones while files are
	// fetched over TLS, for a proxy that inspects it. They are not in the
	// image. Nil: those in the file that SSL_CERT_FILE names, if it is set.
	Certificates []byte
	// NoCache builds every step anew, with today's packages.
	NoCache bool
}

// BuildProfile builds a profile's image. The result of an earlier build is
// used where it is there, and needs no network then. See [Client.Build] for
// the events and the error.
func (c *Client) BuildProfile(ctx context.Context, p Profile, opts ProfileBuildOptions) iter.Seq2[BuildEvent, error] {
	return func(yield func(BuildEvent, error) bool) {
		if err := p.Check(); err != nil {
			yield(BuildEvent{}, err)
			return
		}
		if p.Name == ProfileHost {
			yield(BuildEvent{}, invalidf("profile %s has nothing to build", ProfileHost))
			return
		}
		pack := func(w io.Writer) error { return treetar.Pack(w, p.Dir, treetar.Options{}) }
		if p.Dir == "" {
			b, err := builtinContext(p.Name, opts.Certificates)
			if err != nil {
				yield(BuildEvent{}, err)
				return
			}
			pack = func(w io.Writer) error { _, err := w.Write(b); return err }
		} else if _, err := os.Stat(filepath.Join(p.Dir, "Dockerfile")); err != nil {
			yield(BuildEvent{}, fmt.Errorf("profile %s: it needs a Dockerfile: %w", p.Name, err))
			return
		}
		r, w := io.Pipe()
		packed := make(chan struct{})
		go func() {
			defer close(packed)
			w.CloseWithError(pack(w))
		}()
		defer func() { r.Close(); <-packed }()
		build := BuildOptions{Tag: p.Image(), Args: opts.Args, NoCache: opts.NoCache, Labels: map[string]string{
			labelImageProfile: p.Name, labelImageNetwork: strconv.FormatBool(p.Network)}}
		for ev, err := range c.Build(ctx, r, build) {
			if !yield(ev, err) || err != nil {
				return
			}
		}
		if e, err := c.open(ctx); err == nil {
			c.made(ctx, e, p.Image(), "")
		}
	}
}

// maxCertificates bounds a file of certificates; a system's has 200 KB.
const maxCertificates = 4 << 20

// builtinContext is the build context of a built-in profile: the same bytes
// every time, so that engines find the results of earlier builds.
func builtinContext(name string, certificates []byte) ([]byte, error) {
	dockerfile, err := images.Dockerfile(name)
	if err != nil {
		return nil, err
	}
	files := []struct {
		name string
		data []byte
	}{{"Dockerfile", dockerfile}}
	if bytes.Contains(dockerfile, []byte("COPY ca.crt ")) {
		if certificates == nil {
			if certificates, err = hostCertificates(); err != nil {
				return nil, err
			}
		}
		files = append(files, struct {
			name string
			data []byte
		}{"ca.crt", certificates})
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), Format: tar.FormatUSTAR}))
		_, werr := w.Write(f.data)
		err = errors.Join(err, werr)
	}
	return b.Bytes(), errors.Join(err, w.Close())
}

// hostCertificates are those that this machine's administrator gave programs
// to trust: with them a build gets through where this program does.
func hostCertificates() ([]byte, error) {
	file := os.Getenv("SSL_CERT_FILE")
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("SSL_CERT_FILE: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCertificates+1))
	if err == nil && len(b) > maxCertificates {
		err = fmt.Errorf("%s is larger than %d bytes", file, maxCertificates)
	}
	if err != nil {
		return nil, fmt.Errorf("SSL_CERT_FILE: %w", err)
	}
	return b, nil
}
