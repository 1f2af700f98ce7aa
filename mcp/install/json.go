package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Clients' JSON has comments and commas behind the last member. It is read
// without them, each replaced by spaces, so that every place in what is read is
// the same place in the text.

// blank replaces comments by spaces, and with commas those that JSON does not
// allow, too.
func blank(text []byte, commas bool) []byte {
	out := slices.Clone(text)
	comma := -1 // the last one, if nothing came after it
	for i := 0; i < len(out); {
		switch c := out[i]; {
		case c == '"':
			comma = -1
			for i++; i < len(out) && out[i] != '"'; i++ {
				if out[i] == '\\' {
					i++
				}
			}
			i++
		case c == '/' && i+1 < len(out) && (out[i+1] == '/' || out[i+1] == '*'):
			end := commentEnd(out, i)
			for ; i < end; i++ {
				if out[i] != '\n' && out[i] != '\r' {
					out[i] = ' '
				}
			}
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		default:
			if (c == '}' || c == ']') && comma >= 0 && commas {
				out[comma] = ' '
			}
			comma = -1
			if c == ',' {
				comma = i
			}
			i++
		}
	}
	return out
}

func commentEnd(text []byte, i int) int {
	end := []byte("\n")
	if text[i+1] == '*' {
		end = []byte("*/")
	}
	n := bytes.Index(text[i+2:], end)
	if n < 0 {
		return len(text)
	}
	if text[i+1] == '*' {
		n += len(end)
	}
	return i + 2 + n
}

// A member of an object, and where in the text its value is.
type member struct {
	key        string
	start, end int
}

// An object, and where in the text its braces are.
type object struct {
	open, close int
	members     []member
}

// objectAt reads the object that begins at or after a place.
func objectAt(plain []byte, at int) (object, error) {
	d := json.NewDecoder(bytes.NewReader(plain[at:]))
	t, err := d.Token()
	if err != nil {
		return object{}, err
	}
	if t != json.Delim('{') {
		return object{}, errors.New("not an object")
	}
	o := object{open: at + int(d.InputOffset()) - 1}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return o, err
		}
		key, _ := t.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return o, err
		}
		end := at + int(d.InputOffset())
		o.members = append(o.members, member{key, end - len(raw), end})
	}
	if _, err := d.Token(); err != nil {
		return o, err
	}
	o.close = at + int(d.InputOffset()) - 1
	return o, nil
}

// find is the member of that key; of several the last one, which is the one
// that counts.
func (o object) find(key string) (member, bool) {
	for _, m := range slices.Backward(o.members) {
		if m.key == key {
			return m, true
		}
	}
	return member{}, false
}

const byteOrderMark = "\ufeff"

func (c Client) addJSON(text []byte, e Entry) ([]byte, error) {
	mark := ""
	if s, ok := bytes.CutPrefix(text, []byte(byteOrderMark)); ok {
		mark, text = byteOrderMark, s
	}
	if len(bytes.TrimSpace(blank(text, false))) == 0 {
		if text = bytes.TrimRight(text, " \t\r\n"); len(text) > 0 {
			text = append(text, '\n') // behind comments
		}
		text = append(text, "{}\n"...)
	}
	plain := blank(text, true)
	var before map[string]any
	if err := json.Unmarshal(plain, &before); err != nil {
		return nil, fmt.Errorf("the configuration of %s is not JSON: %w", c.Title, err)
	}
	keys := append(slices.Clone(c.keys), e.Name)
	out, err := c.set(text, plain, keys, e)
	if err != nil {
		return nil, err
	}
	// What we do to a file of somebody else's is looked at again.
	var after map[string]any
	if err := json.Unmarshal(blank(out, true), &after); err != nil {
		return nil, fmt.Errorf("editing the configuration of %s: %w", c.Title, err)
	}
	if !has(after, keys) || !reflect.DeepEqual(without(before, keys), without(after, keys)) {
		return nil, fmt.Errorf("the configuration of %s cannot be edited safely: add the entry by hand", c.Title)
	}
	return append([]byte(mark), out...), nil
}

// set replaces or adds what keys lead to.
func (c Client) set(text, plain []byte, keys []string, e Entry) ([]byte, error) {
	unit, newline := style(text)
	o, err := objectAt(plain, 0)
	if err != nil {
		return nil, err
	}
	for len(keys) > 1 {
		m, ok := o.find(keys[0])
		if !ok {
			break
		}
		if o, err = objectAt(plain, m.start); err != nil || plain[m.start] != '{' {
			return nil, fmt.Errorf("%q in the configuration of %s is no object", keys[0], c.Title)
		}
		keys = keys[1:]
	}
	outer := indentOf(text, o.open)
	inner := outer + unit
	if m, ok := o.find(keys[0]); ok {
		inner = indentOf(text, m.start)
		value, err := c.json(e, inner, unit)
		return splice(text, m.start, m.end, lines(value, newline)), err
	}
	if len(o.members) > 0 && bytes.ContainsRune(text[o.open:o.members[0].start], '\n') {
		inner = indentOf(text, o.members[0].start)
	}
	added := ""
	for i := range keys {
		added += inner + strings.Repeat(unit, i) + quote(keys[i]) + ": "
		if i < len(keys)-1 {
			added += "{\n"
		}
	}
	value, err := c.json(e, inner+strings.Repeat(unit, len(keys)-1), unit)
	if err != nil {
		return nil, err
	}
	added += value
	for i := len(keys) - 2; i >= 0; i-- {
		added += "\n" + inner + strings.Repeat(unit, i) + "}"
	}
	return insert(text, o, lines("\n"+added, newline), newline+outer), nil
}

// insert adds a member at an object's end, behind whatever comment is there.
func insert(text []byte, o object, added, before string) []byte {
	end := len(bytes.TrimRight(text[:o.close], " \t\r\n"))
	if !bytes.ContainsRune(text[end:o.close], '\n') {
		added += before // the brace on a line of its own
		if end > o.open {
			text = splice(text, end, o.close, "")
			o.close = end
		}
	}
	out := splice(text, end, end, added)
	if n := len(o.members); n > 0 {
		last := o.members[n-1].end
		if !bytes.ContainsRune(blank(text[last:o.close], false), ',') {
			out = splice(out, last, last, ",")
		}
	}
	return out
}

// splice replaces a piece of the text.
func splice(text []byte, from, to int, by string) []byte {
	return slices.Concat(text[:from], []byte(by), text[to:])
}

func lines(s, newline string) string { return strings.ReplaceAll(s, "\n", newline) }

// style is how the text is indented, and how its lines end.
func style(text []byte) (unit, newline string) {
	unit, newline = "  ", "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		newline = "\r\n"
	}
	for line := range bytes.Lines(text) {
		if rest := bytes.TrimLeft(line, " \t"); len(rest) < len(line) && len(bytes.TrimSpace(rest)) > 0 && rest[0] == '"' {
			return string(line[:len(line)-len(rest)]), newline
		}
	}
	return unit, newline
}

// indentOf is the white space at the beginning of the line that a place is in.
func indentOf(text []byte, at int) string {
	line := text[bytes.LastIndexByte(text[:at], '\n')+1:]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// has tells whether keys lead to something.
func has(m map[string]any, keys []string) bool {
	for i, k := range keys {
		v, ok := m[k]
		if !ok || i == len(keys)-1 {
			return ok
		}
		if m, ok = v.(map[string]any); !ok {
			return false
		}
	}
	return false
}

// without is what there is beside what keys lead to, and beside objects that
// are then empty.
func without(m map[string]any, keys []string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if k != keys[0] {
			out[k] = v
			continue
		}
		if inner, ok := v.(map[string]any); ok && len(keys) > 1 {
			if rest := without(inner, keys[1:]); len(rest) > 0 {
				out[k] = rest
			}
		}
	}
	return out
}
