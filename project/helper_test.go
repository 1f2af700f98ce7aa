package project

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// helper records commands in the project of args[0], as one of many programs:
// args[1] of them, each with output, and says on stdout which are finished.
func helper(args []string) error {
	if args[0] == "create" {
		client := &pocketdock.Client{Socket: args[1], StateDir: args[2]}
		box, err := client.Create(context.Background(), busybox, pocketdock.CreateOptions{Project: args[3]})
		if err == nil {
			fmt.Println(box.Name())
		}
		return err
	}
	p, err := Open(args[0])
	if err != nil {
		return err
	}
	p.Warn = func(err error) { fmt.Fprintln(os.Stderr, "warned:", err); os.Exit(3) }
	defer p.Close()
	i, err := p.Instance("box")
	if err != nil {
		return err
	}
	defer i.Close()
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l := Logging{AutoLog: true, MaxLogSize: 64 << 20, MaxLogsPerInstance: 50}
	for n := range count {
		cmd := fmt.Sprintf("%d-%d", os.Getpid(), n)
		r := i.Record(KindRun, pocketdock.Shell(cmd+" "+strings.Repeat("x", rand.IntN(3000))), l)
		r.Output(pocketdock.Stdout, []byte(cmd+"\n"))
		r.Finish(&pocketdock.Result{ExitCode: n % 256}, nil)
		fmt.Println(cmd)
	}
	return nil
}

// A writer is a helper process.
type writer struct {
	cmd      *exec.Cmd
	finished []string // commands whose Finish returned
}

// startWriter starts a writer that is killed once it has finished killAfter
// commands, wherever it is then; 0: not at all.
func startWriter(t *testing.T, dir string, count, killAfter int, wg *sync.WaitGroup) *writer {
	t.Helper()
	w := &writer{cmd: exec.CommandContext(t.Context(), os.Args[0], dir, strconv.Itoa(count))}
	w.cmd.Env = append(os.Environ(), helperEnv+"=1")
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				break // a half line is of one that was killed
			}
			w.finished = append(w.finished, strings.TrimSpace(line))
			if len(w.finished) == killAfter {
				w.cmd.Process.Kill()
			}
		}
		if err := w.cmd.Wait(); err != nil && killAfter == 0 {
			t.Errorf("a writer: %v", err)
		}
	})
	return w
}

// TestManyPrograms has 20 programs record 500 commands each, and as many
// others that are killed at random moments. Of every command whose Finish
// returned there is exactly one entry, whole, and no entry is made of two.
func TestManyPrograms(t *testing.T) {
	programs, count := 20, 500
	if testing.Short() {
		programs, count = 6, 100
	}
	i := newInstance(t)
	var wg sync.WaitGroup
	var all []*writer
	for range programs {
		all = append(all, startWriter(t, i.project.dir, count, 0, &wg))
		all = append(all, startWriter(t, i.project.dir, count, 1+rand.IntN(count/2), &wg))
	}
	wg.Wait()
	finished := map[string]bool{}
	killed := 0
	for _, w := range all {
		for _, cmd := range w.finished {
			finished[cmd] = true
		}
		if len(w.finished) < count {
			killed++
		}
	}
	if len(finished) < programs*count || killed == 0 {
		t.Errorf("%d commands finished, %d programs were killed before their end: the test shows less than it should", len(finished), killed)
	}
	seen := checkHistory(t, i)
	for cmd := range finished {
		if !seen[cmd] {
			t.Errorf("no entry of %s", cmd)
		}
	}
	t.Logf("%d entries of %d programs, %d of which were killed", len(seen), len(all), killed)

	// What those who were killed left is ended by the next who looks.
	if _, err := i.Collect(t.Context(), nil, Logging{MaxLogsPerInstance: 50}); err != nil {
		t.Fatal(err)
	}
	checkHistory(t, i)
	i.prune(Logging{MaxLogsPerInstance: 50})
	list, err := i.Logs()
	if err != nil || len(list) > 50 {
		t.Errorf("%d logs are left, %v", len(list), err)
	}
	files := map[string]bool{}
	for _, l := range list {
		files[l.Name] = true
	}
	entries, err := i.History(HistoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, e := range entries {
		if !files[e.Log] {
			continue
		}
		cmd, _, _ := strings.Cut(e.Cmd, " ")
		out, _, _, end := readAll(t, i, e.Log, e.At)
		if end == nil || out != cmd+"\n" && e.Event != EventLost {
			t.Errorf("%s in %s at %d: %q, %+v", cmd, e.Log, e.At, out, end)
		}
		read++
	}
	if read == 0 {
		t.Error("no log was read")
	}
}

// checkHistory returns the commands of the history; each must be whole and
// there once.
func checkHistory(t *testing.T, i *Instance) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(i.Dir(), historyName))
	if err != nil {
		t.Fatal(err)
	}
	torn := 0
	for _, line := range bytes.SplitAfter(b, []byte("\n")) {
		if len(line) > 0 && (!bytes.HasPrefix(line, []byte(`{"ts":`)) || !bytes.HasSuffix(line, []byte("}\n")) || bytes.Count(line, []byte(`{"ts":`)) != 1) {
			torn++
			t.Logf("torn: %.80q", line)
		}
	}
	entries, err := i.History(HistoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(b, []byte("\n")); lines-torn > len(entries) {
		t.Errorf("%d lines, %d of them torn, and %d entries", lines, torn, len(entries))
	}
	seen := map[string]bool{}
	for _, e := range entries {
		if e.Cmd == "" && e.Event == EventLost {
			continue // its program was killed before it had written the command
		}
		cmd, _, _ := strings.Cut(e.Cmd, " ")
		_, n, ok := strings.Cut(cmd, "-")
		if k, err := strconv.Atoi(n); !ok || err != nil || e.Exit != nil && *e.Exit != k%256 {
			t.Errorf("not an entry of ours: %+v", e)
		}
		if seen[cmd] {
			t.Errorf("two entries of %s", cmd)
		}
		seen[cmd] = true
	}
	return seen
}
