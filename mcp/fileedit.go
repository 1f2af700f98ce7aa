package mcp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pocketdock/pocketdock"
)

// edit replaces the text, if it is there once.
func (in *fileEdit) edit(ctx context.Context, b *sandbox) (fileEdited, error) {
	out := fileEdited{Path: in.Path}
	if in.OldText == in.NewText {
		return out, errors.New("old_text and new_text are the same")
	}
	data, err := b.read(ctx, in.Path, maxEdit)
	if err != nil {
		return out, err
	}
	text := string(data)
	switch n := strings.Count(text, in.OldText); {
	case n > 1:
		return out, fmt.Errorf("old_text is there %d times in %s, first at lines %s: include more of what is around the one you mean", n, in.Path, lineNumbers(text, in.OldText))
	case n == 0 && strings.Contains(squeeze(text), squeeze(in.OldText)):
		return out, fmt.Errorf("old_text is not in %s; the same with other white space is: read the file and copy it exactly", in.Path)
	case n == 0:
		return out, fmt.Errorf("old_text is not in %s: read the file again, it may have changed", in.Path)
	}
	at := strings.Index(text, in.OldText)
	text = text[:at] + in.NewText + text[at+len(in.OldText):]
	if err := b.box.WriteFile(ctx, in.Path, []byte(text), pocketdock.FileOptions{}); err != nil {
		return out, err
	}
	out.Line = 1 + strings.Count(text[:at], "\n")
	out.Now = around(text, at, at+len(in.NewText))
	return out, nil
}

// squeeze leaves only one kind of white space.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// lineNumbers are those of the first matches.
func lineNumbers(text, part string) string {
	var list []string
	for line := 1; len(list) < 5; {
		i := strings.Index(text, part)
		if i < 0 {
			break
		}
		line += strings.Count(text[:i], "\n")
		list = append(list, fmt.Sprint(line))
		line += strings.Count(part, "\n")
		text = text[i+len(part):]
	}
	return strings.Join(list, ", ")
}

// around is a piece of text with two lines before and behind it; of a long one
// the beginning.
func around(text string, from, to int) string {
	const most = 2000
	for range 3 {
		from = strings.LastIndexByte(text[:from], '\n')
		if from < 0 {
			break
		}
	}
	from++
	for range 3 {
		i := strings.IndexByte(text[min(to, len(text)):], '\n')
		if i < 0 {
			to = len(text)
			break
		}
		to += i + 1
	}
	text = text[from:min(to, len(text))]
	if len(text) > most {
		text = text[:most] + "\n[...]\n"
	}
	return strings.ToValidUTF8(text, "\ufffd")
}
