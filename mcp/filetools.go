package mcp

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pocketdock/pocketdock"
)

const (
	asText   = "text"
	asBase64 = "base64"
	asImage  = "image"
)

type fileRead struct {
	Path      string `json:"path" jsonschema:"relative ones are below the sandbox's working directory"`
	StartLine int64  `json:"start_line,omitempty" jsonschema:"first line to return, from 1 (text only)"`
	EndLine   int64  `json:"end_line,omitempty" jsonschema:"last line to return (text only)"`
	Offset    int64  `json:"offset,omitempty" jsonschema:"byte to begin at; negative: counted from the end"`
	Length    int64  `json:"length,omitempty" jsonschema:"bytes to return at most"`
	Encoding  string `json:"encoding,omitempty" jsonschema:"text (default), base64 for other content, image to see a PNG, JPEG, GIF, WebP or SVG"`
	SandboxID string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

// A fileContent is what file_read answers.
type fileContent struct {
	Path       string `json:"path"`
	Size       int64  `json:"size" jsonschema:"of the whole file, in bytes"`
	Encoding   string `json:"encoding"`
	Content    string `json:"content" jsonschema:"empty for an image, which is beside this"`
	Offset     int64  `json:"offset" jsonschema:"of the first byte returned"`
	NextOffset int64  `json:"next_offset,omitempty" jsonschema:"there is more: read on from this offset"`

	image []picture
}

func (f fileContent) pictures() []sdk.Content { return contents(f.image) }

func (f fileContent) text() string {
	s := f.Content
	if f.Encoding == asImage {
		return fmt.Sprintf("%s, %d bytes.", f.Path, f.Size)
	}
	if f.NextOffset > 0 {
		if s != "" && !strings.HasSuffix(s, "\n") {
			s += "\n"
		}
		s += fmt.Sprintf("[... cut at byte %d of %d; read on with offset %d ...]\n", f.NextOffset, f.Size, f.NextOffset)
	}
	if s == "" {
		return "(empty)"
	}
	return s
}

type fileWrite struct {
	Path       string `json:"path" jsonschema:"relative ones are below the sandbox's working directory; missing directories are made"`
	Content    string `json:"content" jsonschema:"the whole content"`
	Encoding   string `json:"encoding,omitempty" jsonschema:"text (default) or base64"`
	Executable bool   `json:"executable,omitempty" jsonschema:"make it a program"`
	SandboxID  string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

type fileWritten struct {
	Path  string `json:"path"`
	Bytes int    `json:"bytes"`
}

func (w fileWritten) text() string { return fmt.Sprintf("Wrote %d bytes to %s.", w.Bytes, w.Path) }

type fileEdit struct {
	Path      string `json:"path"`
	OldText   string `json:"old_text" jsonschema:"the exact text to replace, with its white space; it must be there exactly once: include lines around it"`
	NewText   string `json:"new_text" jsonschema:"what takes its place; empty to delete it"`
	SandboxID string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

type fileEdited struct {
	Path string `json:"path"`
	Line int    `json:"line" jsonschema:"where the change begins"`
	Now  string `json:"now" jsonschema:"the lines around it, as they are now"`
}

func (e fileEdited) text() string {
	return fmt.Sprintf("Edited %s at line %d, which now reads:\n%s", e.Path, e.Line, e.Now)
}

type fileList struct {
	Path      string `json:"path,omitempty" jsonschema:"directory (default: the sandbox's working directory)"`
	Depth     int    `json:"depth,omitempty" jsonschema:"how many levels to list (default 1)"`
	Glob      string `json:"glob,omitempty" jsonschema:"list only names that match, such as *.py"`
	SandboxID string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

type fileEntry struct {
	Path     string `json:"path" jsonschema:"relative to the directory"`
	Type     string `json:"type" jsonschema:"file, directory, link or other"`
	Size     int64  `json:"size"`
	Mode     string `json:"mode"`
	Modified string `json:"modified"`
	Target   string `json:"target,omitempty" jsonschema:"of a link"`
}

type fileListing struct {
	Path    string      `json:"path"`
	Entries []fileEntry `json:"entries"`
	Omitted int         `json:"omitted,omitempty" jsonschema:"entries that are not listed: list a directory below, or use glob"`
}

func (l fileListing) text() string {
	if len(l.Entries) == 0 {
		return "(nothing)"
	}
	var b strings.Builder
	for _, e := range l.Entries {
		switch e.Type {
		case "directory":
			fmt.Fprintf(&b, "%s/\n", e.Path)
		case "link":
			fmt.Fprintf(&b, "%s -> %s\n", e.Path, e.Target)
		default:
			fmt.Fprintf(&b, "%s  %s\n", e.Path, pocketdock.FormatSize(e.Size))
		}
	}
	if l.Omitted > 0 {
		fmt.Fprintf(&b, "[... %d more are left out; list a directory below, or use glob ...]\n", l.Omitted)
	}
	return b.String()
}

const (
	// maxEntries is how many a list has.
	maxEntries = 500
	// maxEdit is the largest file that is edited, in bytes.
	maxEdit = 16 << 20
)

func (s *Server) addFileTools() {
	add(s, tool[fileRead, fileContent]{
		name: "file_read", title: "Read a file", effect: reads,
		description: fmt.Sprintf("Reads a file of a sandbox, or a range of its lines or bytes: text, base64, or an image to look at. Returns at most %d bytes, and where to read on.", s.opts.MaxOutput),
		input: func(in *jsonschema.Schema) {
			needs(in, "path")
			oneOf(in, "encoding", asText, asBase64, asImage)
			for _, name := range []string{"start_line", "end_line", "length"} {
				between(in, name, 1, 1<<53)
			}
		},
		do: func(ctx context.Context, c *call, in fileRead) (fileContent, error) {
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return fileContent{}, err
			}
			return in.read(ctx, b, s.opts.MaxOutput)
		},
	})
	add(s, tool[fileWrite, fileWritten]{
		name: "file_write", title: "Write a file", effect: destroys,
		description: "Writes a file of a sandbox, whole, in place of what was there. To change a part of a file use file_edit.",
		input: func(in *jsonschema.Schema) {
			needs(in, "path")
			oneOf(in, "encoding", asText, asBase64)
		},
		do: func(ctx context.Context, c *call, in fileWrite) (fileWritten, error) {
			data := []byte(in.Content)
			if in.Encoding == asBase64 {
				var err error
				if data, err = base64.StdEncoding.DecodeString(in.Content); err != nil {
					return fileWritten{}, fmt.Errorf("content is not base64: %w", err)
				}
			}
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return fileWritten{}, err
			}
			var o pocketdock.FileOptions
			if in.Executable {
				o.Mode = 0o755
			}
			return fileWritten{in.Path, len(data)}, b.box.WriteFile(ctx, in.Path, data, o)
		},
	})
	add(s, tool[fileEdit, fileEdited]{
		name: "file_edit", title: "Edit a file", effect: destroys,
		description: "Replaces one exact piece of text in a file of a sandbox. Fails, and changes nothing, if the text is not there or is there more than once.",
		input:       func(in *jsonschema.Schema) { needs(in, "path", "old_text") },
		do: func(ctx context.Context, c *call, in fileEdit) (fileEdited, error) {
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return fileEdited{}, err
			}
			return in.edit(ctx, b)
		},
	})
	add(s, tool[fileList, fileListing]{
		name: "file_list", title: "List files", effect: reads,
		description: "Lists a directory of a sandbox.",
		input:       func(in *jsonschema.Schema) { between(in, "depth", 1, 20) },
		do: func(ctx context.Context, c *call, in fileList) (fileListing, error) {
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return fileListing{}, err
			}
			dir := cmp.Or(in.Path, ".")
			list, err := b.box.ListFiles(ctx, dir, pocketdock.FilesOptions{Depth: in.Depth, Glob: in.Glob})
			out := fileListing{Path: dir, Entries: []fileEntry{}}
			for i := range list {
				if i == maxEntries {
					out.Omitted = len(list) - i
					break
				}
				out.Entries = append(out.Entries, entryOf(&list[i]))
			}
			return out, err
		},
	})
}

func entryOf(f *pocketdock.FileInfo) fileEntry {
	e := fileEntry{Path: readable([]byte(f.Path)), Type: "other", Size: f.Size, Mode: f.Mode.String(),
		Modified: f.ModTime.UTC().Format(time.RFC3339), Target: readable([]byte(f.Target))}
	switch {
	case f.Mode.IsRegular():
		e.Type = "file"
	case f.IsDir():
		e.Type = "directory"
	case f.Mode&fs.ModeSymlink != 0:
		e.Type = "link"
	}
	return e
}
