//go:build unix

package project

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// BenchmarkRecord is what recording costs without a container: one command
// with a line of output.
func BenchmarkRecord(b *testing.B) {
	i := newInstance(b)
	l := DefaultLogging()
	reportCPU(b, func() {
		for b.Loop() {
			r := i.Record(KindRun, pocketdock.Shell("echo hello"), l)
			r.Output(pocketdock.Stdout, []byte("hello\n"))
			r.Finish(ok, nil)
		}
	})
}

// BenchmarkRun is a short command with recording and without, by turns, so
// that what else the machine does meets both. The metrics are medians, and what
// recording adds to the median in percent.
func BenchmarkRun(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			box := create(b, e, pocketdock.CreateOptions{})
			i := newInstance(b)
			ways := []*Recorded{(*Instance)(nil).Recorded(box, DefaultLogging()), i.Recorded(box, DefaultLogging())}
			byTurns(b, "recorded", func(way int) error {
				_, err := ways[way].Run(b.Context(), pocketdock.Argv("echo", "hello"))
				return err
			})
		})
	}
}

// BenchmarkKept is a short command that its sandbox keeps for the history, as
// a plain run in a sandbox that knows its project is, and one that nothing is
// kept of, by turns.
func BenchmarkKept(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			box := create(b, e, pocketdock.CreateOptions{ProjectDir: newInstance(b).Project().Dir()})
			cmds := []pocketdock.Command{pocketdock.Argv("echo", "hello"), pocketdock.Argv("echo", "hello")}
			cmds[0].LogLimit = -1
			byTurns(b, "kept", func(way int) error {
				_, err := box.Run(b.Context(), cmds[way])
				return err
			})
		})
	}
}

// byTurns runs both ways in turn, the plain one first, and reports their medians.
func byTurns(b *testing.B, name string, run func(way int) error) {
	var took [2][]time.Duration
	for b.Loop() {
		for way := range took {
			begun := time.Now()
			if err := run(way); err != nil {
				b.Fatal(err)
			}
			took[way] = append(took[way], time.Since(begun))
		}
	}
	plain, other := median(took[0]), median(took[1])
	b.ReportMetric(float64(plain.Microseconds()), "plain-µs")
	b.ReportMetric(float64(other.Microseconds()), name+"-µs")
	b.ReportMetric(100*(float64(other)/float64(plain)-1), "added-%")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkStream is 200 MiB of output with recording and without, by turns:
// bytes in large pieces, and lines of text. The metrics are medians of the time
// on the clock and of this program's processor time, and what recording adds to
// each in percent.
func BenchmarkStream(b *testing.B) {
	for _, e := range engines {
		box := create(b, e, pocketdock.CreateOptions{})
		for _, of := range []struct {
			name string
			cmd  pocketdock.Command
		}{
			{"bytes", pocketdock.Argv("dd", "if=/dev/zero", "bs=1M", "count=200")},
			{"text", pocketdock.Shell("yes 'a line of output, such as a build prints it, of seventy characters' | dd bs=1M count=200 iflag=fullblock")},
		} {
			b.Run(e.name+"/"+of.name, func(b *testing.B) {
				i := newInstance(b)
				ways := []*Recorded{(*Instance)(nil).Recorded(box, DefaultLogging()), i.Recorded(box, DefaultLogging())}
				var took, cpu [2][]time.Duration
				b.SetBytes(2 * 200 << 20)
				for b.Loop() {
					for way, rec := range ways {
						begun, used := time.Now(), cpuTime()
						s, err := rec.Stream(b.Context(), of.cmd)
						if err != nil {
							b.Fatal(err)
						}
						if _, err := s.Result(); err != nil {
							b.Fatal(err)
						}
						took[way] = append(took[way], time.Since(begun))
						cpu[way] = append(cpu[way], cpuTime()-used)
					}
				}
				report := func(name string, d [2][]time.Duration) {
					plain, recorded := median(d[0]), median(d[1])
					b.ReportMetric(float64(plain.Microseconds())/1e3, "plain-"+name)
					b.ReportMetric(float64(recorded.Microseconds())/1e3, "recorded-"+name)
					b.ReportMetric(100*(float64(recorded)/float64(plain)-1), "added-%-"+name)
				}
				report("ms", took)
				report("cpu-ms", cpu)
			})
		}
	}
}

// BenchmarkLine is the encoding of a block of text and of one of bytes.
func BenchmarkLine(b *testing.B) {
	for name, data := range map[string][]byte{
		"text":  bytes.Repeat([]byte("a line of output, such as a build prints it, of seventy characters....\n"), maxBlock/71),
		"bytes": bytes.Repeat([]byte{0xff, 0, 'a'}, maxBlock/3),
	} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.SetBytes(int64(len(data)))
			reportCPU(b, func() {
				for b.Loop() {
					buf = appendOutput(buf[:0], 1, pocketdock.Stdout, data)
				}
			})
		})
	}
}
