package gitignore

import "strings"

// A glob is a pattern in pieces. It is matched in time proportional to the
// product of both lengths, whatever the pattern: one from a hostile
// repository cannot keep us.
type glob []piece

type piece struct {
	kind kind
	set  *[256]bool // of bytes, for one
}

type kind byte

const (
	one   kind = iota // one byte of the set
	star              // any bytes but '/', or none
	all               // any bytes, or none: "**" at the end
	dirs              // any directories, or none: "**/"
	never             // matches nothing
)

// compile reads a pattern without its leading and trailing slash. Bytes are
// compared as they are, as git does without core.ignoreCase.
func compile(p string) glob {
	var g glob
	plain := strings.IndexAny(p, `*?[\`)
	for i := 0; i < len(p); {
		switch c := p[i]; c {
		case '*':
			n := 1
			for i+n < len(p) && p[i+n] == '*' {
				n++
			}
			// git cuts off what is plain in front and sees the rest as a
			// pattern of its own, so that "a**/b" is not what gitignore(5)
			// says. What git ignores is what is expected.
			before := i == 0 || p[i-1] == '/' || i == plain
			i += n
			switch {
			case n > 1 && before && i == len(p):
				g = append(g, piece{kind: all})
			case n > 1 && before && p[i] == '/':
				g = append(g, piece{kind: dirs})
				i++
			default:
				g = append(g, piece{kind: star})
			}
		case '?':
			set := new([256]bool)
			for b := range set {
				set[b] = b != '/'
			}
			g = append(g, piece{set: set})
			i++
		case '[':
			set, n := class(p[i:])
			if n == 0 {
				return glob{{kind: never}}
			}
			g = append(g, piece{set: set})
			i += n
		case '\\':
			if i++; i == len(p) {
				return glob{{kind: never}}
			}
			c = p[i]
			fallthrough
		default:
			set := new([256]bool)
			set[c] = true
			g = append(g, piece{set: set})
			i++
		}
	}
	return g
}

// class reads a bracket expression and returns its length, 0 if it has no end.
func class(p string) (*[256]bool, int) {
	set := new([256]bool)
	i := 1
	negate := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negate {
		i++
	}
	last := -1 // the byte that a '-' continues, if it can
	for first := true; ; first = false {
		if i >= len(p) {
			return nil, 0
		}
		c := p[i]
		switch {
		case c == ']' && !first:
			for b := range set {
				set[b] = set[b] != negate && b != '/'
			}
			return set, i + 1
		case c == '[' && i+1 < len(p) && p[i+1] == ':':
			end := strings.IndexByte(p[i+2:], ']')
			if end < 0 {
				return nil, 0
			}
			name, ok := strings.CutSuffix(p[i+2:i+2+end], ":")
			if !ok { // a set that begins with '['
				set['['] = true
				last = '['
				i++
				continue
			}
			is := classes[name]
			if is == nil {
				return nil, 0
			}
			for b := range 256 {
				set[b] = set[b] || is(byte(b))
			}
			last = -1
			i += end + 3
			continue
		case c == '-' && last >= 0 && i+1 < len(p) && p[i+1] != ']':
			i++
			to := p[i]
			if to == '\\' {
				if i++; i >= len(p) {
					return nil, 0
				}
				to = p[i]
			}
			for b := last; b <= int(to); b++ {
				set[b] = true
			}
			last = -1
			i++
			continue
		case c == '\\':
			if i++; i >= len(p) {
				return nil, 0
			}
			c = p[i]
		}
		set[c] = true
		last = int(c)
		i++
	}
}

func between(ranges string) func(byte) bool {
	return func(b byte) bool {
		for i := 0; i < len(ranges); i += 2 {
			if ranges[i] <= b && b <= ranges[i+1] {
				return true
			}
		}
		return false
	}
}

// classes are those of POSIX in the C locale.
var classes = map[string]func(byte) bool{
	"alnum":  between("azAZ09"),
	"alpha":  between("azAZ"),
	"blank":  between("  \t\t"),
	"cntrl":  between("\x00\x1f\x7f\x7f"),
	"digit":  between("09"),
	"graph":  between("!~"),
	"lower":  between("az"),
	"print":  between(" ~"),
	"punct":  between("!/:@[`{~"),
	"space":  between("  \t\r"),
	"upper":  between("AZ"),
	"xdigit": between("09afAF"),
}

// matches reports whether the whole name matches. It follows all ways through
// the pattern at once.
func (g glob) matches(name string) bool {
	// at[i]: the pieces before i have matched so far. inside[i]: piece i is a
	// dirs that is in the middle of a directory's name.
	n := len(g)
	now, next := make([]bool, n+1), make([]bool, n+1)
	inside, nextInside := make([]bool, n+1), make([]bool, n+1)
	g.reach(now, 0)
	for k := range len(name) {
		b := name[k]
		clear(next)
		clear(nextInside)
		for i, p := range g {
			switch {
			case !now[i] && !inside[i]:
			case p.kind == one && p.set[b]:
				g.reach(next, i+1)
			case p.kind == star && b != '/', p.kind == all:
				g.reach(next, i)
			case p.kind == dirs && b == '/':
				g.reach(next, i)
			case p.kind == dirs:
				nextInside[i] = true
			}
		}
		now, next = next, now
		inside, nextInside = nextInside, inside
	}
	return now[n]
}

// reach marks piece i, and those after it while they can match nothing.
func (g glob) reach(at []bool, i int) {
	for {
		at[i] = true
		if i == len(g) || g[i].kind == one || g[i].kind == never {
			return
		}
		i++
	}
}
