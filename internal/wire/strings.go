package wire

import (
	"encoding/json"
	"unicode/utf8"
)

// Strings is a list of byte strings, such as arguments. As JSON, one that is
// UTF-8 is a string; another is an array of one string, in base64.
type Strings []string

// MarshalJSON writes the list.
func (s Strings) MarshalJSON() ([]byte, error) {
	list := make([]any, len(s))
	for i, v := range s {
		if utf8.ValidString(v) {
			list[i] = v
		} else {
			list[i] = [1][]byte{[]byte(v)}
		}
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads the list.
func (s *Strings) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*[]string)(s)) == nil {
		return nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*s = make(Strings, len(raw))
	for i, r := range raw {
		if json.Unmarshal(r, &(*s)[i]) == nil {
			continue
		}
		var bytes [1][]byte
		if err := json.Unmarshal(r, &bytes); err != nil {
			return err
		}
		(*s)[i] = string(bytes[0])
	}
	return nil
}
