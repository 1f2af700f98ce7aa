package pocketdock_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pocketdock/pocketdock"
)

// TestSuiteSecrets: commands have a secret, also after a restart by another
// program and in a fresh container; the engine, images, the init's environment
// and all files but one do not.
func TestSuiteSecrets(t *testing.T) {
	for _, noMounts := range []bool{false, true} {
		onEngines(t, func(t *testing.T, e testEngine) {
			ctx := t.Context()
			client := &pocketdock.Client{Socket: e.client.Socket, StateDir: shortDir(t), NoMounts: noMounts}
			value := fmt.Sprintf("s3cret-%d\n'\"", os.Getpid())
			needle := []byte(fmt.Sprintf("s3cret-%d", os.Getpid()))
			box, err := client.Create(ctx, busybox, pocketdock.CreateOptions{Project: testProject,
				Env: map[string]string{"PLAIN": "x"}, Secrets: map[string]string{"TOKEN": value}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { destroy(t, box) })
			has := func(box *pocketdock.Container) {
				t.Helper()
				if res := mustRun(t, box, pocketdock.Shell(`printf %s "$TOKEN $PLAIN"`)); string(res.Stdout) != value+" x" {
					t.Errorf("a command has %q", res.Stdout)
				}
			}
			has(box)
			s := openSession(t, box, pocketdock.Command{})
			if env, err := s.Env(ctx); err != nil || env["TOKEN"] != value {
				t.Errorf("a session has %q, %v", env["TOKEN"], err)
			}
			if err := s.Close(ctx); err != nil {
				t.Error(err)
			}
			if _, err := box.Start(ctx, pocketdock.Shell("true")); err != nil {
				t.Fatal(err)
			}

			var inspected json.RawMessage
			if err := api(ctx, e, "GET", "/containers/"+box.ID()+"/json", nil, &inspected); err != nil {
				t.Fatal(err)
			}
			environ, err := readAs(t, box, "/proc/1/environ", "root")
			if err != nil && !errors.Is(err, pocketdock.ErrPermission) {
				t.Fatal(err)
			}
			image := fmt.Sprintf("pocketdock-test/secret-%d:latest", os.Getpid())
			if _, err := box.Snapshot(ctx, image, pocketdock.SnapshotOptions{}); err != nil {
				t.Fatal(err)
			}
			defer client.RemoveImage(ctx, image)
			var saved bytes.Buffer
			if err := client.SaveImages(ctx, &saved, image); err != nil {
				t.Fatal(err)
			}
			for what, text := range map[string][]byte{"inspect": inspected, "/proc/1/environ": environ, "the image": saved.Bytes()} {
				if bytes.Contains(text, needle) {
					t.Errorf("%s shows the secret", what)
				}
			}
			if !bytes.Contains(inspected, []byte("PLAIN")) || saved.Len() < 1<<20 {
				t.Error("the test looked at nothing")
			}
			found := 0
			err = filepath.WalkDir(client.StateDir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				b, err := os.ReadFile(path)
				if err != nil || !bytes.Contains(b, needle) {
					return err
				}
				found++
				info, err := d.Info()
				if err == nil && (info.Mode().Perm() != 0o600 || d.Name() != "secrets.json") {
					t.Errorf("%s, mode %v, has the secret", path, info.Mode())
				}
				return err
			})
			if err != nil || found != 1 {
				t.Errorf("%d files have the secret, %v", found, err)
			}

			// Another program starts it again, and makes it anew.
			other := &pocketdock.Client{Socket: e.client.Socket, StateDir: client.StateDir, NoMounts: noMounts}
			again, err := other.Get(ctx, box.Name())
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Reboot(ctx); err != nil {
				t.Fatal(err)
			}
			has(again)
			fresh, err := again.RebootFresh(ctx)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { destroy(t, fresh) })
			has(fresh)
			// Who starts it past us gets a refusal, not commands without secrets.
			if err := fresh.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			if err := api(ctx, e, "POST", "/containers/"+fresh.ID()+"/start", nil, nil); err != nil {
				t.Fatal(err)
			}
			eventually(t, 10e9, "the agent refuses", func() bool {
				_, err := fresh.Run(ctx, pocketdock.Shell("true"))
				return err != nil && strings.Contains(err.Error(), "secrets")
			})
		})
	}
}

func readAs(t *testing.T, box *pocketdock.Container, path, user string) ([]byte, error) {
	_, r, err := box.OpenFile(t.Context(), path, pocketdock.ReadOptions{User: user})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TestSuiteSecretsOfImageCommand: the image's own command waits for them.
func TestSuiteSecretsOfImageCommand(t *testing.T) {
	onEngines(t, func(t *testing.T, e testEngine) {
		e.lacks(t, "building images")
		ctx := t.Context()
		image := fmt.Sprintf("pocketdock-test/main-%d:latest", os.Getpid())
		files := map[string]string{"Dockerfile": "FROM " + busybox + "\nCMD [\"sh\", \"-c\", \"echo $TOKEN\"]\n"}
		for _, err := range e.client.Build(ctx, buildContext(t, files), pocketdock.BuildOptions{Tag: image}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { e.client.RemoveImage(context.Background(), image) })
		box := create(t, e, image, pocketdock.CreateOptions{RunImage: true, Secrets: map[string]string{"TOKEN": "for-main"}})
		p := box.Process("main")
		if res, err := p.Wait(ctx); err != nil || !res.OK() {
			t.Fatalf("%+v, %v", res, err)
		}
		if b, err := p.Output(ctx, pocketdock.Offset{}); err != nil || string(b.Stdout) != "for-main\n" {
			t.Errorf("%+v, %v", b, err)
		}
	})
}
