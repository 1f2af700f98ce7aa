//go:build unix

package imagestore

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperEnv makes this test binary a program that works on a store until it
// is killed.
const helperEnv = "IMAGESTORE_TEST_HELPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		fmt.Fprintln(os.Stderr, work(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func work(dir string) error {
	s, err := Open(filepath.Join(dir, "images"))
	if err != nil {
		return err
	}
	archive, err := os.ReadFile(filepath.Join(dir, "archive"))
	if err != nil {
		return err
	}
	diff, err := os.ReadFile(filepath.Join(dir, "diff"))
	if err != nil {
		return err
	}
	ctx := context.Background()
	fmt.Println("ready")
	for n := 0; ; n++ {
		if _, err := s.Load(ctx, bytes.NewReader(archive)); err != nil {
			return err
		}
		link := filepath.Join(dir, fmt.Sprintf("root-%d-%d", os.Getpid(), n))
		if err := s.Rootfs(ctx, "box:1", link); err != nil {
			return err
		}
		if _, err := s.Commit(ctx, CommitOptions{Parent: "box:1", Diff: bytes.NewReader(diff), Ref: "snap"}); err != nil {
			return err
		}
		for _, name := range []string{"box:1", "snap"} {
			if _, _, err := s.Remove(ctx, name, true); err != nil {
				return err
			}
		}
		os.Remove(link)
	}
}

// TestKill: a program that is killed at any moment leaves a store that the
// next one opens, finds sound, and goes on with.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for name, b := range map[string][]byte{
		"archive": dockerArchive(t, "box:1", "", layerOf(t, "a="+strings.Repeat("some text ", 200_000))),
		"diff":    layerOf(t, "b=1"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), helperEnv+"="+dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out.Read(make([]byte, 6)) // it has begun
		<-time.After(rand.N(80 * time.Millisecond))
		cmd.Process.Kill()
		cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() {
			t.Fatalf("round %d: %v: %s", round, status, &stderr)
		}
		s, err := Open(filepath.Join(dir, "images"))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		sound(t, s)
		list, err := s.List(t.Context())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, img := range list {
			link := filepath.Join(dir, fmt.Sprint("check-", round, "-", hexOf(img.ID)))
			if err := s.Rootfs(t.Context(), img.ID, link); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		s.Close()
	}
}

// TestLeftovers: what each step leaves that was not followed by the next one
// is removed by Open, and what another program is at stays.
func TestLeftovers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := load(t, s, dockerArchive(t, "box:1", "", layerOf(t, "a=1")))
	busy, err := s.stage()
	if err != nil {
		t.Fatal(err)
	}
	left := strings.Repeat("0", 64)
	for _, name := range []string{dirtyFile, configPath(algorithm + left), layerPath(algorithm + left), rootfsPath(algorithm + left), layerDir + "/junk"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const dead = tmpDir + "/.pocketdock-AAAAAAAAAAAAAAAAAAAAAAAAAA"
	if err := os.Mkdir(filepath.Join(dir, dead), 0o700); err != nil {
		t.Fatal(err)
	}
	next, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if _, err := os.Stat(filepath.Join(dir, busy.name)); err != nil {
		t.Errorf("what another program is at was removed: %v", err)
	}
	busy.Close()
	sound(t, next)
	if _, err := next.Get(t.Context(), id); err != nil {
		t.Error(err)
	}
}
