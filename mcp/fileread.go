package mcp

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/pocketdock/pocketdock"
)

// read reads what was asked for of a file, at most so many bytes.
func (in *fileRead) read(ctx context.Context, b *sandbox, most int) (fileContent, error) {
	encoding := cmp.Or(in.Encoding, asText)
	out := fileContent{Path: in.Path, Encoding: encoding}
	lines := in.StartLine > 0 || in.EndLine > 0
	switch {
	case lines && (in.Offset != 0 || in.Length != 0 || encoding != asText):
		return out, errors.New("lines are of text, and not together with offset and length")
	case lines && in.EndLine > 0 && in.EndLine < in.StartLine:
		return out, fmt.Errorf("end_line %d is before start_line %d", in.EndLine, in.StartLine)
	case encoding == asImage:
		data, err := b.read(ctx, in.Path, maxPicture)
		if err != nil {
			return out, err
		}
		p, err := pictureOf(data)
		out.Size, out.image = int64(len(data)), []picture{p}
		return out, err
	}
	fi, r, err := b.box.OpenFile(ctx, in.Path, pocketdock.ReadOptions{Offset: in.Offset})
	if err != nil {
		return out, err
	}
	defer r.Close()
	out.Size, out.Offset = fi.Size, fromEnd(in.Offset, fi.Size)
	wanted := int64(most)
	if encoding == asBase64 {
		wanted = wanted / 4 * 3
	}
	whole := false // the range that was asked for, and not as much as fits
	var data []byte
	if lines {
		data, out.Offset, whole, err = someLines(r, max(1, in.StartLine), in.EndLine, most)
	} else {
		if in.Length > 0 && in.Length <= wanted {
			wanted, whole = in.Length, true
		}
		data, err = io.ReadAll(io.LimitReader(r, wanted))
	}
	if err != nil {
		return out, err
	}
	if encoding == asBase64 {
		out.Content = base64.StdEncoding.EncodeToString(data)
	} else {
		end := out.Offset + int64(len(data))
		if end < out.Size {
			data = data[:len(data)-incomplete(data)]
		}
		if out.Offset > 0 {
			skipped := continued(data)
			data, out.Offset = data[skipped:], out.Offset+int64(skipped)
		}
		if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
			return out, fmt.Errorf("%s is not text (%d bytes): use encoding base64, or image", in.Path, out.Size)
		}
		out.Content = string(data)
	}
	if end := out.Offset + int64(len(data)); end < out.Size && !whole {
		out.NextOffset = end
	}
	return out, nil
}

// someLines reads a range of lines, at most so many bytes, and says at which
// byte they begin and whether it is all of them. Last 0 is the end.
func someLines(r io.Reader, first, last int64, most int) (data []byte, at int64, whole bool, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	for line := int64(1); last == 0 || line <= last; {
		p, err := br.ReadSlice('\n')
		if line < first {
			at += int64(len(p))
		} else {
			data = append(data, p...)
			if len(data) > most {
				return data[:most], at, false, nil
			}
		}
		switch err {
		case nil:
			line++
		case bufio.ErrBufferFull:
		case io.EOF:
			if data == nil {
				return nil, at, false, fmt.Errorf("it has no line %d", first)
			}
			return data, at, true, nil
		default:
			return nil, at, false, err
		}
	}
	return data, at, true, nil
}
