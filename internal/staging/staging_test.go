package staging

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func root(t *testing.T) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestSweep(t *testing.T) {
	if !canLock {
		t.Skip("no locks here")
	}
	r := root(t)
	held, heldName, err := File(r)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	heldDir, heldDirName, err := Dir(r)
	if err != nil {
		t.Fatal(err)
	}
	defer heldDir.Close()
	left, leftName, err := File(r)
	if err != nil {
		t.Fatal(err)
	}
	left.Close() // as the end of its program
	leftDir, leftDirName, err := Dir(r)
	if err != nil {
		t.Fatal(err)
	}
	leftDir.Close()
	keep := []string{heldName, heldDirName, ".pocketdock", ".pocketdock-mine", ".pocketdock-" + leftName, prefix + "abcdefghijklmnopqrstuvwxyz"}
	for _, n := range keep[2:] {
		if err := os.WriteFile(filepath.Join(r.Name(), n), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.Name(), leftDirName, "inside"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := name()
	if err := os.Symlink(victim, filepath.Join(r.Name(), link)); err != nil {
		t.Fatal(err)
	}
	Sweep(r)
	for _, n := range append(keep, link) {
		if _, err := r.Lstat(n); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
	for _, n := range []string{leftName, leftDirName} {
		if _, err := r.Lstat(n); err == nil {
			t.Errorf("%s is still there", n)
		}
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
}

// TestSweepMeanwhile: nobody's file is taken while it is made.
func TestSweepMeanwhile(t *testing.T) {
	r := root(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				Sweep(r)
			}
		}
	})
	for range 300 {
		f, name, err := File(r)
		if err != nil {
			t.Error(err)
			break
		}
		if err := r.Rename(name, "final"); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	close(done)
	wg.Wait()
}
