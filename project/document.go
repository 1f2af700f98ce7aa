package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// maxConfig bounds a settings file, in bytes; one with every setting and its
// comment has below 3 KiB.
const maxConfig = 64 << 10

// maxDepth bounds how deep a settings file nests; the schema needs 2.
const maxDepth = 16

// A document is one settings file, read strictly.
type document struct {
	file     string // for messages
	text     []byte
	root     *yaml.Node // the top mapping; nil in an empty file
	settings []setting
	profiles []setting
}

// A setting is one key of a document, with its place.
type setting struct {
	field *field // nil for a profile
	name  string // of the profile
	value value
	node  *yaml.Node
}

// readDocument reads a file of settings. It reports every fault that it can
// name, joined.
func readDocument(file string, r io.Reader) (*document, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return nil, err
	}
	return parseDocument(file, b)
}

func parseDocument(file string, b []byte) (*document, error) {
	d := &document{file: file, text: b}
	if err := d.checkBytes(); err != nil {
		return nil, err
	}
	var docs []yaml.Node
	// Nodes are not expanded: an alias costs nothing until it is refused below.
	err := yaml.Load(b, &docs, yaml.WithAllDocuments(), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		return nil, d.syntaxError(err)
	}
	if len(docs) > 1 {
		return nil, d.errorf(&docs[1], "a second document begins here; there must be one")
	}
	if len(docs) == 0 || len(docs[0].Content) == 0 {
		return d, nil
	}
	top := docs[0].Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return d, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, d.errorf(top, "must be a mapping of settings, such as project_name: NAME")
	}
	d.root = top
	return d, errors.Join(d.mapping(top, "")...)
}

// checkBytes refuses what is not text before a parser sees it.
func (d *document) checkBytes() error {
	if len(d.text) > maxConfig {
		return &ConfigError{File: d.file, Msg: fmt.Sprintf("the file is larger than %d bytes", maxConfig)}
	}
	line, column := 1, 1
	for rest := d.text; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			return &ConfigError{File: d.file, Line: line, Column: column, Msg: fmt.Sprintf("byte 0x%02x is not UTF-8", rest[0])}
		case r == '\n':
			line, column = line+1, 0
		case r < ' ' && r != '\t' && r != '\r' || r == 0x7f || r == 0xfeff && len(rest) < len(d.text):
			return &ConfigError{File: d.file, Line: line, Column: column, Msg: fmt.Sprintf("control character %U", r)}
		}
		column++
		rest = rest[n:]
	}
	return nil
}

// syntaxError is the parser's error with its place.
func (d *document) syntaxError(err error) error {
	e := &ConfigError{File: d.file, Msg: "not valid YAML"}
	if le, ok := errors.AsType[*yaml.LoadError](err); ok {
		e.Line, e.Column, e.Msg = le.Mark.Line, le.Mark.Column, "not valid YAML: "+le.Message
	}
	return e
}

func (d *document) errorf(n *yaml.Node, format string, args ...any) error {
	return &ConfigError{File: d.file, Line: n.Line, Column: n.Column, Msg: fmt.Sprintf(format, args...)}
}

// mapping reads the mapping of a section; "" is the top.
func (d *document) mapping(m *yaml.Node, section string) []error {
	var errs []error
	if err := d.plain(m); err != nil {
		return []error{err}
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Anchor != "" {
			errs = append(errs, d.errorf(k, "a key must be a word"))
			continue
		}
		if line, ok := seen[k.Value]; ok {
			errs = append(errs, d.errorf(k, "key %s is there already, in line %d", quote(k.Value), line))
			continue
		}
		seen[k.Value] = k.Line
		if err := d.plain(v); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, d.entry(section, k, v)...)
	}
	return errs
}

// plain refuses anchors and aliases: nothing here needs them, and they make a
// value be somewhere else than where it is read.
func (d *document) plain(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return d.errorf(n, "anchors and aliases are not used in settings: write the value itself")
	}
	return nil
}

func (d *document) entry(section string, k, v *yaml.Node) []error {
	if section == profilesKey {
		return d.profile(k, v)
	}
	known := names(section)
	if !contains(known, k.Value) {
		return []error{d.errorf(k, "unknown key %s%s", quote(k.Value), didYouMean(k.Value, known))}
	}
	key := k.Value
	if section != "" {
		key = section + "." + key
	}
	f := fieldOf(key)
	if f == nil { // a section
		switch {
		case v.Kind == yaml.MappingNode:
			return d.mapping(v, key)
		case v.Kind == yaml.ScalarNode && v.Tag == "!!null":
			return nil // all of it is commented out
		}
		return []error{d.errorf(v, "%s must be a mapping, with %s below it", key, strings.Join(names(key), ", "))}
	}
	if v.Kind != yaml.ScalarNode {
		return []error{d.errorf(v, "%s must be one value", key)}
	}
	if v.Tag == "!!null" {
		return nil // "key:" alone says nothing
	}
	if err := checkTag(f, v); err != "" {
		return []error{d.errorf(v, "%s: %s", key, err)}
	}
	val, err := f.parse(v.Value)
	if err != nil {
		return []error{d.errorf(v, "%s: %v", key, err)}
	}
	d.settings = append(d.settings, setting{field: f, value: val, node: v})
	return nil
}

// checkTag refuses a value whose type in YAML is another than the setting's:
// yes is a text and not true, 1.10 as a name would lose its zero elsewhere.
func checkTag(f *field, v *yaml.Node) string {
	ok := v.Tag == "!!str"
	switch f.kind {
	case flag:
		ok = v.Tag == "!!bool"
	case count:
		ok = v.Tag == "!!int"
	case size, duration:
		ok = ok || v.Tag == "!!int" || v.Tag == "!!float"
	}
	switch {
	case ok:
		return ""
	case f.kind == flag:
		return quote(v.Value) + ": must be true or false"
	case f.kind == count:
		return quote(v.Value) + ": must be a whole number"
	}
	return fmt.Sprintf("%s is not a text in YAML: put it in quotes", quote(v.Value))
}

func (d *document) profile(k, v *yaml.Node) []error {
	if !profileName.MatchString(k.Value) {
		return []error{d.errorf(k, "profile %s: use lower-case letters, digits and '-', at most 64, beginning with a letter", quote(k.Value))}
	}
	if v.Kind != yaml.ScalarNode || v.Tag != "!!str" || v.Value == "" {
		return []error{d.errorf(v, "profile %s: must be the path of a directory with a Dockerfile", k.Value)}
	}
	val, err := (&field{kind: text}).parse(v.Value)
	if err != nil {
		return []error{d.errorf(v, "profile %s: %v", k.Value, err)}
	}
	d.profiles = append(d.profiles, setting{name: k.Value, value: val, node: v})
	return nil
}

// line is the text of a line of the document, without its end.
func (d *document) line(n int) []byte {
	lines := bytes.SplitAfter(d.text, []byte("\n"))
	if n < 1 || n > len(lines) {
		return nil
	}
	return bytes.TrimRight(lines[n-1], "\r\n")
}
