package pocketdock

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestProfileCheck(t *testing.T) {
	for name, p := range map[string]struct {
		profile Profile
		says    string
	}{
		"built in":            {Profile{Name: "agent"}, ""},
		"host":                {Profile{Name: "host"}, ""},
		"own":                 {Profile{Name: "my-own2", Dir: "d"}, ""},
		"unknown":             {Profile{Name: "agnet"}, "there are minimal-python"},
		"own of a known name": {Profile{Name: "agent", Dir: "d"}, "is built in"},
		"upper case":          {Profile{Name: "Agent", Dir: "d"}, "lower-case"},
		"two hyphens":         {Profile{Name: "a--b", Dir: "d"}, "lower-case"},
		"a path":              {Profile{Name: "../x", Dir: "d"}, "lower-case"},
		"a tag":               {Profile{Name: "a:b", Dir: "d"}, "lower-case"},
		"long":                {Profile{Name: strings.Repeat("a", 64), Dir: "d"}, "at most 63"},
		"empty":               {Profile{Dir: "d"}, "lower-case"},
	} {
		err := p.profile.Check()
		if (err == nil) != (p.says == "") || err != nil && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), p.says)) {
			t.Errorf("%s: %v, want %q", name, err, p.says)
		}
	}
}

// TestBuiltinContext: the same bytes each time, and certificates only where a
// stage takes them.
func TestBuiltinContext(t *testing.T) {
	for _, p := range Profiles() {
		if p.Name == ProfileHost {
			continue
		}
		a, err := builtinContext(p.Name, []byte("CERT"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := builtinContext(p.Name, []byte("CERT"))
		if !bytes.Equal(a, b) || bytes.Contains(a, []byte("CERT")) != (p.Name == "minimal-bun") {
			t.Errorf("%s: the context is not as it should be", p.Name)
		}
	}
}

// The events of streams as Docker 20.10 and Podman 4.3 send them.
func TestBuildEvents(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     BuildEvent
	}{
		{"Docker's step", `{"stream":"Step 2/5 : RUN echo a: b"}`, BuildEvent{Kind: BuildStep, Text: "Step 2/5 : RUN echo a: b", Step: 2, Steps: 5, Instruction: "RUN echo a: b"}},
		{"Podman's step", `{"stream":"STEP 2/5: RUN x\n"}`, BuildEvent{Kind: BuildStep, Text: "STEP 2/5: RUN x\n", Step: 2, Steps: 5, Instruction: "RUN x"}},
		{"Podman's step of a stage", `{"stream":"[1/2] STEP 2/3: COPY a b\n"}`, BuildEvent{Kind: BuildStep, Text: "[1/2] STEP 2/3: COPY a b\n", Step: 2, Steps: 3, Stage: 1, Stages: 2, Instruction: "COPY a b"}},
		{"Docker's cache", `{"stream":"Step 1/1 : X"}{"stream":" ---> Using cache\n"}`, BuildEvent{Kind: BuildCached, Text: " ---> Using cache\n", Step: 1, Steps: 1}},
		{"Podman's cache", `{"stream":"--> Using cache f403eed1\n"}`, BuildEvent{Kind: BuildCached, Text: "--> Using cache f403eed1\n"}},
		{"output", `{"stream":"a Step 1/2 : b\n"}`, BuildEvent{Text: "a Step 1/2 : b\n"}},
		{"a step in the midst of output", `{"stream":"Step 1/2 : a\nmore\n"}`, BuildEvent{Text: "Step 1/2 : a\nmore\n"}},
		{"numbers without end", `{"stream":"Step 99999999999999999999/1 : a"}`, BuildEvent{Text: "Step 99999999999999999999/1 : a"}},
		{"a pull", `{"status":"Downloading","id":"1f","progress":"[=> ] 1MB/2MB"}`, BuildEvent{Kind: BuildPull, Text: "1f: Downloading [=> ] 1MB/2MB\n"}},
		{"the image", `{"aux":{"ID":"sha256:1"}}`, BuildEvent{Kind: BuildImage, ImageID: "sha256:1"}},
	} {
		var last BuildEvent
		for ev, err := range progress(strings.NewReader(tt.in)) {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			last = ev
		}
		if last != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, last, tt.want)
		}
	}
}

// TestBuildErrorBounded: nothing that a build prints makes its error large.
func TestBuildErrorBounded(t *testing.T) {
	var l buildLog
	l.add(BuildEvent{Kind: BuildStep, Step: 1, Steps: 2, Instruction: "RUN " + strings.Repeat("é", 1<<18)})
	for range 100 {
		l.add(BuildEvent{Text: strings.Repeat("x", 1<<16)})
	}
	l.add(BuildEvent{Text: "\nthe reason\n\x1b[0mRemoving intermediate container 1\n"})
	err := l.explain("a:b", &progressError{"exit code 7"})
	if cap(l.text) > 1<<18 || len(err.Error()) > 8<<10 || !strings.HasSuffix(err.Error(), "the reason") || !strings.Contains(err.Error(), "step 1 of 2, RUN") {
		t.Errorf("%d kept, %d bytes: %v", cap(l.text), len(err.Error()), err)
	}
	boom := errors.New("boom")
	if l.explain("a:b", boom) != boom {
		t.Error("an error of ours was changed")
	}
}
