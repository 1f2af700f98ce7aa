package project

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/pocketdock/pocketdock/internal/pattern"
)

// Set writes one setting into the project's file, which keeps everything
// else, comments included, byte for byte. The file is replaced whole or not
// at all.
func (p *Project) Set(key, val string) error {
	unlock, err := lockDir(p.root)
	if err != nil {
		return fmt.Errorf("%s: %w", p.ConfigPath(), err)
	}
	defer unlock()
	return setIn(p.root, p.ConfigPath(), key, val)
}

// SetUser is [Project.Set] for the user's file below a home directory.
func SetUser(home, key, val string) error {
	path := UserFilePath(home)
	if err := checkSetting(path, key, val); err != nil {
		return err // and make no directory for it
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// The user's own link is followed, as by Load.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lockDir(root)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer unlock()
	return setIn(root, path, key, val)
}

// checkSetting refuses a key that is none and a value that is none of its.
func checkSetting(path, key, val string) error {
	f := fieldOf(key)
	if f == nil {
		return &ConfigError{File: path, Msg: "unknown key " + quote(key) + didYouMean(key, Keys())}
	}
	if _, err := f.parse(val); err != nil {
		return &ConfigError{File: path, Msg: key + ": " + err.Error()}
	}
	return nil
}

func setIn(root *os.Root, path, key, val string) error {
	if err := checkSetting(path, key, val); err != nil {
		return err
	}
	f := fieldOf(key)
	name := filepath.Base(path)
	mode := fs.FileMode(0o644)
	var d *document
	file, err := openRegular(root, name, os.O_RDONLY)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d = &document{file: path}
	case err != nil:
		return &ConfigError{File: path, Msg: reason(err)}
	default:
		defer file.Close()
		if fi, err := file.Stat(); err == nil {
			mode = fi.Mode().Perm()
		}
		if d, err = readDocument(path, file); err != nil {
			return err
		}
	}
	text, err := d.with(f, val)
	if err != nil {
		return err
	}
	if bytes.Equal(text, d.text) {
		return nil
	}
	if err := replaceFile(root, name, text, mode); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// plainText is what YAML reads as a text without quotes, unless it looks like
// another type.
var plainText = pattern.New(`^[A-Za-z0-9/.][A-Za-z0-9_/.-]*$`)

// render writes a value as YAML, on one line.
func (f *field) render(val string) string {
	var n yaml.Node
	if plainText.MatchString(val) && yaml.Load([]byte(val), &n) == nil && len(n.Content) == 1 && checkTag(f, n.Content[0]) == "" {
		return val
	}
	// JSON's strings are YAML's.
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(val)
	return strings.TrimSpace(b.String())
}

// with is the document's text with one setting changed. The change is made in
// the text, where the parser says, and read again: a document in which that
// does not have exactly the intended effect is left to its owner.
func (d *document) with(f *field, val string) ([]byte, error) {
	text := d.edit(f, val)
	if text != nil {
		after, err := parseDocument(d.file, text)
		if err == nil && sameBut(d, after, f, val) {
			return text, nil
		}
	}
	return nil, &ConfigError{File: d.file, Msg: fmt.Sprintf("%s cannot be set in a file written like this one: write %s: %s by hand", f.key, f.key, f.render(val))}
}

// sameBut reports whether after differs from before in one setting only.
func sameBut(before, after *document, f *field, val string) bool {
	collect := func(d *document) map[string]string {
		m := map[string]string{}
		for _, s := range d.settings {
			m[s.field.key] = s.value.text
		}
		for _, s := range d.profiles {
			m[profilesKey+"."+s.name] = s.value.text
		}
		return m
	}
	a, b := collect(before), collect(after)
	if b[f.key] != val {
		return false
	}
	a[f.key] = val
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if a[k] != b[k] {
			return false
		}
	}
	return true
}

// edit returns the changed text, or nil where it does not know how.
func (d *document) edit(f *field, val string) []byte {
	section, name, nested := strings.Cut(f.key, ".")
	if !nested {
		section, name = "", f.key
	}
	where, indent := d.root, 0
	if nested {
		k, v := lookup(d.root, section)
		switch {
		case k == nil:
			return d.insert(len(d.text), fmt.Sprintf("%s:\n  %s: %s", section, name, f.render(val)))
		case v.Kind != yaml.MappingNode: // the section is empty
			if v.Value != "" {
				return nil
			}
			return d.addBelow(k.Line, k.Column+1, name, f.render(val))
		}
		where = v
	}
	k, v := lookup(where, name)
	switch {
	case k != nil && v.Value == "" && v.Tag == "!!null":
		return d.splice(d.offset(k.Line, k.Column)+len(name)+1, 0, " "+f.render(val))
	case k != nil:
		from := d.offset(v.Line, v.Column)
		n := d.extent(from, v, where.Style&yaml.FlowStyle != 0)
		if n < 0 {
			return nil
		}
		return d.splice(from, n, f.render(val))
	case where == nil || len(where.Content) == 0 && !nested:
		return d.addBelow(0, 0, name, f.render(val))
	case where.Style&yaml.FlowStyle != 0:
		more := ""
		if len(where.Content) > 0 {
			more = ", "
		}
		return d.splice(d.offset(where.Line, where.Column)+1, 0, name+": "+f.render(val)+more)
	}
	indent = where.Content[0].Column - 1
	if nested {
		sk, _ := lookup(d.root, section)
		return d.addBelow(sk.Line, indent, name, f.render(val))
	}
	return d.addBelow(0, indent, name, f.render(val))
}

// lookup finds a key of a mapping.
func lookup(m *yaml.Node, name string) (k, v *yaml.Node) {
	if m == nil {
		return nil, nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// addBelow adds "name: val" to the section whose key is in that line (0: the
// top): in the place of the same setting commented out, if there is one, else
// at its beginning (the top: at the end of the file).
func (d *document) addBelow(line, indent int, name, val string) []byte {
	entry := strings.Repeat(" ", indent) + name + ": " + val
	comment := regexp.MustCompile(`^(\s*)#\s*` + regexp.QuoteMeta(name) + `:( .*)?$`)
	for n := line + 1; ; n++ {
		text := d.line(n)
		if text == nil {
			break
		}
		if m := comment.FindSubmatch(text); m != nil && (line > 0 || len(m[1]) == 0) {
			return d.splice(d.offset(n, 1), len(text), entry)
		}
		if t := bytes.TrimLeft(text, " "); line > 0 && len(t) > 0 && t[0] != '#' && len(text)-len(t) < indent {
			break // the section ends
		}
	}
	if line == 0 {
		return d.insert(len(d.text), entry)
	}
	return d.insert(d.offset(line+1, 1), entry)
}

// insert adds whole lines at an offset that is the beginning of a line or the
// end of the text.
func (d *document) insert(at int, lines string) []byte {
	nl := "\n"
	if bytes.Contains(d.text, []byte("\r\n")) {
		nl = "\r\n"
	}
	lines = strings.ReplaceAll(lines, "\n", nl) + nl
	if at > 0 && d.text[at-1] != '\n' {
		lines = nl + lines
	}
	return d.splice(at, 0, lines)
}

func (d *document) splice(at, remove int, add string) []byte {
	if at < 0 || at+remove > len(d.text) {
		return nil
	}
	return bytes.Join([][]byte{d.text[:at], []byte(add), d.text[at+remove:]}, nil)
}

// offset is where a place in the text is, in bytes. Columns count characters.
func (d *document) offset(line, column int) int {
	at := 0
	for ; line > 1; line-- {
		n := bytes.IndexByte(d.text[at:], '\n')
		if n < 0 {
			return len(d.text)
		}
		at += n + 1
	}
	for ; column > 1 && at < len(d.text); column-- {
		_, n := utf8.DecodeRune(d.text[at:])
		at += n
	}
	return at
}

// extent is the length of a scalar's text that begins at from, or -1 for one
// of several lines.
func (d *document) extent(from int, v *yaml.Node, flow bool) int {
	rest := d.text[from:]
	if i := bytes.IndexAny(rest, "\r\n"); i >= 0 {
		rest = rest[:i]
	}
	switch {
	case v.Kind != yaml.ScalarNode || v.Style&(yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 || len(rest) == 0:
		return -1
	case v.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\'' {
				if i+1 < len(rest) && rest[i+1] == '\'' {
					i++
					continue
				}
				return i + 1
			}
		}
		return -1
	case v.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return -1
	}
	if i := bytes.Index(rest, []byte(" #")); i >= 0 {
		rest = rest[:i]
	}
	if i := bytes.IndexAny(rest, ",}]"); flow && i >= 0 {
		rest = rest[:i]
	}
	return len(bytes.TrimRight(rest, " \t"))
}
