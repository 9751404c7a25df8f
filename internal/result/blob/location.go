package blob

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// FileScheme is that of stores in a directory.
const FileScheme = "file"

// ErrLocation says that a store's location is not one.
var ErrLocation = errors.New("not the location of a store")

// schemes names what the query of a location may hold, by the scheme. It is the whole list of what may be
// said in a location, so that no credential is taken for a setting.
var schemes = map[string][]string{
	FileScheme: {"shared"},
	"s3":       {"region", "endpoint", "s3ForcePathStyle", "profile", "ssetype", "kmskeyid", "prefix"},
	"gs":       {"prefix"},
	"azblob":   {"storage_account", "domain", "protocol", "localemu", "prefix"},
}

// Location says where a store is: in a directory, or in a bucket of an object store.
type Location struct {
	Scheme string
	Dir    string     // of a file store, absolute
	Shared bool       // every coordinator sees the same store
	Bucket string     // of an object store: its bucket or container
	Prefix string     // of an object store: of all its keys; empty, or ending in "/"
	Params url.Values // of an object store: what its driver is told besides
}

// ParseLocation reads a directory, file:///DIR[?shared=true], s3://BUCKET, gs://BUCKET or azblob://CONTAINER,
// the latter three with their settings in the query. Its errors are ErrLocation and repeat nothing that may
// be a credential.
func ParseLocation(text string) (Location, error) {
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		dir, err := filepath.Abs(text)
		return Location{Scheme: FileScheme, Dir: dir}, err
	}
	known := schemes[scheme]
	if known == nil {
		return Location{}, fmt.Errorf("%w: its scheme must be one of %s, or it must be a directory", ErrLocation, names(slices.Collect(maps.Keys(schemes))))
	}
	u, err := url.Parse(text)
	if err != nil {
		return Location{}, fmt.Errorf("%w: %s://…: %w", ErrLocation, scheme, withoutText(err))
	}
	if u.User != nil {
		return Location{}, fmt.Errorf("%w: %s://%s: credentials may not stand in it: give them in the environment", ErrLocation, scheme, u.Host)
	}
	l := Location{Scheme: scheme, Bucket: u.Host, Dir: u.Path}
	if l.Params, err = url.ParseQuery(u.RawQuery); err != nil {
		return Location{}, fmt.Errorf("%w: %s: its query cannot be read: a part of it is not escaped", ErrLocation, l)
	}
	for name, values := range l.Params {
		if !slices.Contains(known, name) || len(values) != 1 {
			return Location{}, fmt.Errorf("%w: %s: %q in its query is unknown or given twice: it may hold %s", ErrLocation, l, name, names(known))
		}
	}
	if scheme == FileScheme {
		return l.file()
	}
	return l.object()
}

// file completes the location of a directory.
func (l Location) file() (Location, error) {
	if l.Bucket != "" || l.Dir == "" {
		return Location{}, fmt.Errorf("%w: file://%s%s: give an absolute path after three slashes, as in file:///var/lib/proofload", ErrLocation, l.Bucket, l.Dir)
	}
	switch shared := l.Params.Get("shared"); shared {
	case "true":
		l.Shared = true
	case "", "false":
	default:
		return Location{}, fmt.Errorf("%w: %s: shared is true or false", ErrLocation, l)
	}
	l.Params = nil
	return l, nil
}

// object completes the location of a bucket.
func (l Location) object() (Location, error) {
	if l.Bucket == "" || strings.Trim(l.Dir, "/") != "" {
		return Location{}, fmt.Errorf("%w: %s: after %s:// comes the name of a bucket and nothing else: a folder in it is given as ?prefix=FOLDER", ErrLocation, l, l.Scheme)
	}
	l.Prefix, l.Dir, l.Shared = l.Params.Get("prefix"), "", true
	l.Params.Del("prefix")
	if CheckPrefix(l.Prefix) != nil {
		return Location{}, fmt.Errorf("%w: %s: its prefix must be letters, digits, '.', '_' and '-', with '/' between", ErrLocation, l)
	}
	if l.Prefix != "" {
		l.Prefix = strings.TrimSuffix(l.Prefix, "/") + "/"
	}
	if endpoint := l.Params.Get("endpoint"); endpoint != "" {
		e, err := url.Parse(endpoint)
		if err != nil || e.User != nil || e.Host == "" || e.RawQuery != "" || e.Scheme != "http" && e.Scheme != "https" {
			return Location{}, fmt.Errorf("%w: %s: its endpoint must be http://HOST:PORT or https://HOST, without credentials", ErrLocation, l)
		}
	}
	return l, nil
}

// String names the store, without its settings.
func (l Location) String() string {
	if l.Scheme == FileScheme {
		return l.Dir
	}
	return l.Scheme + "://" + l.Bucket
}

// URL is the location of a bucket with the settings of its driver.
func (l Location) URL() *url.URL {
	return &url.URL{Scheme: l.Scheme, Host: l.Bucket, RawQuery: l.Params.Encode()}
}

// Object tells whether the store is an object store.
func (l Location) Object() bool { return l.Scheme != FileScheme }

func names(list []string) string {
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// withoutText takes the reason out of an error that also repeats the URL, which may hold a password.
func withoutText(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok && strings.Contains(u.Err.Error(), "port") {
		return errors.New("what follows the host is no port")
	}
	return errors.New("it is no URL")
}
