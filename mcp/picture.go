package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

// A picture is an image for a model to see.
type picture struct {
	data []byte
	mime string
}

const (
	// maxPicture is the largest image that is returned, in bytes: models take
	// no larger ones.
	maxPicture = 5 << 20
	// maxPictures is how many an answer has.
	maxPictures = 8
)

var errNoPicture = errors.New("not a PNG, JPEG, GIF, WebP or SVG image")

// pictureOf recognises an image by its content.
func pictureOf(data []byte) (picture, error) {
	mime := http.DetectContentType(data)
	switch mime {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return picture{data, mime}, nil
	}
	// An SVG is XML, whose root may come behind a declaration and comments.
	start := data[:min(len(data), 1024)]
	if bytes.HasPrefix(bytes.TrimLeft(start, "\ufeff \t\r\n"), []byte("<")) && bytes.Contains(start, []byte("<svg")) {
		return picture{data, "image/svg+xml"}, nil
	}
	return picture{}, errNoPicture
}

func contents(list []picture) []sdk.Content {
	var out []sdk.Content
	for _, p := range list {
		out = append(out, &sdk.ImageContent{Data: p.data, MIMEType: p.mime})
	}
	return out
}

// pictures reads the images that a call asked for, and says which it could not.
func (c *call) pictures(ctx context.Context, b *sandbox, dir string, names []string) (list []picture, problems []string) {
	for _, name := range names {
		found, err := b.matches(ctx, path.Join(dir, name))
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", name, err))
		}
		for _, file := range found {
			if len(list) == maxPictures {
				problems = append(problems, fmt.Sprintf("%s: an answer has at most %d", file, maxPictures))
				continue
			}
			data, err := b.read(ctx, file, maxPicture)
			if err == nil {
				var p picture
				if p, err = pictureOf(data); err == nil {
					list = append(list, p)
				}
			}
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", file, err))
			}
		}
	}
	return list, problems
}

// matches are the files whose path matches a pattern in its last part.
func (b *sandbox) matches(ctx context.Context, pattern string) ([]string, error) {
	dir, last := path.Split(pattern)
	if !strings.ContainsAny(last, "*?[") {
		return []string{pattern}, nil
	}
	list, err := b.box.ListFiles(ctx, path.Clean(dir), pocketdock.FilesOptions{Glob: last})
	if err != nil {
		return nil, err
	}
	var found []string
	for _, f := range list {
		if f.Mode.IsRegular() {
			found = append(found, path.Join(dir, f.Path))
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no file matches")
	}
	return slices.Clip(found), nil
}

// read returns a file of at most so many bytes.
func (b *sandbox) read(ctx context.Context, file string, most int64) ([]byte, error) {
	fi, r, err := b.box.OpenFile(ctx, file, pocketdock.ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if fi.Size > most {
		return nil, fmt.Errorf("it has %s, more than %s", pocketdock.FormatSize(fi.Size), pocketdock.FormatSize(most))
	}
	data, err := io.ReadAll(io.LimitReader(r, most+1)) // it may have grown
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("it has more than %s", pocketdock.FormatSize(most))
	}
	return data, err
}
