package mcp

import (
	"context"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pocketdock/pocketdock"
)

type upload struct {
	HostPath    string `json:"host_path" jsonschema:"file or directory on the user's machine, in a directory that the user allowed"`
	SandboxPath string `json:"sandbox_path" jsonschema:"what it is to be in the sandbox; missing directories are made"`
	SandboxID   string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

type download struct {
	SandboxPath string `json:"sandbox_path" jsonschema:"file or directory in the sandbox"`
	HostPath    string `json:"host_path" jsonschema:"what it is to be on the user's machine, in a directory that the user allowed; missing directories are made"`
	Overwrite   bool   `json:"overwrite,omitempty" jsonschema:"replace files that are there (default: an error)"`
	SandboxID   string `json:"sandbox_id,omitempty" jsonschema:"leave out for the default sandbox"`
}

// A transferred is what upload and download answer.
type transferred struct {
	HostPath    string   `json:"host_path"`
	SandboxPath string   `json:"sandbox_path"`
	Files       int      `json:"files"`
	Bytes       int64    `json:"bytes"`
	Skipped     []string `json:"skipped,omitempty" jsonschema:"what is neither file nor directory and was left out, links among it; the first ones"`
	SkippedAll  int      `json:"skipped_count,omitempty"`
}

func (t transferred) text() string {
	s := fmt.Sprintf("%s, %s: %s on the user's machine, %s in the sandbox.", plural(t.Files, "file"), pocketdock.FormatSize(t.Bytes), t.HostPath, t.SandboxPath)
	if t.SkippedAll > 0 {
		s += fmt.Sprintf(" Left out: %s that are neither files nor directories.", plural(t.SkippedAll, "entry"))
	}
	return s
}

func (t *transferred) skip(name string) {
	if t.SkippedAll++; t.SkippedAll <= 20 {
		t.Skipped = append(t.Skipped, readable([]byte(name)))
	}
}

const (
	// maxTransfer is how many files a call moves.
	maxTransfer = 10_000
	// maxTransferBytes is how much a call writes on this host.
	maxTransferBytes = 8 << 30
)

var (
	errTooMany  = fmt.Errorf("there are more than %d files: move a part, or an archive", maxTransfer)
	errTooLarge = fmt.Errorf("it is more than %s", pocketdock.FormatSize(maxTransferBytes))
)

func (s *Server) addTransferTools() {
	add(s, tool[upload, transferred]{
		name: "upload", title: "Copy into a sandbox", effect: changes,
		description: "Copies a file or directory of the user's machine into a sandbox. Links in a directory are left out.",
		input:       func(in *jsonschema.Schema) { needs(in, "host_path", "sandbox_path") },
		do: func(ctx context.Context, c *call, in upload) (transferred, error) {
			d, rel, err := s.hostPath(in.HostPath, false)
			if err != nil {
				return transferred{}, err
			}
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return transferred{}, err
			}
			stop := c.report(ctx, func() string { return "copying " + in.HostPath })
			defer stop()
			out := transferred{HostPath: in.HostPath, SandboxPath: in.SandboxPath}
			err = push(ctx, d, rel, b, in.SandboxPath, &out)
			return out, err
		},
	})
	add(s, tool[download, transferred]{
		name: "download", title: "Copy out of a sandbox", effect: destroys,
		description: "Copies a file or directory of a sandbox to the user's machine. Links in a directory are left out.",
		input:       func(in *jsonschema.Schema) { needs(in, "host_path", "sandbox_path") },
		do: func(ctx context.Context, c *call, in download) (transferred, error) {
			d, rel, err := s.hostPath(in.HostPath, true)
			if err != nil {
				return transferred{}, err
			}
			b, err := c.use(ctx, in.SandboxID)
			if err != nil {
				return transferred{}, err
			}
			stop := c.report(ctx, func() string { return "copying " + in.SandboxPath })
			defer stop()
			out := transferred{HostPath: in.HostPath, SandboxPath: in.SandboxPath}
			err = pull(ctx, b, in.SandboxPath, d, rel, in.Overwrite, &out)
			return out, err
		},
	})
}
