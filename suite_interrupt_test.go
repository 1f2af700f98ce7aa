package pocketdock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// A transfer that is interrupted leaves nothing half under the final name.
// Each kind of transfer is interrupted in its middle: by its context, by the
// death of the client, by the end of the container.

const (
	interruptedSize = 64 << 20
	interruptAt     = 16 << 20
)

// bulkFiles makes a large file, alone and in a tree, on this host and in the box.
func bulkFiles(t *testing.T, box *pocketdock.Container) (host string) {
	t.Helper()
	host = t.TempDir()
	if err := os.Mkdir(filepath.Join(host, "tree"), 0o755); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat(patternBlock, interruptedSize/len(patternBlock))
	for _, name := range []string{"file", "tree/file"} {
		if err := os.WriteFile(filepath.Join(host, name), big, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, box, pocketdock.Shell("mkdir -p /tmp/from/tree /tmp/to"))
	for _, name := range []string{"file", "tree/file"} {
		if err := box.Push(t.Context(), filepath.Join(host, name), "/tmp/from/"+name, pocketdock.TransferOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return host
}

// insideIs waits until a directory in the box has exactly these names: the
// agent cleans up when it notices that the client is gone.
func insideIs(t *testing.T, box *pocketdock.Container, dir string, want ...string) {
	t.Helper()
	var got string
	eventually(t, 20*time.Second, fmt.Sprintf("%s has only %q", dir, want), func() bool {
		list, err := box.ListFiles(t.Context(), dir, pocketdock.FilesOptions{Depth: -1})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range list {
			names = append(names, f.Path)
		}
		got = strings.Join(names, " ")
		return got == strings.Join(want, " ")
	})
}

// hostHas is the names in a directory of this host.
func hostHas(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, p); err == nil && rel != "." {
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSuiteTransferCancelled(t *testing.T) {
	onEach(t, []string{socketWay, bridgeWay}, func(t *testing.T, box *pocketdock.Container) {
		host := bulkFiles(t, box)
		cause := errors.New("enough")
		for _, name := range []string{"file", "tree"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			o := pocketdock.TransferOptions{Progress: func(p pocketdock.Progress) {
				if p.Bytes >= interruptAt {
					cancel(cause)
				}
			}}
			if err := box.Push(ctx, filepath.Join(host, name), "/tmp/to/"+name, o); !errors.Is(err, cause) {
				t.Errorf("push of a %s: %v", name, err)
			}
			insideIs(t, box, "/tmp/to")

			ctx, cancel = context.WithCancelCause(t.Context())
			to := t.TempDir()
			if err := box.Pull(ctx, "/tmp/from/"+name, filepath.Join(to, name), o); !errors.Is(err, cause) {
				t.Errorf("pull of a %s: %v", name, err)
			}
			if left := hostHas(t, to); len(left) > 0 {
				t.Errorf("pull of a %s left %q", name, left)
			}
			cancel(nil)
		}
		mustRun(t, box, pocketdock.Argv("rm", "-r", "/tmp/from", "/tmp/to"))
	})
}

// transferHelper transfers until it is in the middle, says so, and waits to be
// killed.
func transferHelper(ctx context.Context, box *pocketdock.Container, verb, from, to string) error {
	o := pocketdock.TransferOptions{Progress: func(p pocketdock.Progress) {
		if p.Bytes >= interruptAt {
			fmt.Println("half")
			<-ctx.Done()
		}
	}}
	if verb == "push" {
		return box.Push(ctx, from, to, o)
	}
	return box.Pull(ctx, from, to, o)
}

func TestSuiteTransferOfAKilledClient(t *testing.T) {
	onEach(t, []string{socketWay, bridgeWay}, func(t *testing.T, box *pocketdock.Container) {
		host, ctx := bulkFiles(t, box), t.Context()
		kill := func(args ...string) {
			t.Helper()
			for _, e := range engines {
				if !strings.Contains(t.Name(), "/"+e.name+"/") {
					continue
				}
				client := exec.Command(os.Args[0], append([]string{args[0], e.client.Socket, e.client.StateDir, box.ID()}, args[1:]...)...)
				client.Env = append(os.Environ(), helperEnv+"=1")
				client.Stderr = os.Stderr
				out, err := client.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := client.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := out.Read(make([]byte, 5)); err != nil {
					t.Fatalf("the client did not come to the middle: %v", err)
				}
				if err := client.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				client.Wait()
			}
		}
		for _, name := range []string{"file", "tree"} {
			kill("push", filepath.Join(host, name), "/tmp/to/"+name)
			insideIs(t, box, "/tmp/to")

			to := t.TempDir()
			final := filepath.Join(to, name)
			kill("pull", "/tmp/from/"+name, final)
			left := hostHas(t, to)
			if len(left) == 0 || !strings.HasPrefix(left[0], ".pocketdock-") {
				t.Errorf("the killed client left %q", left)
			}
			if _, err := os.Lstat(final); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something is under the final name: %v", err)
			}
			// The next one cleans up.
			if err := box.Pull(ctx, "/tmp/from/"+name, final, pocketdock.TransferOptions{}); err != nil {
				t.Fatal(err)
			}
			if left := hostHas(t, to); len(left) > 2 || left[0] != name {
				t.Errorf("afterwards there is %q", left)
			}
		}
		mustRun(t, box, pocketdock.Argv("rm", "-r", "/tmp/from", "/tmp/to"))
	})
}

func TestSuiteTransferOfAKilledContainer(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		box := ownBox(t, e, socketWay, busybox)
		host, ctx := bulkFiles(t, box), t.Context()
		killing := func() pocketdock.TransferOptions {
			done := false
			return pocketdock.TransferOptions{Progress: func(p pocketdock.Progress) {
				if p.Bytes >= interruptAt && !done {
					done = true
					if err := api(ctx, e, "POST", "/containers/"+box.ID()+"/kill", nil, nil); err != nil {
						t.Error(err)
					}
				}
			}}
		}
		for _, name := range []string{"file", "tree"} {
			err := box.Push(ctx, filepath.Join(host, name), "/tmp/to/"+name, killing())
			if !errors.Is(err, pocketdock.ErrContainerNotRunning) {
				t.Errorf("push of a %s: %v", name, err)
			}
			if err := box.Resume(ctx); err != nil {
				t.Fatal(err)
			}
			if ok, err := box.Exists(ctx, "/tmp/to/"+name); ok || err != nil {
				t.Errorf("push of a %s: something is under the final name, %v", name, err)
			}
			// What the killed agent left is gone with the next one.
			if err := box.Push(ctx, filepath.Join(host, name), "/tmp/to/"+name, pocketdock.TransferOptions{}); err != nil {
				t.Fatal(err)
			}
			if name == "file" {
				insideIs(t, box, "/tmp/to", "file")
			} else {
				insideIs(t, box, "/tmp/to", "file", "tree", "tree/file")
			}
			to := t.TempDir()
			err = box.Pull(ctx, "/tmp/from/"+name, filepath.Join(to, name), killing())
			if !errors.Is(err, pocketdock.ErrContainerNotRunning) {
				t.Errorf("pull of a %s: %v", name, err)
			}
			if left := hostHas(t, to); len(left) > 0 {
				t.Errorf("pull of a %s left %q", name, left)
			}
			if err := box.Resume(ctx); err != nil {
				t.Fatal(err)
			}
		}
	})
}
