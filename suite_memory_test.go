package pocketdock_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteStreamInConstantMemory streams gigabytes through a client of its
// own and looks at the most memory that it had.
func TestSuiteStreamInConstantMemory(t *testing.T) {
	onEach(t, []string{socketWay, engineWay}, func(t *testing.T, box *pocketdock.Container) {
		size := int64(2 << 30)
		if testing.Short() || strings.HasSuffix(t.Name(), engineWay) {
			size = 256 << 20 // the engine's exec moves a tenth as much a second
		}
		for _, e := range engines {
			if !strings.Contains(t.Name(), "/"+e.name+"/") {
				continue
			}
			client := exec.Command(os.Args[0], "stream", e.client.Socket, e.client.StateDir, box.ID(), fmt.Sprint(size))
			client.Env = append(os.Environ(), helperEnv+"=1")
			var out, errs bytes.Buffer
			client.Stdout, client.Stderr = &out, &errs
			if err := client.Run(); err != nil {
				t.Fatalf("%v: %s", err, errs.String())
			}
			var n, peak int64
			if _, err := fmt.Sscan(out.String(), &n, &peak); err != nil || n != size {
				t.Fatalf("%q, %v", out.String(), err)
			}
			// The race detector's shadow memory is several times the program's.
			limit := int64(40 << 20)
			if raceEnabled {
				limit *= 4
			}
			t.Logf("%d bytes streamed, peak %d MB", n, peak>>20)
			if peak > limit {
				t.Errorf("the client had %d bytes of memory", peak)
			}
		}
	})
}

// streamHelper streams zeros and prints how many, and the peak of its memory.
func streamHelper(box *pocketdock.Container, size string) error {
	cmd := pocketdock.Argv("dd", "if=/dev/zero", "bs=1M", "iflag=count_bytes", "count="+size)
	cmd.Timeout = 10 * time.Minute
	var n int64
	cmd.Stdout = writerFunc(func(p []byte) (int, error) { n += int64(len(p)); return len(p), nil })
	ctx, cancel := helperContext()
	defer cancel()
	res, err := box.Run(ctx, cmd)
	if err != nil {
		return err
	}
	if !res.OK() {
		return fmt.Errorf("exit code %d: %s", res.ExitCode, res.Stderr)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			_, err := io.WriteString(os.Stdout, fmt.Sprintln(n, kb<<10))
			return err
		}
	}
	return fmt.Errorf("no VmHWM in %s", status)
}
