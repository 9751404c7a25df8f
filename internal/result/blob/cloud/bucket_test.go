package cloud

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	cdk "gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"

	"proofload/internal/result/blob"
	"proofload/internal/result/blob/blobtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func memory(t testing.TB, prefix string) *Bucket {
	t.Helper()
	b := (&Bucket{bucket: memblob.OpenBucket(nil)}).within(blob.Location{Scheme: "mem", Bucket: "b", Prefix: prefix})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// TestBucketConformance: the driver does what all drivers do, with and without a prefix.
func TestBucketConformance(t *testing.T) {
	for _, prefix := range []string{"", "team/a/"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			blobtest.Conformance(t, func(t testing.TB) blob.Replacer { return memory(t, prefix) })
		})
	}
}

// TestForeignObjects: what is not the store's is neither listed nor in the way.
func TestForeignObjects(t *testing.T) {
	b := memory(t, "")
	for _, key := range []string{".tmp/left", "my holiday.jpg", "folder/", "results//x", "a"} {
		if err := b.bucket.WriteAll(t.Context(), key, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := blobtest.Keys(t, b, "", false); len(got) != 1 || got[0] != "a" {
		t.Errorf("listed: %q", got)
	}
	if err := b.prove(t.Context(), false); err != nil {
		t.Errorf("prove: %v", err)
	}
}

// flaky is a bucket whose writes are answered by answer first; what it returns nil for is done.
type flaky struct {
	driver.Bucket
	objects map[string][]byte
	puts    atomic.Int64
	answer  func(ctx context.Context, put int64, ifAbsent bool) error
}

type coded struct{ code gcerrors.ErrorCode }

func (c coded) Error() string { return "the service says " + c.code.String() }

func (f *flaky) ErrorCode(err error) gcerrors.ErrorCode {
	if c, ok := errors.AsType[coded](err); ok {
		return c.code
	}
	return gcerrors.Unknown
}
func (f *flaky) ErrorAs(error, any) bool { return false }
func (f *flaky) As(any) bool             { return false }
func (f *flaky) Close() error            { return nil }

func (f *flaky) NewRangeReader(_ context.Context, key string, _, _ int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	data, ok := f.objects[key]
	if !ok {
		return nil, coded{gcerrors.NotFound}
	}
	return &whole{bytes.NewReader(data)}, nil
}

func (f *flaky) Delete(_ context.Context, key string, _ *driver.DeleteOptions) error {
	delete(f.objects, key)
	return nil
}

func (f *flaky) ListPaged(context.Context, *driver.ListOptions) (*driver.ListPage, error) {
	return &driver.ListPage{}, nil
}

func (f *flaky) NewTypedWriter(ctx context.Context, key, _ string, opts *driver.WriterOptions) (driver.Writer, error) {
	return &write{f: f, ctx: ctx, key: key, ifAbsent: opts.IfNotExist}, nil
}

type whole struct{ *bytes.Reader }

func (w *whole) Close() error { return nil }
func (w *whole) As(any) bool  { return false }
func (w *whole) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{Size: w.Size()}
}

type write struct {
	bytes.Buffer
	f        *flaky
	ctx      context.Context
	key      string
	ifAbsent bool
}

func (w *write) Close() error {
	if err := w.f.answer(w.ctx, w.f.puts.Add(1), w.ifAbsent); err != nil {
		return err
	}
	if _, ok := w.f.objects[w.key]; ok && w.ifAbsent {
		return coded{gcerrors.FailedPrecondition}
	}
	w.f.objects[w.key] = bytes.Clone(w.Bytes())
	return nil
}

func flakyBucket(answer func(ctx context.Context, put int64, ifAbsent bool) error) (*Bucket, *flaky) {
	f := &flaky{objects: map[string][]byte{}, answer: answer}
	return &Bucket{bucket: cdk.NewBucket(f), name: "s3://b"}, f
}

// TestConflictsAreRepeated: a write that met another one of its name is repeated, but not for ever.
func TestConflictsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := flakyBucket(func(_ context.Context, put int64, _ bool) error {
			if put < 4 {
				return coded{gcerrors.ResourceExhausted}
			}
			return nil
		})
		if err := b.PutIfAbsent(t.Context(), "k", []byte("x")); err != nil || f.puts.Load() != 4 {
			t.Errorf("%d writes, %v", f.puts.Load(), err)
		}
		f.puts.Store(-1000)
		begin := time.Now()
		err := b.PutIfAbsent(t.Context(), "l", []byte("x"))
		if err == nil || f.puts.Load() != -1000+tries || time.Since(begin) > callTime {
			t.Errorf("%d writes in %v: %v", f.puts.Load()+1000, time.Since(begin), err)
		}
	})
}

// TestLostAnswer: a write whose answer was lost, and which the library repeats, finds its own object. That
// is a success; another's is not.
func TestLostAnswer(t *testing.T) {
	b, f := flakyBucket(func(context.Context, int64, bool) error { return nil })
	f.objects["k"] = []byte("x")
	if err := b.PutIfAbsent(t.Context(), "k", []byte("x")); err != nil {
		t.Errorf("own object: %v", err)
	}
	err := b.PutIfAbsent(t.Context(), "k", []byte("y"))
	if !errors.Is(err, blob.ErrExists) || err.Error() != "put k in s3://b: object exists with other content" {
		t.Errorf("another's object: %v", err)
	}
}

// TestRefusalThatIsCutOff: a server that refuses a large object while it is still being sent resets the
// connection, and the object says what the answer would have.
func TestRefusalThatIsCutOff(t *testing.T) {
	reset := &net.OpError{Op: "write", Net: "tcp", Err: syscall.ECONNRESET}
	b, f := flakyBucket(func(context.Context, int64, bool) error { return reset })
	if err := b.PutIfAbsent(t.Context(), "k", []byte("x")); !errors.Is(err, blob.ErrUnreachable) {
		t.Errorf("without an object: %v, want ErrUnreachable", err)
	}
	f.objects["k"] = []byte("x")
	if err := b.PutIfAbsent(t.Context(), "k", []byte("x")); err != nil {
		t.Errorf("own object: %v", err)
	}
	if err := b.PutIfAbsent(t.Context(), "k", []byte("y")); !errors.Is(err, blob.ErrExists) {
		t.Errorf("another's object: %v, want ErrExists", err)
	}
}

// TestObjectThatVanishes: an object that forbids the write and is gone when it is read no longer forbids it.
func TestObjectThatVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := flakyBucket(func(_ context.Context, put int64, _ bool) error {
			if put == 1 {
				return coded{gcerrors.FailedPrecondition}
			}
			return nil
		})
		if err := b.PutIfAbsent(t.Context(), "k", []byte("x")); err != nil || string(f.objects["k"]) != "x" {
			t.Errorf("%q, %v", f.objects["k"], err)
		}
	})
}

// TestStoreThatHangs: a call ends although the service says nothing, with an error that says so; and with its
// context, with the context's.
func TestStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := flakyBucket(func(ctx context.Context, _ int64, _ bool) error { <-ctx.Done(); return ctx.Err() })
		begin := time.Now()
		err := b.PutIfAbsent(t.Context(), "k", make([]byte, 8<<20))
		if took := time.Since(begin); !errors.Is(err, blob.ErrUnreachable) || took != callTime+8*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Put(ctx, "k", nil); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, blob.ErrUnreachable) {
			t.Errorf("after the caller's own time: %v", err)
		}
	})
}

// TestProof: what a bucket cannot do is said before anything depends on it.
func TestProof(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(context.Context, int64, bool) error
		want   error
	}{
		"all right":          {func(context.Context, int64, bool) error { return nil }, nil},
		"it may not write":   {func(context.Context, int64, bool) error { return coded{gcerrors.PermissionDenied} }, blob.ErrNotWritable},
		"it gives no answer": {func(context.Context, int64, bool) error { return context.DeadlineExceeded }, blob.ErrUnreachable},
	} {
		b, f := flakyBucket(tt.answer)
		if err := b.prove(t.Context(), false); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if len(f.objects) != 0 {
			t.Errorf("%s: left %q", name, f.objects)
		}
	}
}

// TestStoreThatIgnoresConditions is refused: in it two leaders would both believe to have written.
func TestStoreThatIgnoresConditions(t *testing.T) {
	b, f := flakyBucket(nil)
	f.answer = func(context.Context, int64, bool) error { clear(f.objects); return nil }
	err := b.prove(t.Context(), false)
	if !errors.Is(err, blob.ErrUnsuited) || len(f.objects) != 0 {
		t.Errorf("%v, left %q", err, f.objects)
	}
	if err := b.prove(t.Context(), true); err != nil {
		t.Errorf("for reading it will do: %v", err)
	}
}

// TestMessagesShowNoSecrets: one line, short, and without the query of a URL, which may be signed.
func TestMessagesShowNoSecrets(t *testing.T) {
	b, _ := flakyBucket(func(context.Context, int64, bool) error {
		return errors.New(`Put "https://account.blob.example/c/k?sig=hunter2&se=1": no` + "\nRESPONSE " + strings.Repeat("x", 1000))
	})
	err := b.Put(t.Context(), "k", nil)
	if text := err.Error(); strings.Contains(text, "hunter2") || strings.Contains(text, "\n") || len(text) > 400 {
		t.Errorf("error %q", text)
	}
}
