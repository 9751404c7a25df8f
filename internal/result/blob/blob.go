// Package blob stores immutable objects under names: segments, checkpoints, results and the files
// of a scenario. A driver gives two guarantees that the commit protocol is built on: an object that
// was acknowledged survives a crash of the machine, and of two writers of one name only one wins.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

var (
	// ErrExists says that the key holds an object with other content.
	ErrExists = errors.New("object exists with other content")
	// ErrNotFound says that the key holds no object.
	ErrNotFound = errors.New("no such object")
	// ErrNoSpace says that the store is full: a disk or a quota. Nothing was stored; the same call can
	// be repeated once there is room.
	ErrNoSpace = errors.New("no space left in the store: free some")
	// ErrNotWritable says that the store may not be written.
	ErrNotWritable = errors.New("store cannot be written")
	// ErrDenied says that the store does not know the caller, or does not let it read.
	ErrDenied = errors.New("store refuses access: check the credentials in the environment and what they permit")
	// ErrNoBucket says that the bucket or container of the store does not exist.
	ErrNoBucket = errors.New("no such bucket or container: create it or correct --store")
	// ErrUnreachable says that the store gives no answer. What was asked for may have been done.
	ErrUnreachable = errors.New("store gives no answer: check its endpoint and the network")
	// ErrUnsuited says that of two writers of one name both would win in this store.
	ErrUnsuited = errors.New("store overwrites what must not be replaced: use one with conditional writes (If-None-Match)")
	// ErrKey says that a key is not one: see CheckKey.
	ErrKey = errors.New("invalid object key")
	// ErrCorrupt says that an object is not what was stored under its digest.
	ErrCorrupt = errors.New("object does not match its digest")
)

// Info describes one entry of a listing.
type Info struct {
	Key     string // of a directory: its prefix, which ends in "/"
	Size    int64
	ModTime time.Time
	Dir     bool // stands for all keys that begin with Key; in shallow listings only
}

// Store holds objects. Implementations are safe for concurrent use, also by several processes.
type Store interface {
	// PutIfAbsent stores data under key unless there is an object already. The same content is a
	// success, so that a repetition is; other content is ErrExists. When it returns nil, data is durable.
	PutIfAbsent(ctx context.Context, key string, data []byte) error
	// Get returns the object under key, or ErrNotFound.
	Get(ctx context.Context, key string) ([]byte, error)
	// List yields the objects whose keys begin with prefix, ordered by key. A shallow listing yields
	// what follows the prefix up to the next "/" as one entry. After an error it ends.
	List(ctx context.Context, prefix string, shallow bool) iter.Seq2[Info, error]
	// Delete removes the object under key; that there is none is a success.
	Delete(ctx context.Context, key string) error
}

// Replacer is a Store that can also overwrite. Readers see the old object or the new one.
type Replacer interface {
	Store
	// Put stores data under key, whatever is there.
	Put(ctx context.Context, key string, data []byte) error
}

// Opened is a store as Open returns it. Close releases it; the objects stay.
type Opened interface {
	Replacer
	io.Closer
}

// Ref names an object and what it must contain.
type Ref struct {
	Key    string `json:"key"`
	SHA256 string `json:"sha256"` // of the content, lower-case hex
	Size   int64  `json:"size"`   // in bytes
}

// RefOf returns the reference of data under key.
func RefOf(key string, data []byte) Ref {
	return Ref{Key: key, SHA256: Digest(data), Size: int64(len(data))}
}

// Load returns the object that ref names, or ErrCorrupt when its content is another.
func Load(ctx context.Context, s Store, ref Ref) ([]byte, error) {
	data, err := s.Get(ctx, ref.Key)
	if err != nil {
		return nil, err
	}
	if got := Digest(data); got != ref.SHA256 {
		return nil, fmt.Errorf("load %s: %w: sha256 is %s, want %s", ref.Key, ErrCorrupt, got, ref.SHA256)
	}
	return data, nil
}

// Digest is the SHA-256 of data in lower-case hex.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// FileKey is where the object with the given digest lives: scenarios, plans and data files.
func FileKey(digest string) string { return "files/" + digest }

// PutFile stores data under its own digest and returns the reference.
func PutFile(ctx context.Context, s Store, data []byte) (Ref, error) {
	ref := RefOf(FileKey(Digest(data)), data)
	return ref, s.PutIfAbsent(ctx, ref.Key, data)
}

// GetFile returns the file with the given digest.
func GetFile(ctx context.Context, s Store, digest string) ([]byte, error) {
	return Load(ctx, s, Ref{Key: FileKey(digest), SHA256: digest})
}

const (
	maxKey  = 512
	maxPart = 200
)

// CheckKey returns ErrKey unless key is safe as a path and as an object name everywhere: parts of
// letters, digits, '.', '_' and '-' that do not begin with '.', joined by '/'.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("%w: %q: want 1 to %d bytes", ErrKey, key, maxKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		if !validPart(part) {
			return fmt.Errorf("%w: %q", ErrKey, key)
		}
	}
	return nil
}

// CheckPrefix returns ErrKey unless prefix is the beginning of a key, or empty.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return CheckKey(strings.TrimSuffix(prefix, "/"))
}

func validPart(part string) bool {
	if part == "" || len(part) > maxPart || part[0] == '.' {
		return false
	}
	for _, c := range []byte(part) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
