package main

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock"
)

type resultJSON struct {
	ID            string  `json:"id" help:"of the process; with --detach there are only id and container"`
	ExitCode      int     `json:"exit_code" help:"128 + n for signal n"`
	Signal        int     `json:"signal" help:"that ended it; 0: none"`
	TimedOut      bool    `json:"timed_out" help:"its time was up"`
	OOMKilled     bool    `json:"oom_killed" help:"it used more memory than it may"`
	Seconds       float64 `json:"seconds" help:"that it ran"`
	Encoding      string  `json:"encoding" help:"of stdout and stderr: utf-8, or base64 for other bytes"`
	Stdout        string  `json:"stdout" help:"empty with --stream"`
	Stderr        string  `json:"stderr" help:"empty with --stream"`
	StdoutDropped int64   `json:"stdout_dropped" help:"bytes missing in the middle, see --max-output"`
	StderrDropped int64   `json:"stderr_dropped" help:"bytes missing in the middle"`
}

func resultOf(r *pocketdock.Result) resultJSON {
	j := resultJSON{ID: r.ID, ExitCode: r.ExitCode, Signal: r.Signal, TimedOut: r.TimedOut, OOMKilled: r.OOMKilled,
		Seconds: seconds(r.Duration), StdoutDropped: r.StdoutDropped, StderrDropped: r.StderrDropped}
	j.Encoding = encodingOf(r.Stdout, r.Stderr)
	j.Stdout, j.Stderr = encode(j.Encoding, r.Stdout), encode(j.Encoding, r.Stderr)
	return j
}

type chunkJSON struct {
	Stream   string `json:"stream"`
	Encoding string `json:"encoding"`
	Data     string `json:"data"`
}

func chunkOf(c pocketdock.Chunk) chunkJSON {
	e := encodingOf(c.Data)
	return chunkJSON{c.Stream.String(), e, encode(e, c.Data)}
}

// encodingOf is how JSON can hold these bytes.
func encodingOf(texts ...[]byte) string {
	for _, t := range texts {
		if !utf8.Valid(t) {
			return "base64"
		}
	}
	return "utf-8"
}

func encode(encoding string, b []byte) string {
	if encoding == "base64" {
		return base64.StdEncoding.EncodeToString(b)
	}
	return string(b)
}
