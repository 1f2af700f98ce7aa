package pocketdock_test

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pocketdock/pocketdock"
)

// The benchmarks run beside their alternatives, in one run on one machine:
// the same command through the engine's exec API, as the reference system has
// it, through the docker and podman commands, and without any sandbox.

// benchEach runs a benchmark on each engine and way.
func benchEach(b *testing.B, ways []string, run func(b *testing.B, box *pocketdock.Container)) {
	for _, e := range engines {
		for _, way := range ways {
			b.Run(e.name+"/"+way, func(b *testing.B) {
				box, err := newBox(b.Context(), e, way, busybox)
				if err != nil {
					b.Fatal(err)
				}
				defer box.Destroy(b.Context())
				if _, err := box.Run(b.Context(), pocketdock.Argv("true")); err != nil {
					b.Fatal(err)
				}
				run(b, box)
			})
		}
	}
}

// quantiles reports the median and the 99th percentile of durations, in ms.
func quantiles(b *testing.B, d []time.Duration) {
	slices.Sort(d)
	ms := func(q float64) float64 {
		return float64(d[min(len(d)-1, int(q*float64(len(d))))].Microseconds()) / 1000
	}
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
}

// each times every iteration.
func each(b *testing.B, f func() error) {
	var d []time.Duration
	for b.Loop() {
		begun := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		d = append(d, time.Since(begun))
	}
	quantiles(b, d)
}

func runTrue(b *testing.B, box *pocketdock.Container) func() error {
	return func() error {
		res, err := box.Run(b.Context(), pocketdock.Argv("true"))
		if err == nil && !res.OK() {
			err = fmt.Errorf("exit code %d", res.ExitCode)
		}
		return err
	}
}

func BenchmarkRunTrue(b *testing.B) {
	benchEach(b, allWays, func(b *testing.B, box *pocketdock.Container) { each(b, runTrue(b, box)) })
	b.Run("host/fork-exec", func(b *testing.B) {
		each(b, func() error { return exec.Command("/bin/busybox", "true").Run() })
	})
}

// BenchmarkRunCommand is the engines' own command lines.
func BenchmarkRunCommand(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			info, err := e.client.Engine(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			box, err := newBox(b.Context(), e, socketWay, busybox)
			if err != nil {
				b.Fatal(err)
			}
			defer box.Destroy(b.Context())
			argv := []string{"docker", "--host", "unix://" + info.Socket, "exec", "--user", "0", box.ID(), "true"}
			if info.Name == "podman" {
				argv = append([]string{"podman", "--remote", "--url"}, argv[2:]...)
			}
			each(b, func() error {
				out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			})
		})
	}
}

// BenchmarkRunConcurrent is the cost of one run among n at once.
func BenchmarkRunConcurrent(b *testing.B) {
	benchEach(b, []string{socketWay}, func(b *testing.B, box *pocketdock.Container) {
		for _, n := range []int{1, 10, 100} {
			b.Run(fmt.Sprint(n), func(b *testing.B) {
				one := runTrue(b, box)
				for b.Loop() {
					var wg sync.WaitGroup
					for range n {
						wg.Go(func() {
							if err := one(); err != nil {
								b.Error(err)
							}
						})
					}
					wg.Wait()
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N*n), "ms/run")
			})
		}
	})
}

const benchOutput = 200 << 20

// benchProducer writes in large pieces: busybox's head copies byte by byte and
// would be what is measured.
var benchProducer = []string{"dd", "if=/dev/zero", "bs=1M", "count=200"}

// BenchmarkOutput is 200 MB of output: kept whole by a blocking run, and read
// as a stream.
func BenchmarkOutput(b *testing.B) {
	cmd := pocketdock.Argv(benchProducer...)
	cmd.Timeout = time.Minute
	benchEach(b, []string{socketWay, bridgeWay, engineWay}, func(b *testing.B, box *pocketdock.Container) {
		b.Run("run", func(b *testing.B) {
			b.SetBytes(benchOutput)
			for b.Loop() {
				res, err := box.Run(b.Context(), cmd)
				if err != nil || res.StdoutDropped < benchOutput-20<<20 {
					b.Fatal(err, res)
				}
			}
		})
		b.Run("stream", func(b *testing.B) {
			b.SetBytes(benchOutput)
			for b.Loop() {
				s, err := box.Stream(b.Context(), cmd)
				if err != nil {
					b.Fatal(err)
				}
				var n int64
				for c := range s.Chunks() {
					if c.Stream == pocketdock.Stdout {
						n += int64(len(c.Data))
					}
				}
				if _, err := s.Result(); err != nil || n != benchOutput {
					b.Fatal(n, err)
				}
			}
		})
	})
	b.Run("host/pipe", func(b *testing.B) {
		b.SetBytes(benchOutput)
		for b.Loop() {
			c := exec.Command("/bin/busybox", benchProducer...)
			out, err := c.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := c.Start(); err != nil {
				b.Fatal(err)
			}
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{out}, make([]byte, 256<<10))
			if err != nil || n != benchOutput {
				b.Fatal(n, err)
			}
			if err := c.Wait(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkInfo(b *testing.B) {
	benchEach(b, []string{socketWay, engineWay}, func(b *testing.B, box *pocketdock.Container) {
		each(b, func() error {
			_, err := box.Info(b.Context())
			return err
		})
	})
}

// BenchmarkCreate is a whole throw-away sandbox: create, first output, remove.
func BenchmarkCreate(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			var first []time.Duration
			each(b, func() error {
				begun := time.Now()
				box, err := newBox(b.Context(), e, socketWay, busybox)
				if err != nil {
					return err
				}
				if _, err := box.Run(b.Context(), pocketdock.Argv("echo", "hello")); err != nil {
					return err
				}
				first = append(first, time.Since(begun))
				return box.Destroy(b.Context())
			})
			slices.Sort(first)
			b.ReportMetric(float64(first[len(first)/2].Microseconds())/1000, "first-output-ms")
		})
	}
}

func BenchmarkSmallFile(b *testing.B) {
	data := bytes.Repeat([]byte("x"), 1000)
	benchEach(b, []string{socketWay, bridgeWay}, func(b *testing.B, box *pocketdock.Container) {
		b.Run("write", func(b *testing.B) {
			each(b, func() error {
				return box.WriteFile(b.Context(), "/tmp/f", data, pocketdock.FileOptions{})
			})
		})
		b.Run("read", func(b *testing.B) {
			each(b, func() error {
				_, err := box.ReadFile(b.Context(), "/tmp/f")
				return err
			})
		})
	})
}

// BenchmarkBigFile moves 1 GiB in and out.
func BenchmarkBigFile(b *testing.B) {
	const size = 1 << 30
	benchEach(b, []string{socketWay}, func(b *testing.B, box *pocketdock.Container) {
		b.Run("in", func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				r := io.LimitReader(pattern{}, size)
				if err := box.CopyIn(b.Context(), "/tmp/big", r, pocketdock.FileOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("out", func(b *testing.B) {
			b.SetBytes(size)
			buf := make([]byte, 256<<10)
			for b.Loop() {
				_, r, err := box.OpenFile(b.Context(), "/tmp/big", pocketdock.ReadOptions{})
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf)
				r.Close()
				if err != nil || n != size {
					b.Fatal(n, err)
				}
			}
		})
	})
}

// pattern is an endless reader of bytes that are not zero.
type pattern struct{}

var patternBlock = bytes.Repeat([]byte("0123456789abcdef"), 64<<10)

func (pattern) Read(p []byte) (int, error) { return copy(p, patternBlock), nil }
