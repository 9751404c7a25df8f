package cloud

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"gocloud.dev/gcerrors"

	"proofload/internal/result/blob"
)

// kind is what went wrong, in terms that all services share.
type kind int

const (
	other       kind = iota
	notFound         // no such object
	exists           // the object exists, and the write must not replace it
	conflict         // another write of the same name is under way; it can be repeated
	noBucket         // no such bucket
	unknownUser      // no credentials, or wrong ones
	forbidden        // the credentials do not permit this
	full             // no space, or a quota
	unreachable      // no answer
	unsuited         // it cannot write only if there is no object
)

// fault is an error of a service, taken apart.
type fault struct {
	kind kind
	text string // what the service said, in a few words; empty: what err says
	err  error
}

// errVanished says that an object existed, and did not when it was read.
var errVanished = errors.New("the object was deleted in between")

// errMayNotWrite is both of its parts: what cannot be done, and what to do.
var errMayNotWrite = fmt.Errorf("%w: %w", blob.ErrNotWritable, blob.ErrDenied)

// fault takes an error of the bucket apart.
func (b *Bucket) fault(err error) fault {
	if errors.Is(err, errVanished) {
		return fault{kind: conflict, err: err}
	}
	if b.explain != nil {
		if f := b.explain(err); f.kind != other || f.text != "" {
			f.err = err
			return f
		}
	}
	return fault{kind: byCode(err), err: err}
}

// byCode goes by what gocloud.dev makes of an error, and by whether there was an answer at all.
func byCode(err error) kind {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return notFound
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return exists
	case gcerrors.PermissionDenied:
		return forbidden
	case gcerrors.ResourceExhausted:
		return conflict
	}
	_, isNet := errors.AsType[net.Error](err)
	if isNet || errors.Is(err, context.DeadlineExceeded) {
		return unreachable
	}
	return other
}

// fail is the error of an operation: the sentinel that says what to do, and what the service said.
func (b *Bucket) fail(o operation, f fault) error {
	at := o.op + " " + o.key + " in " + b.name
	if o.key == "" {
		at = o.op + " " + b.name
	}
	if errors.Is(f.err, blob.ErrExists) {
		return fmt.Errorf("%s: %w", at, blob.ErrExists)
	}
	said := &cause{f.text, f.err}
	if sentinel := f.sentinel(o.op); sentinel != nil {
		return fmt.Errorf("%s: %w (%w)", at, sentinel, said)
	}
	return fmt.Errorf("%s: %w", at, said)
}

// sentinel is the error of package blob for f, or nil.
func (f fault) sentinel(op string) error {
	switch f.kind {
	case notFound:
		if op != "put" {
			return blob.ErrNotFound
		}
	case noBucket:
		return blob.ErrNoBucket
	case unknownUser:
		return blob.ErrDenied
	case forbidden:
		if op == "put" || op == "delete" {
			return errMayNotWrite
		}
		return blob.ErrDenied
	case full:
		return blob.ErrNoSpace
	case unsuited:
		if op == "put" {
			return blob.ErrUnsuited
		}
	case unreachable:
		return blob.ErrUnreachable
	}
	return nil
}

// cause is an error of a service that shows little of itself: libraries put URLs, which may be signed, and
// request ids into theirs.
type cause struct {
	text string
	err  error
}

// Unwrap lets what is below be recognised.
func (c *cause) Unwrap() error { return c.err }

var query = regexp.MustCompile(`\?[^\s"']+`)

const longestText = 300

// Error implements error, in one line.
func (c *cause) Error() string {
	text := c.text
	if text == "" {
		text = innermost(c.err).Error()
	}
	text, _, _ = strings.Cut(query.ReplaceAllString(text, "?…"), "\n")
	if len(text) > longestText {
		text = strings.ToValidUTF8(text[:longestText], "") + "…"
	}
	return text
}

// innermost is the part of an error of the network that names the trouble and not the request.
func innermost(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}
