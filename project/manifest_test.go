package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func sprint(v any) string { return fmt.Sprintf("%+v", v) }

// tree is a directory's content as text.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text, _ := os.ReadFile(path)
		fi, err := d.Info()
		fmt.Fprintf(&b, "%s %v %q\n", path, fi.Mode(), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestManifest(t *testing.T) {
	m := &Manifest{
		Container: ManifestContainer{ID: strings.Repeat("a", 64), Name: "box", Image: "img:1", Profile: "dev", Project: "shop",
			CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Persist: true},
		Resources:  ManifestResources{Memory: 1 << 30, CPUPercent: 50, PIDs: 7, Disk: 1, TTL: "1h0m0s", IdleTimeout: "5m0s", Network: true},
		Ports:      []ManifestPort{{80, 8080, "127.0.0.1", "tcp"}, {53, 0, "", "udp"}},
		Volumes:    []ManifestVolume{{"/a \"b\"", "/c", true}},
		Provenance: ManifestProvenance{Argv: []string{"pocketdock", "create", "ü\n"}, PID: 42},
	}
	p := newProject(t, "")
	i, err := p.CreateInstance(m)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	got, err := i.Manifest()
	m.Provenance.Argv[2] = "ü\ufffd" // what is shown has no control characters
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%+v, want %+v (%v)", got, m, err)
	}
	if names, err := p.Instances(); err != nil || !slices.Equal(names, []string{"box"}) {
		t.Errorf("%v, %v", names, err)
	}
	for _, text := range []string{"[container", "[container]\nname = 1\n", "\x00", strings.Repeat("#", maxManifest+1), "a = " + strings.Repeat("[", 100_000)} {
		os.WriteFile(filepath.Join(i.Dir(), manifestName), []byte(text), 0o600)
		_, err := i.Manifest()
		if ce, ok := errors.AsType[*ConfigError](err); !ok || !strings.HasPrefix(err.Error(), i.Dir()) || len(err.Error()) > 1000 {
			t.Errorf("%.20q: %v (%v)", text, err, ce)
		}
	}
	if err := p.RemoveInstance("box"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Instance("box"); !errors.Is(err, ErrNoInstance) {
		t.Errorf("after its removal: %v", err)
	}
	if err := p.RemoveInstance("box"); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}

func TestRedactArgs(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"create --image x -e A=b --env C=d --env=E=f -eG=h", "create --image x -e A=*** --env C=*** --env=E=*** -eG=***"},
		{"run box -- curl --token abc --max-time 5", "run box -- curl --token *** --max-time 5"},
		{"mysql --password=x --user=y", "mysql --password=*** --user=y"},
		{"env API_KEY=x AWS_SECRET_ACCESS_KEY=y PATH=/bin make", "env API_KEY=*** AWS_SECRET_ACCESS_KEY=*** PATH=/bin make"},
		{"git clone https://me:tok@host/x.git", "git clone https://***@host/x.git"},
		{"curl -H Authorization:x", "curl -H Authorization:***"},
		{"run -ite X=y box", "run -ite X=*** box"},
		{"--password --next", "--password --next"},
		{"a=b -e", "a=b -e"},
	} {
		got := strings.Join(RedactArgs(strings.Fields(tt.args)), " ")
		if got != tt.want {
			t.Errorf("%s\nbecomes %s\nwant    %s", tt.args, got, tt.want)
		}
	}
}
