//go:build linux

// Package sockets reaches the sockets inside a sandbox for a client outside:
// it joins a connection to one of them, and lists those that listen.
package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pocketdock/pocketdock/internal/wire"
	"golang.org/x/sys/unix"
)

// connectTimeout bounds connecting, name resolution included.
const connectTimeout = 10 * time.Second

// maxAddress bounds an address, in bytes: a socket's path has at most 107, a
// host name 253.
const maxAddress = 512

// Dial connects to an address inside the sandbox, says so with a reply, and
// joins that connection and conn until both directions have ended. An end in
// one direction is passed on and leaves the other open. A failure to connect
// is answered on w; an error means that conn was of no use for that.
//
// "localhost" is 127.0.0.1 and then ::1, whatever /etc/hosts says or is.
func Dial(d *wire.Dial, w *wire.Writer, conn net.Conn) error {
	if d == nil {
		d = &wire.Dial{}
	}
	peer, err := connect(d.Network, d.Address)
	if err != nil {
		return w.JSON(wire.KindFailure, failure(d, err))
	}
	defer peer.Close()
	if err := w.JSON(wire.KindReply, wire.Reply{}); err != nil {
		return err
	}
	join(conn, peer)
	return nil
}

func connect(network, address string) (net.Conn, error) {
	if len(address) > maxAddress {
		return nil, errAddress
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	dialer := net.Dialer{KeepAlive: -1}
	switch network {
	case "unix":
		if address == "" {
			return nil, errAddress
		}
		return dialer.DialContext(ctx, network, address)
	case "tcp":
	default:
		return nil, errNetwork
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return nil, errAddress
	}
	if host != "localhost" && host != "" {
		return dialer.DialContext(ctx, network, address)
	}
	conn, err := dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		conn6, err6 := dialer.DialContext(ctx, network, net.JoinHostPort("::1", port))
		if err6 == nil {
			return conn6, nil
		}
	}
	return conn, err
}

var (
	errAddress = errors.New(`give "host:port" for tcp, or a path for unix`)
	errNetwork = errors.New(`the network is neither "tcp" nor "unix"`)
)

// failure says why a connection could not be made.
func failure(d *wire.Dial, err error) *wire.Error {
	e := &wire.Error{Code: wire.CodeOther, Message: err.Error()}
	var (
		errno unix.Errno
		dns   *net.DNSError
		addr  *net.AddrError
		parse *net.ParseError
		op    *net.OpError
	)
	reason := err
	if errors.As(err, &op) {
		reason = op.Err
	}
	if errors.As(err, &errno) {
		e.Errno = int(errno)
		reason = errno
	}
	switch {
	case errors.Is(err, errAddress), errors.Is(err, errNetwork), errors.As(err, &addr), errors.As(err, &parse), errors.Is(err, unix.EINVAL):
		e.Code = wire.CodeInvalid
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET):
		e.Code = wire.CodeRefused
	case errors.Is(err, unix.ENOENT):
		e.Code = wire.CodeNotFound
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		e.Code = wire.CodePermission
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EADDRNOTAVAIL):
		e.Code = wire.CodeResource
	case errors.As(err, &op) && op.Timeout(), errors.Is(err, context.DeadlineExceeded):
		e.Errno = int(unix.ETIMEDOUT)
		reason = fmt.Errorf("no answer within %v", connectTimeout)
	case errors.As(err, &dns):
		if dns.IsNotFound {
			e.Code = wire.CodeNotFound
		}
		reason = errors.New(dns.Err)
	}
	e.Message = fmt.Sprintf("dial %.16q %.512q: %v", d.Network, d.Address, reason)
	return e
}
