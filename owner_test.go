package pocketdock

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestOwnerDead: only what is certain is death.
func TestOwnerDead(t *testing.T) {
	if bootID() == "" {
		t.Skip("no /proc here")
	}
	f := strings.Split(string(self()), ":")
	pid, start, boot, ns := f[0], f[1], f[2], f[3]
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	gone := fmt.Sprint(ended.Process.Pid)
	for _, tt := range []struct {
		name  string
		owner string
		dead  bool
	}{
		{"this process", string(self()), false},
		{"its number, reused", join(pid, start+"0", boot, ns), true},
		{"ended", join(gone, "1", boot, ns), true},
		{"before a reboot", join(pid, start, "another-boot", ns), true},
		{"before a reboot, other namespace", join(pid, start, "another-boot", "1"), true},
		{"other namespace", join(gone, "1", boot, "1"), false},
		{"namespace not known", join(gone, "1", boot, ""), false},
		{"of an older version", join(gone, "1", boot), false},
		{"boot not known", join(gone, "1", "", ns), false},
		{"empty", "", false},
		{"no number", join("x", "1", "another-boot", ns), false},
		{"every process", join("-1", "1", boot, ns), false},
		{"no process", join("0", "1", boot, ns), false},
	} {
		if got := (coroner{}).dead(owner(tt.owner), machineID()); got != tt.dead {
			t.Errorf("%s: %q dead %v, want %v", tt.name, tt.owner, got, tt.dead)
		}
		if (coroner{}).dead(owner(tt.owner), "another machine") {
			t.Errorf("%s: %q is dead, on another machine", tt.name, tt.owner)
		}
	}
}

func join(parts ...string) string { return strings.Join(parts, ":") }

// TestOwnerDefunct: a process that was killed and not waited for is dead.
func TestOwnerDefunct(t *testing.T) {
	if bootID() == "" {
		t.Skip("no /proc here")
	}
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o, err := processOwner(cmd.Process.Pid)
	if err != nil || o.dead() {
		t.Errorf("%q: %v, dead %v", o, err, o.dead())
	}
	in.Close()
	out.Read(make([]byte, 1)) // its end closes this
	for !o.dead() {
		if t.Context().Err() != nil {
			t.Fatal("it never was")
		}
	}
	cmd.Wait()
	if !o.dead() {
		t.Error("alive again after it was waited for")
	}
}

func TestAncestry(t *testing.T) {
	if bootID() == "" {
		t.Skip("no /proc here")
	}
	line := ancestry()
	parent, err := processOwner(os.Getppid())
	if err != nil || !line[parent] || !line[self()] {
		t.Errorf("%v lacks %q or %q, %v", line, parent, self(), err)
	}
	if _, err := processOwner(1 << 30); err == nil {
		t.Error("no process has that number")
	}
}
