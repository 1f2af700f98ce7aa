package install

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A header is a table's, and where in the text its line begins.
type header struct {
	keys []string
	at   int
}

func (c Client) addTOML(text []byte, e Entry) ([]byte, error) {
	keys := append(slices.Clone(c.keys), e.Name)
	var before map[string]any
	if err := toml.Unmarshal(text, &before); err != nil {
		return nil, fmt.Errorf("the configuration of %s is not TOML: %w", c.Title, err)
	}
	headers, err := headersOf(text)
	if err != nil {
		return nil, fmt.Errorf("the configuration of %s: %w", c.Title, err)
	}
	table := tomlTable(e, keys)
	if bytes.Contains(text, []byte("\r\n")) {
		table = lines(table, "\r\n")
	}
	out, replaced := replaceTable(text, headers, keys, table)
	if !replaced {
		if has(before, keys) {
			return nil, fmt.Errorf("the configuration of %s has %s in another form than a table: edit it by hand", c.Title, strings.Join(keys, "."))
		}
		out = slices.Clone(text)
		if len(out) > 0 {
			if out[len(out)-1] != '\n' {
				out = append(out, '\n')
			}
			out = append(out, '\n')
		}
		out = append(out, table...)
	}
	var after map[string]any
	if err := toml.Unmarshal(out, &after); err != nil {
		return nil, fmt.Errorf("the configuration of %s cannot be edited safely, add the entry by hand: %w", c.Title, err)
	}
	if !has(after, keys) || !reflect.DeepEqual(without(before, keys), without(after, keys)) {
		return nil, fmt.Errorf("the configuration of %s cannot be edited safely: add the entry by hand", c.Title)
	}
	return out, nil
}

func tomlTable(e Entry, keys []string) string {
	var args []string
	for _, a := range e.Args {
		args = append(args, quote(a))
	}
	name := slices.Clone(keys)
	for i, k := range name {
		if strings.Trim(k, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || k == "" {
			name[i] = quote(k)
		}
	}
	return fmt.Sprintf("[%s]\ncommand = %s\nargs = [%s]\n", strings.Join(name, "."), quote(e.Command), strings.Join(args, ", "))
}

// headersOf finds all tables.
func headersOf(text []byte) ([]header, error) {
	var list []header
	p := unstable.Parser{}
	p.Reset(text)
	for p.NextExpression() {
		n := p.Expression()
		if n.Kind != unstable.Table && n.Kind != unstable.ArrayTable {
			continue
		}
		h := header{at: -1}
		for it := n.Key(); it.Next(); {
			k := it.Node()
			if h.at < 0 {
				h.at = bytes.LastIndexByte(text[:k.Raw.Offset], '\n') + 1
			}
			h.keys = append(h.keys, string(k.Data))
		}
		list = append(list, h)
	}
	return list, p.Error()
}

// replaceTable puts a table in the place of the one of that key and those below
// it. Comments and blank lines before the next table are the next one's.
func replaceTable(text []byte, headers []header, keys []string, table string) (out []byte, replaced bool) {
	at := 0
	for i, h := range headers {
		if len(h.keys) < len(keys) || !slices.Equal(h.keys[:len(keys)], keys) {
			continue
		}
		end := len(text)
		if i+1 < len(headers) {
			end = headers[i+1].at
		}
		end = behindContent(text, h.at, end)
		out = append(out, text[at:h.at]...)
		if !replaced {
			out = append(out, table...)
			replaced = true
		}
		at = end
	}
	return append(out, text[at:]...), replaced
}

// behindContent is the end of the last line between two places that is neither
// blank nor a comment.
func behindContent(text []byte, from, to int) int {
	end, at := from, from
	for line := range bytes.Lines(text[from:to]) {
		at += len(line)
		if s := bytes.TrimSpace(line); len(s) > 0 && s[0] != '#' {
			end = at
		}
	}
	return end
}
