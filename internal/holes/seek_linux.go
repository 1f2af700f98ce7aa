package holes

// lseek(2); package syscall does not have them.
const (
	canFind  = true
	seekData = 3
	seekHole = 4
)
