package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/googleapi"

	"proofload/internal/result/blob"
)

// gsTries bounds the library's own repetitions, which without it go on until the context ends.
const gsTries = 4

// openGS connects to gs://BUCKET. Credentials are the application's default ones; with STORAGE_EMULATOR_HOST
// there are none.
func openGS(ctx context.Context, l blob.Location) (*Bucket, error) {
	rt := transport()
	client := gcp.NewAnonymousHTTPClient(rt)
	if os.Getenv("STORAGE_EMULATOR_HOST") == "" {
		creds, err := gcp.DefaultCredentials(ctx)
		if err != nil {
			text := "no credentials were found: set GOOGLE_APPLICATION_CREDENTIALS to a file with a key, or give the machine a service account"
			return nil, fmt.Errorf("%w (%w)", blob.ErrDenied, &cause{text, err})
		}
		if client, err = gcp.NewHTTPClient(rt, gcp.CredentialsTokenSource(creds)); err != nil {
			return nil, fmt.Errorf("%w (%w)", blob.ErrDenied, &cause{err: err})
		}
	}
	bucket, err := gcsblob.OpenBucket(ctx, client, l.Bucket, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", blob.ErrLocation, &cause{err: err})
	}
	var c *storage.Client
	if bucket.As(&c) {
		// Everything here can be repeated: an object is written whole, and a write that must not replace
		// finds its own object when its answer was lost.
		c.SetRetry(storage.WithPolicy(storage.RetryAlways), storage.WithMaxAttempts(gsTries), storage.WithBackoff(gax.Backoff{Initial: 2 * firstNap, Max: longestNap, Multiplier: 2}))
	}
	return (&Bucket{bucket: bucket, explain: explainGS, release: rt.CloseIdleConnections}).within(l), nil
}

// explainGS knows the errors of Google Cloud Storage.
func explainGS(err error) fault {
	if errors.Is(err, storage.ErrBucketNotExist) {
		return fault{kind: noBucket}
	}
	if errors.Is(err, storage.ErrObjectNotExist) {
		return fault{kind: notFound, text: "status 404"}
	}
	answer, ok := errors.AsType[*googleapi.Error](err)
	if !ok {
		return fault{}
	}
	f := fault{text: fmt.Sprintf("status %d", answer.Code)}
	if answer.Message != "" {
		f.text += ": " + answer.Message
	}
	switch {
	case answer.Code == http.StatusUnauthorized:
		f.kind = unknownUser
	case answer.Code == http.StatusForbidden:
		f.kind = forbidden // gocloud.dev takes this for an object that does not exist
	case answer.Code == http.StatusNotFound && answer.Message == "The specified bucket does not exist.":
		f.kind = noBucket
	case answer.Code == http.StatusNotFound:
		f.kind = notFound
	case answer.Code == http.StatusPreconditionFailed:
		f.kind = exists
	case answer.Code == http.StatusConflict, answer.Code == http.StatusTooManyRequests:
		f.kind = conflict
	case answer.Code >= http.StatusInternalServerError:
		f.kind = unreachable
	}
	return f
}
