package pocketdock_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// buildContext is a tar stream of files.
func buildContext(t *testing.T, files map[string]string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestSuiteBuild(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "building images")
		tag := "pocketdock-test/built-" + e.name + ":v1"
		var text strings.Builder
		ctx := buildContext(t, map[string]string{
			"Containerfile": "FROM " + busybox + "\nARG WHAT\nCOPY f /f\nRUN echo built $WHAT >> /f\nUSER sandbox\n",
			"f":             "copied\n",
		})
		for ev, err := range e.client.Build(t.Context(), ctx, pocketdock.BuildOptions{Tag: tag, Dockerfile: "Containerfile",
			Args: map[string]string{"WHAT": "it"}, Labels: map[string]string{"a": "b"}}) {
			if err != nil {
				t.Fatal(err, text.String())
			}
			text.WriteString(ev.Text)
		}
		t.Cleanup(func() {
			if err := e.client.RemoveImage(context.Background(), tag); err != nil {
				t.Error(err)
			}
		})
		if !strings.Contains(text.String(), "RUN echo built") {
			t.Errorf("progress: %q", text.String())
		}
		box := create(t, e, tag, pocketdock.CreateOptions{})
		if res := mustRun(t, box, pocketdock.Shell("cat /f; id -un")); string(res.Stdout) != "copied\nbuilt it\nsandbox\n" {
			t.Errorf("got %q", res.Stdout)
		}
		destroy(t, box)
	})
}

// TestSuiteRunImage runs an image's own command beside the agent.
func TestSuiteRunImage(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "building images")
		tag := "pocketdock-test/main-" + e.name + ":v1"
		ctx := buildContext(t, map[string]string{"Dockerfile": "FROM " + busybox + "\nENV A=b\nUSER sandbox\n" +
			`ENTRYPOINT ["/bin/sh", "-c", "echo $A $(id -un) $1; exec sleep 1067", "x"]` + "\n" + `CMD ["arg"]` + "\n"})
		for _, err := range e.client.Build(t.Context(), ctx, pocketdock.BuildOptions{Tag: tag}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			if err := e.client.RemoveImage(context.Background(), tag); err != nil {
				t.Error(err)
			}
		})
		box := create(t, e, tag, pocketdock.CreateOptions{RunImage: true})
		main := box.Process("main")
		eventually(t, 10*time.Second, "it has printed", func() bool {
			o, err := main.Output(t.Context(), pocketdock.Offset{})
			return err == nil && string(o.Stdout) == "b sandbox arg\n" && o.Running
		})
		if err := main.Kill(t.Context(), 0); err != nil {
			t.Error(err)
		}
		mustRun(t, box, pocketdock.Argv("true")) // the container goes on
		destroy(t, box)
	})
}

// TestSuiteBuildFails: an error that comes after the status is an error.
func TestSuiteBuildFails(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "building images")
		for name, dockerfile := range map[string]string{
			"step":   "FROM " + busybox + "\nRUN echo before && false\n",
			"syntax": "FROM " + busybox + "\nNONSENSE x\n",
			"copy":   "FROM " + busybox + "\nCOPY missing /x\n",
		} {
			var last error
			for _, err := range e.client.Build(t.Context(), buildContext(t, map[string]string{"Dockerfile": dockerfile}), pocketdock.BuildOptions{}) {
				last = errors.Join(last, err)
			}
			if last == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}
