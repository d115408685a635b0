package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"syscall"

	"github.com/hashicorp/go-hclog"
)

// levelTrace lies below slog's lowest level: raft's traces are wanted by nobody
// who did not ask for them by number.
const levelTrace = slog.LevelDebug - 4

var slogLevels = map[hclog.Level]slog.Level{
	hclog.NoLevel: slog.LevelInfo,
	hclog.Trace:   levelTrace,
	hclog.Debug:   slog.LevelDebug,
	hclog.Info:    slog.LevelInfo,
	hclog.Warn:    slog.LevelWarn,
	hclog.Error:   slog.LevelError,
}

// bridge is raft's logger on top of ours.
type bridge struct {
	to   *slog.Logger
	name string
	with []any
}

var _ hclog.Logger = (*bridge)(nil)

func newBridge(to *slog.Logger) *bridge { return &bridge{to: to} }

func (b *bridge) Log(level hclog.Level, msg string, args ...any) {
	ctx := context.Background()
	l := slogLevels[level]
	if aboutConnections[msg] && aboutClosing(args) {
		l = min(l, slog.LevelDebug)
	}
	if b.to.Enabled(ctx, l) {
		b.to.Log(ctx, l, msg, readable(args)...)
	}
}

// aboutConnections are raft's errors about a connection that it serves. A peer that
// stops in order closes several, and each would be an error here.
var aboutConnections = map[string]bool{
	"failed to decode incoming command": true,
	"failed to flush response":          true,
}

// aboutClosing finds the errors of connections that one side has closed.
func aboutClosing(args []any) bool {
	for _, arg := range args {
		err, ok := arg.(error)
		if ok && (errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
			errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
			return true
		}
	}
	return false
}

// readable resolves the formats that raft leaves for the logger to print.
func readable(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		if f, ok := arg.(hclog.Format); ok && len(f) > 0 {
			arg = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
		out[i] = arg
	}
	return out
}

func (b *bridge) Trace(msg string, args ...any) { b.Log(hclog.Trace, msg, args...) }
func (b *bridge) Debug(msg string, args ...any) { b.Log(hclog.Debug, msg, args...) }
func (b *bridge) Info(msg string, args ...any)  { b.Log(hclog.Info, msg, args...) }
func (b *bridge) Warn(msg string, args ...any)  { b.Log(hclog.Warn, msg, args...) }
func (b *bridge) Error(msg string, args ...any) { b.Log(hclog.Error, msg, args...) }

func (b *bridge) enabled(level hclog.Level) bool {
	return b.to.Enabled(context.Background(), slogLevels[level])
}

func (b *bridge) IsTrace() bool { return b.enabled(hclog.Trace) }
func (b *bridge) IsDebug() bool { return b.enabled(hclog.Debug) }
func (b *bridge) IsInfo() bool  { return b.enabled(hclog.Info) }
func (b *bridge) IsWarn() bool  { return b.enabled(hclog.Warn) }
func (b *bridge) IsError() bool { return b.enabled(hclog.Error) }

func (b *bridge) ImpliedArgs() []any { return b.with }
func (b *bridge) Name() string       { return b.name }

func (b *bridge) With(args ...any) hclog.Logger {
	with := append(append([]any{}, b.with...), args...)
	return &bridge{to: b.to.With(readable(args)...), name: b.name, with: with}
}

func (b *bridge) Named(name string) hclog.Logger {
	if b.name != "" {
		name = b.name + "." + name
	}
	return b.ResetNamed(name)
}

func (b *bridge) ResetNamed(name string) hclog.Logger {
	return &bridge{to: b.to, name: name, with: b.with}
}

// SetLevel does nothing: the level belongs to the owner of the slog handler.
func (b *bridge) SetLevel(hclog.Level) {}

func (b *bridge) GetLevel() hclog.Level {
	for level := hclog.Trace; level < hclog.Off; level++ {
		if b.enabled(level) {
			return level
		}
	}
	return hclog.Off
}

func (b *bridge) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(b.to.Handler(), slog.LevelInfo)
}

func (b *bridge) StandardWriter(opts *hclog.StandardLoggerOptions) io.Writer {
	return b.StandardLogger(opts).Writer()
}
