// Package mcp serves sandboxes to language models, as tools of the Model
// Context Protocol: over standard streams, one program for each client, or
// over HTTP for any number of them.
//
//	s, err := mcp.New(mcp.Options{})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	return s.Serve(ctx, os.Stdin, os.Stdout)
//
// A client's session has sandboxes of its own, which no other session sees: a
// default one, made when a tool first needs it, and those that it creates.
// They go when the session ends. Should this program be killed, they end by
// themselves some minutes later, or with the next [pocketdock.Client.Sweep].
//
// A tool that runs something answers within [Options.AnswerWithin], before
// the client loses patience: what is still running then goes on, and the answer
// says how to come back to it. Cancelling the request kills the process.
//
// A command that fails is a result with isError, as are failures of the engine,
// which say what to do. Protocol errors are for what no tool was asked to do.
package mcp
