package mcp

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

// The resources: what a person or a client picks, where a model uses tools.
const (
	fileTemplate   = "sandbox://{sandbox_id}/files{+path}"
	outputTemplate = "sandbox://{sandbox_id}/processes/{process_id}/{stream}"
)

// defaultName is the default sandbox's in a resource's URI.
const defaultName = "default"

// maxResource is the largest file that is a resource, in bytes.
const maxResource = 8 << 20

func (s *Server) addResources() {
	s.inner.AddResourceTemplate(&sdk.ResourceTemplate{URITemplate: fileTemplate, Name: "sandbox-file", Title: "File of a sandbox",
		Description: "A file of a sandbox of this session, by its absolute path. The sandbox default is the default one.",
	}, s.reading(readFileResource))
	s.inner.AddResourceTemplate(&sdk.ResourceTemplate{URITemplate: outputTemplate, Name: "process-output", Title: "Output of a process",
		Description: "What a process of a sandbox has printed, as much as is kept. The stream is stdout or stderr.", MIMEType: "text/plain",
	}, s.reading(readOutputResource))
}

// A resourceReader reads what is below a sandbox's part of a URI.
type resourceReader func(ctx context.Context, b *sandbox, rest, uri string) (*sdk.ResourceContents, error)

// reading makes a handler of a reader.
func (s *Server) reading(read resourceReader) sdk.ResourceHandler {
	return func(ctx context.Context, req *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		sess := s.of(req.Session)
		ctx, cancel := sess.during(ctx)
		defer cancel()
		ctx, stop := context.WithTimeoutCause(ctx, s.opts.AnswerWithin, errTooSlow)
		defer stop()
		u, err := url.Parse(req.Params.URI)
		if err != nil || u.Scheme != "sandbox" {
			return nil, sdk.ResourceNotFoundError(req.Params.URI)
		}
		b, err := sess.existing(u.Host)
		if err != nil {
			return nil, sdk.ResourceNotFoundError(req.Params.URI)
		}
		c, err := read(ctx, b, u.Path, req.Params.URI)
		if sess.lost(b, err) || errors.Is(err, pocketdock.ErrFileNotFound) || errors.Is(err, pocketdock.ErrProcessNotFound) {
			return nil, sdk.ResourceNotFoundError(req.Params.URI)
		}
		if err != nil {
			return nil, err
		}
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{c}}, nil
	}
}

// existing finds a sandbox and makes none.
func (s *session) existing(name string) (*sandbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[name]
	if name == defaultName {
		b = s.def
	}
	if b == nil {
		return nil, fmt.Errorf("no sandbox %q in this session", name)
	}
	return b, nil
}

func readFileResource(ctx context.Context, b *sandbox, rest, uri string) (*sdk.ResourceContents, error) {
	file, ok := strings.CutPrefix(rest, "/files")
	if !ok || !path.IsAbs(file) {
		return nil, pocketdock.ErrFileNotFound
	}
	data, err := b.read(ctx, file, maxResource)
	if err != nil {
		return nil, err
	}
	c := &sdk.ResourceContents{URI: uri, MIMEType: mimeOf(file, data)}
	if utf8.Valid(data) {
		c.Text = string(data)
	} else {
		c.Blob = data
	}
	return c, nil
}

// mimeOf guesses what a file is, by name and by content.
func mimeOf(name string, data []byte) string {
	if p, err := pictureOf(data); err == nil {
		return p.mime
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return http.DetectContentType(data)
}

func readOutputResource(ctx context.Context, b *sandbox, rest, uri string) (*sdk.ResourceContents, error) {
	parts := strings.Split(strings.TrimPrefix(rest, "/processes/"), "/")
	if len(parts) != 2 || parts[1] != "stdout" && parts[1] != "stderr" {
		return nil, pocketdock.ErrProcessNotFound
	}
	got, err := b.box.Process(parts[0]).Output(ctx, pocketdock.Offset{})
	if err != nil {
		return nil, err
	}
	data, lost := got.Stdout, got.StdoutLost
	if parts[1] == "stderr" {
		data, lost = got.Stderr, got.StderrLost
	}
	text := readable(data)
	if lost > 0 {
		text = fmt.Sprintf("[... %d bytes before this are not kept any more ...]\n", lost) + text
	}
	return &sdk.ResourceContents{URI: uri, MIMEType: "text/plain", Text: text}, nil
}
