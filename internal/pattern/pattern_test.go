package pattern

import "testing"

func TestCompiledWhenUsed(t *testing.T) {
	if m := New(`(a+)b`).FindStringSubmatch("xaab"); len(m) != 2 || m[1] != "aa" {
		t.Errorf("%q", m)
	}
	if got := New(`a`).ReplaceAllString("banana", "o"); got != "bonono" {
		t.Error(got)
	}
	broken := New(`(`)
	defer func() {
		if recover() == nil {
			t.Error("an expression that cannot be compiled matched")
		}
	}()
	broken.MatchString("")
}
