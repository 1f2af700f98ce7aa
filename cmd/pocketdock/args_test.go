package main

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/pocketdock/pocketdock"
)

func TestParsePort(t *testing.T) {
	for s, want := range map[string]pocketdock.Port{
		"80":                    {Container: 80},
		"8080:80":               {Host: 8080, Container: 80},
		":80":                   {Container: 80},
		"127.0.0.1::80":         {Address: "127.0.0.1", Container: 80},
		"0.0.0.0:53:53/udp":     {Address: "0.0.0.0", Host: 53, Container: 53, Protocol: "udp"},
		"[::1]:8080:80":         {Address: "::1", Host: 8080, Container: 80},
		"8080:80/tcp":           {Host: 8080, Container: 80, Protocol: "tcp"},
		"[2001:db8::1]::80/udp": {Address: "2001:db8::1", Container: 80, Protocol: "udp"},
	} {
		if got, err := parsePort(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "a", "1:b", "x:1:2", "1:2:3:4", "[::1:80", "::1:80:80", "80:"} {
		if got, err := parsePort(s); !errors.Is(err, pocketdock.ErrInvalid) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}

func TestParseVolume(t *testing.T) {
	for s, want := range map[string]pocketdock.Volume{
		"./site:/srv":   {Host: "./site", Container: "/srv"},
		"/a:/b:ro":      {Host: "/a", Container: "/b", ReadOnly: true},
		"/a:/b:rw":      {Host: "/a", Container: "/b"},
		"/a:b:/c":       {Host: "/a:b", Container: "/c"},
		"C:\\data:/c":   {Host: "C:\\data", Container: "/c"},
		"/with ro:/ro":  {Host: "/with ro", Container: "/ro"},
		"relative:/x/y": {Host: "relative", Container: "/x/y"},
	} {
		if got, err := parseVolume(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "/a", ":/b", "/a:b", "/a:ro"} {
		if got, err := parseVolume(s); !errors.Is(err, pocketdock.ErrInvalid) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}

// TestCreateFlags: what is written on the command line is what is asked for.
func TestCreateFlags(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want pocketdock.CreateOptions
	}{
		{nil, pocketdock.CreateOptions{Owner: -1, Timeout: 30 * time.Second}},
		{[]string{"--timeout", "0"}, pocketdock.CreateOptions{Owner: -1, Timeout: -1}},
		{[]string{"--mem-limit", "512m", "--cpu-percent", "50", "--pids-limit", "99", "--disk-limit", "5g"},
			pocketdock.CreateOptions{Owner: -1, Timeout: 30 * time.Second, Memory: 512 << 20, CPUPercent: 50, PIDs: 99, Disk: 5 << 30}},
		{[]string{"--mem-limit", "none", "--cpu-percent", "-1"}, pocketdock.CreateOptions{Owner: -1, Timeout: 30 * time.Second, Memory: -1, CPUPercent: -1}},
		{[]string{"--device", "/dev/kvm", "--runtime", "runsc", "--run-image", "--cap", "CHOWN,KILL"},
			pocketdock.CreateOptions{Owner: -1, Timeout: 30 * time.Second, Devices: []string{"/dev/kvm"}, Runtime: "runsc", RunImage: true,
				Capabilities: []string{"CHOWN", "KILL"}}},
		{[]string{"--no-network", "-e", "A=b=c", "-e", "D=", "--tmpfs", "/a:1m", "--tmpfs", "/b"},
			pocketdock.CreateOptions{Owner: -1, NoNetwork: true, Timeout: 30 * time.Second, Env: map[string]string{"A": "b=c", "D": ""},
				Tmpfs: map[string]int64{"/a": 1 << 20, "/b": 0}}},
	} {
		var o createFlags
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.register(f)
		if err := f.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		got, err := o.parse()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []*map[string]string{&got.Env, &got.Labels, &got.Secrets} {
			if len(*m) == 0 {
				*m = nil
			}
		}
		if len(got.Tmpfs) == 0 {
			got.Tmpfs = nil
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q:\n%+v, want\n%+v", tt.args, got, tt.want)
		}
	}
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "just now", 5 * time.Second: "5 seconds ago", 61 * time.Second: "1 minute ago",
		2 * time.Hour: "2 hours ago", 49 * time.Hour: "2 days ago", 400 * 24 * time.Hour: "1 year ago", -time.Minute: "in 1 minute"} {
		if got := ago(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
