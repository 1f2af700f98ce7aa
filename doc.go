// Package pocketdock runs commands in sandboxes: containers of the Podman or
// Docker that is on the machine, driven over the engine's Unix socket, with
// nothing else to install, no account and no network needed.
//
//	var client pocketdock.Client
//	box, err := client.Create(ctx, "debian:bookworm-slim", pocketdock.CreateOptions{})
//	if err != nil {
//		return err
//	}
//	defer box.Shutdown(context.WithoutCancel(ctx))
//	res, err := box.Run(ctx, pocketdock.Shell("echo hello; exit 3"))
//	// res.Stdout is "hello\n", res.ExitCode is 3, err is nil.
//
// # Results and errors
//
// A command that fails is a [Result] with its exit code. An error means that
// the command could not be run, or that how it ended is not known: unknown
// never reads as success. Errors name the container, image, path or socket,
// and the remedy; [errors.Is] finds the kind among the Err variables, and
// [errors.As] the data in [ContainerError], [ImageError], [FileError],
// [CommandError], [SocketError] and [EngineError].
//
// # Pools
//
// A [Pool] keeps sandboxes ready, lends them in microseconds, and resets them
// when they come back.
//
// # Handles
//
// A [Container] knows its ID and where to reach it, and nothing about its
// state: every call asks the container or its engine. Each operation has a
// connection of its own. Everything is safe for concurrent use.
//
// A method uses its context until it returns, or, where it returns a stream,
// until the stream is closed.
//
// # What is left behind
//
// A container belongs to the program that created it. What a program leaves
// that was killed, [Client.Sweep] removes, and nothing else: call it when a
// program starts. A container with [CreateOptions.Persist] stays;
// [Container.Resume] starts it again, also after a reboot. TTL and idle limit
// hold without any program.
package pocketdock
