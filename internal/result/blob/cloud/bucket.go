// Package cloud keeps stores in S3, Google Cloud Storage, Azure and what speaks their protocols, through
// gocloud.dev/blob. What a store acknowledges is as durable as the service says; of two writers of one name
// one wins because the service is asked to refuse the other, and a service that does not is refused at open.
// Nothing here keeps two coordinators from writing to one store: the commit protocol does.
package cloud

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	cdk "gocloud.dev/blob"

	"proofload/internal/result/blob"
)

const (
	// callTime and a second per slowest bytes bound one call, the repetitions by the service's library included. Who
	// commits repeats the call anyway, and what is not committed has to be shown as such soon.
	callTime = 15 * time.Second
	slowest  = 1 << 20
	// tries bounds how often a write is repeated that met another one of the same name.
	tries    = 8
	firstNap = 25 * time.Millisecond
	// longestNap is between the repetitions by the services' libraries: who watches should learn within a
	// few seconds that nothing is committed.
	longestNap = 500 * time.Millisecond
)

// Bucket is a blob.Store in a bucket. It is safe for concurrent use, also by several processes. Its calls
// return the sentinels of package blob, and end within bounded time: seconds, and more for large objects.
type Bucket struct {
	bucket  *cdk.Bucket
	name    string // of the store, for messages
	explain func(error) fault
	release func() // what the bucket does not close
}

var _ blob.Opened = (*Bucket)(nil)

// Close implements blob.Opened.
func (b *Bucket) Close() error {
	err := b.bucket.Close()
	if b.release != nil {
		b.release()
	}
	return err
}

// PutIfAbsent implements blob.Store.
func (b *Bucket) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	if err := cmp.Or(ctx.Err(), blob.CheckKey(key)); err != nil {
		return err
	}
	return b.call(ctx, operation{"put", key, len(data)}, func(ctx context.Context) error {
		err := b.write(ctx, key, data, true)
		if err == nil {
			return nil
		}
		return b.decide(ctx, key, data, err)
	})
}

// decide turns the error of a write that must not replace into what it means. The object may be there, and be
// that of this very call, whose first answer was lost. A lost answer may also be the refusal itself: servers
// give it without reading what is sent, and reset the connection under whoever is still sending.
func (b *Bucket) decide(ctx context.Context, key string, data []byte, failed error) error {
	refused := false
	switch b.fault(failed).kind {
	case exists:
		refused = true
	case unreachable, other:
	default:
		return failed
	}
	old, err := b.bucket.ReadAll(ctx, key)
	switch {
	case err == nil && bytes.Equal(old, data):
		return nil
	case err == nil:
		return blob.ErrExists
	case !refused:
		return failed
	case b.fault(err).kind == notFound:
		return errVanished
	}
	return err
}

// Put implements blob.Replacer.
func (b *Bucket) Put(ctx context.Context, key string, data []byte) error {
	if err := cmp.Or(ctx.Err(), blob.CheckKey(key)); err != nil {
		return err
	}
	return b.call(ctx, operation{"put", key, len(data)}, func(ctx context.Context) error {
		return b.write(ctx, key, data, false)
	})
}

// write stores data under key once. The content type is given because guessing it costs a look at the data.
func (b *Bucket) write(ctx context.Context, key string, data []byte, ifAbsent bool) error {
	return b.bucket.WriteAll(ctx, key, data, &cdk.WriterOptions{ContentType: "application/octet-stream", IfNotExist: ifAbsent})
}

// Get implements blob.Store.
func (b *Bucket) Get(ctx context.Context, key string) (data []byte, err error) {
	if err := cmp.Or(ctx.Err(), blob.CheckKey(key)); err != nil {
		return nil, err
	}
	err = b.call(ctx, operation{op: "get", key: key}, func(ctx context.Context) error {
		data, err = b.bucket.ReadAll(ctx, key)
		return err
	})
	return data, err
}

// Delete implements blob.Store.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := cmp.Or(ctx.Err(), blob.CheckKey(key)); err != nil {
		return err
	}
	return b.call(ctx, operation{op: "delete", key: key}, func(ctx context.Context) error { return b.remove(ctx, key) })
}

func (b *Bucket) remove(ctx context.Context, key string) error {
	err := b.bucket.Delete(ctx, key)
	if err != nil && b.fault(err).kind == notFound {
		return nil
	}
	return err
}

// List implements blob.Store. Objects that are not the store's, by their names, are left out.
func (b *Bucket) List(ctx context.Context, prefix string, shallow bool) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if err := cmp.Or(ctx.Err(), blob.CheckPrefix(prefix)); err != nil {
			yield(blob.Info{}, err)
			return
		}
		opts := &cdk.ListOptions{Prefix: prefix}
		if shallow {
			opts.Delimiter = "/"
		}
		objects := b.bucket.List(opts)
		for {
			object, err := b.next(ctx, prefix, objects)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(blob.Info{}, err)
				return
			}
			if blob.CheckKey(strings.TrimSuffix(object.Key, "/")) != nil || strings.HasSuffix(object.Key, "/") != object.IsDir {
				continue
			}
			if !yield(blob.Info{Key: object.Key, Size: object.Size, ModTime: object.ModTime, Dir: object.IsDir}, nil) {
				return
			}
		}
	}
}

// next returns the next object of a listing, or io.EOF.
func (b *Bucket) next(ctx context.Context, prefix string, objects *cdk.ListIterator) (object *cdk.ListObject, err error) {
	end := false
	err = b.call(ctx, operation{op: "list", key: prefix}, func(ctx context.Context) error {
		object, err = objects.Next(ctx)
		if end = errors.Is(err, io.EOF); end {
			return nil // not an error, and nothing to repeat
		}
		return err
	})
	if end {
		return nil, io.EOF
	}
	return object, err
}

// operation is one call, for its bounds and its errors.
type operation struct {
	op, key string
	size    int // in bytes
}

// call has fn do o, repeats it while it meets other writers of the same name, and gives its error a name.
func (b *Bucket) call(ctx context.Context, o operation, fn func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, callTime+time.Duration(o.size)*time.Second/slowest)
	defer cancel()
	nap := firstNap
	for try := 1; ; try++ {
		err := fn(bounded)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s %s in %s: %w", o.op, o.key, b.name, ctx.Err())
		}
		f := b.fault(err)
		if f.kind != conflict || try == tries {
			return b.fail(o, f)
		}
		select {
		case <-time.After(nap/2 + rand.N(nap)):
		case <-bounded.Done():
			return b.fail(o, f)
		}
		nap *= 2
	}
}
