package mcp_test

import (
	"context"
	"log"
	"net"
	"os"

	"github.com/pocketdock/pocketdock/mcp"
)

// One client, over standard input and output.
func ExampleServer_Serve() {
	s, err := mcp.New(mcp.Options{Profile: "agent"})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		log.Print(err)
	}
}

// Any number of clients, over HTTP, with a token.
func ExampleServer_ServeHTTP() {
	s, err := mcp.New(mcp.Options{Directories: []mcp.Directory{{Path: "/srv/data", ReadOnly: true}}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:8808")
	if err != nil {
		log.Print(err)
		return
	}
	log.Print(s.ServeHTTP(context.Background(), l, mcp.HTTPOptions{Token: os.Getenv("POCKETDOCK_MCP_TOKEN")}))
}
