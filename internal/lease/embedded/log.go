package embedded

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// core passes etcd's warnings and errors on to hclog.
type core struct {
	log    hclog.Logger
	fields []zapcore.Field
}

// newLogger returns a zap logger on log. What etcd considers fatal would end the process, by
// os.Exit or a panic; here it is reported to fail and ends the goroutine, so that the process can
// still end in an orderly way.
func newLogger(log hclog.Logger, fail func(error)) *zap.Logger {
	return zap.New(&core{log: log}, zap.WithFatalHook(fatal{fail}), zap.WithPanicHook(fatal{fail}))
}

func (c *core) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.log, slices.Concat(c.fields, fields)}
}

func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	c.log.Log(levelOf(entry), entry.Message, pairs(slices.Concat(c.fields, fields))...)
	return nil
}

// usual begins what a healthy single member without listeners says at each start. It asks the user
// for nothing, so it is kept for debugging only.
var usual = []string{
	"simple token is not cryptographically signed",
	"Running http and grpc server on single port",
	"failed to update storage version", // too early; the next attempt succeeds
	"Failed to detect schema version",  // of a member that has stored nothing yet
}

// usualEnd is the same for messages that begin with the member's id.
const usualEnd = "pending configuration changes to apply" // of a member that votes for itself early; it tries again

func levelOf(entry zapcore.Entry) hclog.Level {
	isUsual := func(start string) bool { return strings.HasPrefix(entry.Message, start) }
	if slices.ContainsFunc(usual, isUsual) || strings.HasSuffix(entry.Message, usualEnd) {
		return hclog.Debug
	}
	if entry.Level > zapcore.WarnLevel {
		return hclog.Error
	}
	return hclog.Warn
}

func (c *core) Sync() error { return nil }

// pairs turns fields into the alternating names and values of hclog, sorted by name.
func pairs(fields []zapcore.Field) []any {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	args := make([]any, 0, 2*len(enc.Fields))
	for _, name := range slices.Sorted(maps.Keys(enc.Fields)) {
		args = append(args, strings.ReplaceAll(name, "-", "_"), enc.Fields[name])
	}
	return args
}

// fatal is what happens after an entry of level panic or fatal has been written.
type fatal struct{ fail func(error) }

// OnWrite never returns: etcd's code behind a fatal entry relies on that.
func (f fatal) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := errors.New(entry.Message)
	for _, field := range fields {
		if cause, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			err = fmt.Errorf("%s: %w", entry.Message, cause)
		}
	}
	f.fail(fmt.Errorf("embedded etcd gave up: %w", err))
	runtime.Goexit()
}
