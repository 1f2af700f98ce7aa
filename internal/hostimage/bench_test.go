package hostimage

import "testing"

// BenchmarkStamp and BenchmarkMake: what a sandbox of this machine's programs
// costs before it is created, when the machine was seen before and when not.
func BenchmarkStamp(b *testing.B) {
	for b.Loop() {
		if _, _, err := Stamp("/", "amd64", "pocketdock/host", nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMake(b *testing.B) {
	for b.Loop() {
		if _, err := Make("/", "amd64", "pocketdock/host", nil); err != nil {
			b.Fatal(err)
		}
	}
}
