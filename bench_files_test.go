package pocketdock_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pocketdock/pocketdock"
)

const benchFiles = 10_000

// engineCommand is an engine's own command line, on the engine of the test.
func engineCommand(b *testing.B, e testEngine, args ...string) *exec.Cmd {
	b.Helper()
	info, err := e.client.Engine(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	argv := []string{"docker", "--host", "unix://" + info.Socket}
	if info.Name == "podman" {
		argv = []string{"podman", "--remote", "--url", "unix://" + info.Socket}
	}
	argv = append(argv, args...)
	return exec.Command(argv[0], argv[1:]...)
}

// BenchmarkTree is a tree of 10,000 small files, in and out: by Push and Pull,
// by the engine's own cp command, and by a tar program at both ends of the
// engine's exec command.
func BenchmarkTree(b *testing.B) {
	src := filepath.Join(b.TempDir(), "src")
	smallFiles(b, src, benchFiles)
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			box, err := newBox(b.Context(), e, socketWay, busybox)
			if err != nil {
				b.Fatal(err)
			}
			defer box.Destroy(b.Context())
			serial := 0
			// run times a transfer to a new place, which is removed untimed.
			run := func(name string, transfer func(to string) error, remove func(to string) error) {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						serial++
						to := fmt.Sprintf("/tmp/tree-%d", serial)
						if err := transfer(to); err != nil {
							b.Fatal(err)
						}
						b.StopTimer()
						if err := remove(to); err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
					}
					b.ReportMetric(float64(benchFiles*b.N)/b.Elapsed().Seconds(), "files/s")
				})
			}
			command := func(cmd *exec.Cmd) error {
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			}
			inside := func(to string) error { return box.Remove(b.Context(), to, pocketdock.FileOptions{User: "0"}) }
			host := b.TempDir()
			outside := func(to string) error { return os.RemoveAll(host + to) }
			if err := os.Mkdir(filepath.Join(host, "tmp"), 0o755); err != nil {
				b.Fatal(err)
			}
			if err := box.Push(b.Context(), src, "/srv/tree", pocketdock.TransferOptions{}); err != nil {
				b.Fatal(err)
			}
			run("push/pocketdock", func(to string) error {
				return box.Push(b.Context(), src, to, pocketdock.TransferOptions{})
			}, inside)
			run("push/cp", func(to string) error {
				return command(engineCommand(b, e, "cp", src, box.ID()+":"+to))
			}, inside)
			run("push/tar", func(to string) error {
				cmd := engineCommand(b, e, "exec", "-i", "--user", "0", box.ID(), "sh", "-c", "mkdir "+to+" && tar -x -C "+to)
				tar := exec.Command("tar", "-c", "-C", src, ".")
				pipe, err := tar.StdoutPipe()
				if err != nil {
					return err
				}
				cmd.Stdin = pipe
				if err := tar.Start(); err != nil {
					return err
				}
				err = command(cmd)
				if e := tar.Wait(); err == nil {
					err = e
				}
				return err
			}, inside)
			run("pull/pocketdock", func(to string) error {
				return box.Pull(b.Context(), "/srv/tree", host+to, pocketdock.TransferOptions{})
			}, outside)
			run("pull/cp", func(to string) error {
				return command(engineCommand(b, e, "cp", box.ID()+":/srv/tree", host+to))
			}, outside)
		})
	}
}

// BenchmarkSparse is a file of 10 GiB with 1 MiB of data.
func BenchmarkSparse(b *testing.B) {
	path := filepath.Join(b.TempDir(), "sparse")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(10 << 30); err != nil {
		b.Fatal(err)
	}
	if _, err := f.WriteAt(patternBlock[:1<<20], 5<<30); err != nil {
		b.Fatal(err)
	}
	benchEach(b, []string{socketWay}, func(b *testing.B, box *pocketdock.Container) {
		b.Run("push", func(b *testing.B) {
			each(b, func() error { return box.Push(b.Context(), path, "/tmp/sparse", pocketdock.TransferOptions{}) })
		})
		b.Run("pull", func(b *testing.B) {
			each(b, func() error { return box.Pull(b.Context(), "/tmp/sparse", path+".back", pocketdock.TransferOptions{}) })
		})
	})
}
