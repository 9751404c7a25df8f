package stores

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/fsouza/fake-gcs-server/fakestorage"

	"proofload/internal/result/blob"
	"proofload/internal/result/blob/blobtest"
)

func opener(location func(testing.TB) string) blobtest.Open {
	return func(t testing.TB) blob.Replacer {
		s, err := open(t, location(t), blob.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// TestS3Conformance: a store in a server that is not ours does what all stores do.
func TestS3Conformance(t *testing.T) {
	g := startGateway(t)
	t.Run("bucket", func(t *testing.T) { blobtest.Conformance(t, opener(g.bucket)) })
	t.Run("prefix", func(t *testing.T) {
		blobtest.Conformance(t, opener(func(t testing.TB) string { return g.bucket(t) + "&prefix=teams/a" }))
	})
}

// TestGSConformance: the same with a server that speaks the protocol of Google Cloud Storage.
func TestGSConformance(t *testing.T) {
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Port: uint16(number), PublicHost: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	t.Setenv("STORAGE_EMULATOR_HOST", address)
	buckets := 0
	blobtest.Conformance(t, opener(func(testing.TB) string {
		buckets++
		name := "bucket-" + strings.Repeat("x", buckets)
		server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: name})
		return "gs://" + name
	}))
	if _, err := open(t, "gs://nothing", blob.OpenOptions{}); !errors.Is(err, blob.ErrNoBucket) && !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a bucket that does not exist: %v", err)
	}
}

// TestS3CorruptObject: what somebody else has changed in the bucket is noticed.
func TestS3CorruptObject(t *testing.T) {
	g := startGateway(t)
	s, err := open(t, g.bucket(t), blob.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := blob.PutFile(t.Context(), s, []byte("scenario"))
	if err != nil {
		t.Fatal(err)
	}
	bucket := "bucket-1"
	if _, err := g.client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &ref.Key, Body: bytes.NewReader([]byte("tampered"))}); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Load(t.Context(), s, ref); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("Load: %v, want ErrCorrupt", err)
	}
}

// TestS3StoresThatCannotBeUsed: each is refused at open, with one line that says what to do and shows no
// credentials.
func TestS3StoresThatCannotBeUsed(t *testing.T) {
	g := startGateway(t)
	location := g.bucket(t)
	for _, tt := range []struct {
		name, location, secret string
		want                   error
	}{
		{"no bucket", g.location("nothing-here"), secretKey, blob.ErrNoBucket},
		{"wrong secret", location, "hunter3hunter3hunter3", blob.ErrDenied},
		{"no gateway", "s3://bucket?s3ForcePathStyle=true&endpoint=http://" + freeAddress(t), secretKey, blob.ErrUnreachable},
	} {
		t.Setenv("AWS_SECRET_ACCESS_KEY", tt.secret)
		refused(t, tt.name, tt.location, tt.want)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	g.kill()
	g.flags = []string{"--readonly"}
	g.start()
	refused(t, "read-only", location, blob.ErrNotWritable)
	if _, err := open(t, location, blob.OpenOptions{ReadOnly: true}); err != nil {
		t.Errorf("a read-only store, for reading: %v", err)
	}
}

func refused(t *testing.T, name, location string, want error) {
	t.Helper()
	_, err := open(t, location, blob.OpenOptions{})
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", name, err, want)
		return
	}
	if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, "hunter") || strings.Contains(text, "Signature=") {
		t.Errorf("%s: %q", name, text)
	}
	t.Logf("%s: %v", name, err)
}
