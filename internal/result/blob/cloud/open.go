package cloud

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	cdk "gocloud.dev/blob"

	"proofload/internal/result/blob"
)

// Register makes the object stores available to blob.Open.
func Register() {
	blob.Register("s3", opener(openS3))
	blob.Register("gs", opener(openGS))
	blob.Register("azblob", opener(openAzure))
}

// opener turns what connects to a bucket into a driver, which proves that the bucket does what is wanted
// before anything depends on it.
func opener(connect func(context.Context, blob.Location) (*Bucket, error)) blob.Driver {
	return func(ctx context.Context, l blob.Location, opts blob.OpenOptions) (blob.Opened, error) {
		b, err := connect(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", l, err)
		}
		if err := b.prove(ctx, opts.ReadOnly); err != nil {
			return nil, errors.Join(fmt.Errorf("open store: %w", err), b.Close())
		}
		return b, nil
	}
}

// within makes b the store of the objects below the location's prefix.
func (b *Bucket) within(l blob.Location) *Bucket {
	b.name = l.String()
	if l.Prefix != "" {
		b.name += "/" + l.Prefix
		b.bucket = cdk.PrefixedBucket(b.bucket, l.Prefix)
	}
	return b
}

// transport is that of one bucket, so that its connections end with it.
func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	t.ResponseHeaderTimeout = callTime
	return t
}

// prove finds out whether the bucket exists and may be read, and unless readOnly whether it may be written,
// refuses to replace when it is told to, and may be cleaned up. No store has a key that begins with '.', so
// nobody takes the object of the proof for one of a run.
func (b *Bucket) prove(ctx context.Context, readOnly bool) error {
	for _, err := range b.List(ctx, "results/", true) {
		if err != nil {
			return err
		}
		break
	}
	if readOnly {
		return nil
	}
	key := ".tmp/" + rand.Text()
	put := operation{op: "put", key: key}
	if err := b.call(ctx, put, func(ctx context.Context) error { return b.write(ctx, key, []byte("1"), true) }); err != nil {
		return err
	}
	second := b.call(ctx, put, func(ctx context.Context) error {
		err := b.write(ctx, key, []byte("2"), true)
		if err == nil {
			return nil
		}
		if b.fault(err).kind == exists {
			return blob.ErrExists
		}
		return err
	})
	cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := b.call(cleaning, operation{op: "delete", key: key}, func(ctx context.Context) error { return b.remove(ctx, key) })
	switch {
	case second == nil:
		return fmt.Errorf("%s: %w", b.name, blob.ErrUnsuited)
	case !errors.Is(second, blob.ErrExists):
		return second
	}
	return err
}
