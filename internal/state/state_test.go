package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func dir(t *testing.T) Dir { return Dir(t.TempDir()) }

// mode is a path's permissions.
func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Mode().Perm()
}

// TestBoxIsPrivate shows that other users of the host are stopped at the
// box's directory, while those of a remapped namespace may enter what is
// mounted.
func TestBoxIsPrivate(t *testing.T) {
	b, err := dir(t).NewBox(Record{Owner: "1:2:boot:3"})
	if err != nil {
		t.Fatal(err)
	}
	if m := mode(t, string(b)); m != 0o700 {
		t.Errorf("box has mode %o, want 700", m)
	}
	if m := mode(t, b.IO()); m&0o055 != 0o055 {
		t.Errorf("io has mode %o: others cannot enter it", m)
	}
	if filepath.Dir(b.Socket()) != b.IO() {
		t.Errorf("socket %s is not in %s", b.Socket(), b.IO())
	}
	if err := b.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(b)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
}

// TestPrepareAfterReboot shows that a wiped directory is made again, and that
// what is there stays.
func TestPrepareAfterReboot(t *testing.T) {
	d := dir(t)
	b, err := d.NewBox(Record{Owner: "1:2:boot:3"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.WriteFile("f", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(b.IO()); err != nil {
		t.Fatal(err)
	}
	if err := d.Prepare(b, Record{Owner: "other"}); err != nil {
		t.Fatal(err)
	}
	mode(t, b.IO())
	if data, err := b.ReadFile("f"); err != nil || string(data) != "kept" {
		t.Errorf("file: %q, %v", data, err)
	}
}

// TestBoxFromLabel: a label is anybody's text, and Destroy removes what it
// names.
func TestBoxFromLabel(t *testing.T) {
	const d = Dir("/state")
	for _, tt := range []struct {
		label string
		ok    bool
	}{
		{"/state/c/0123456789abcdef", true},
		{"", false},
		{"/", false},
		{"/state/c", false},
		{"/state/c/", false},
		{"/state/agent", false},
		{"/state/c/0123456789abcde", false},
		{"/state/c/0123456789abcdef0", false},
		{"/state/c/0123456789abcdef/", false},
		{"/state/c/0123456789ABCDEF", false},
		{"/state/c/../../etc/passwd", false},
		{"/state/c/../0123456789abc", false},
		{"/state/c/....////....////", false},
		{"/other/c/0123456789abcdef", false},
		{"/statec/c/0123456789abcdef", false},
		{"state/c/0123456789abcdef", false},
		{"/state/c/0123456789abcde\x00", false},
	} {
		b, ok := d.Box(tt.label)
		if ok != tt.ok {
			t.Errorf("%q: %v, want %v", tt.label, ok, tt.ok)
		}
		if !ok && b != "" {
			t.Errorf("%q: refused, and returned as %q", tt.label, b)
		}
	}
}

func TestBoxOfContainerID(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	b, err := Dir("/state").BoxOf(id)
	if err != nil || string(b) != "/state/c/0123456789abcdef" {
		t.Errorf("%s, %v", b, err)
	}
	for _, id := range []string{"", "abc", "../../../../../../etc", strings.Repeat("Z", 64), "0123456789abcde/"} {
		if b, err := Dir("/state").BoxOf(id); err == nil {
			t.Errorf("ID %q is accepted as %s", id, b)
		}
	}
}

func TestProgramWrittenOnce(t *testing.T) {
	d := dir(t)
	calls := 0
	data := func() ([]byte, error) { calls++; return []byte("#!program"), nil }
	path, err := d.Program("abc", data)
	if err != nil {
		t.Fatal(err)
	}
	if m := mode(t, path); m != 0o755 {
		t.Errorf("program has mode %o, want 755", m)
	}
	if again, err := d.Program("abc", data); err != nil || again != path || calls != 1 {
		t.Errorf("second time: %s, %v, made %d times", again, err, calls)
	}
	// A file that a crash left empty is not a program.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Program("abc", data); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "#!program" {
		t.Errorf("an empty program stays: %q", b)
	}
}

func TestProgramFailsLeavingNothing(t *testing.T) {
	d := dir(t)
	boom := errors.New("boom")
	if _, err := d.Program("abc", func() ([]byte, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Fatalf("got %v, want what data returned", err)
	}
	if m, _ := filepath.Glob(filepath.Join(string(d), "agent", "*")); len(m) > 0 {
		t.Errorf("left behind: %v", m)
	}
}

// TestProgramTogether has several programs put the same one in place.
func TestProgramTogether(t *testing.T) {
	d := dir(t)
	want := strings.Repeat("x", 1<<20)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := d.Program("abc", func() ([]byte, error) { return []byte(want), nil })
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != want {
				t.Errorf("a reader sees %d bytes, %v", len(b), err)
			}
		})
	}
	wg.Wait()
	if m, _ := filepath.Glob(filepath.Join(string(d), "agent", "*")); len(m) != 1 {
		t.Errorf("left behind: %v", m)
	}
}
