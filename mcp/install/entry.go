package install

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Snippet is what the client's file has to contain, as a file of its own.
func (c Client) Snippet(e Entry) (string, error) {
	b, err := c.Add(nil, e)
	return string(b), err
}

// Add returns the text of a configuration file with the entry in it, new or in
// the place of one of the same name. All else stays as it is, comments and
// spaces included.
func (c Client) Add(text []byte, e Entry) ([]byte, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("the configuration of %s has more than %d bytes", c.Title, maxFile)
	}
	if c.toml {
		return c.addTOML(text, e)
	}
	return c.addJSON(text, e)
}

// maxFile bounds what is read, in bytes: Claude Code's file has a history in it.
const maxFile = 64 << 20

// A jsonEntry is an entry in JSON.
type jsonEntry struct {
	Type    string   `json:"type,omitempty"`
	Command string   `json:"command"`
	Args    []string `json:"args"`
}

// json is the entry's value, indented below a prefix.
func (c Client) json(e Entry, prefix, indent string) (string, error) {
	v := jsonEntry{Command: e.Command, Args: e.Args}
	if c.typed {
		v.Type = "stdio"
	}
	if v.Args == nil {
		v.Args = []string{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, indent)
	err := enc.Encode(v)
	return strings.TrimRight(b.String(), "\n"), err
}

// quote is a string in JSON, which a basic string of TOML is, too.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can be encoded
	return strings.TrimRight(b.String(), "\n")
}
