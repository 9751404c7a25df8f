package blob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	tempDir = ".tmp" // no key can begin with '.'
	// staleAfter is when a temporary file in a shared store is taken for a leftover. Removing one that
	// is in use loses nothing: its writer gets an error and repeats.
	staleAfter = time.Hour
)

// FileOptions describe a File store.
type FileOptions struct {
	Dir      string
	ReadOnly bool // no write is tried, not even at open
	Shared   bool // other machines write here too
	Alone    bool // no other process may have the store open for writing
}

// File is a Store in a directory of a local or shared file system with hard links. Objects are
// plain files under their keys.
//
// An object is written to a temporary file, synced, linked to its name and its directory synced:
// link refuses an existing name atomically, which rename would replace. The temporary files live in
// one directory of the store rather than beside each object, so that cleaning up after a crash does
// not have to walk a store of many thousand segments; it is the same file system either way.
type File struct {
	root  *os.Root
	dir   string
	claim *os.File // nil: opened for reading only
	// dirs keeps Delete from removing an empty directory between its making and its first object.
	dirs sync.RWMutex
}

var _ Replacer = (*File)(nil)

// OpenFile opens the store in opts.Dir, creating it when missing, checks that it can be written and
// removes what crashed writers have left. Close it when done.
func OpenFile(opts FileOptions) (*File, error) {
	if !opts.ReadOnly {
		if err := os.MkdirAll(opts.Dir, 0o750); err != nil {
			if err = storeError("put", opts.Dir, err); !errors.Is(err, ErrNoSpace) && !errors.Is(err, ErrNotWritable) {
				err = fmt.Errorf("%w: %w", ErrNotWritable, err) // its parent is a file, say
			}
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	root, err := os.OpenRoot(opts.Dir)
	if err != nil {
		return nil, storeError("open", opts.Dir, err)
	}
	f := &File{root: root, dir: opts.Dir}
	if opts.ReadOnly {
		return f, nil
	}
	if err := f.prepare(opts); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// prepare makes the directory for temporary files, empties it, and proves that it can be written.
func (f *File) prepare(opts FileOptions) (err error) {
	if err := f.root.Mkdir(tempDir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return storeError("open", f.dir, err)
	}
	if f.claim, err = claim(f.dir, opts.Alone); err != nil {
		return storeError("open", f.dir, err)
	}
	left, err := fs.ReadDir(f.root.FS(), tempDir)
	if err != nil {
		return storeError("open", f.dir, err)
	}
	for _, entry := range left {
		info, err := entry.Info()
		if err != nil || opts.Shared && time.Since(info.ModTime()) < staleAfter {
			continue // gone meanwhile, or perhaps in use
		}
		if err := f.root.Remove(path.Join(tempDir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storeError("clean", f.dir, err)
		}
	}
	name, err := f.temp([]byte("writable"))
	if err != nil {
		return storeError("open", f.dir, err)
	}
	return f.root.Remove(name)
}

// Close releases the directory. Objects stay.
func (f *File) Close() error {
	err := f.root.Close()
	if f.claim != nil {
		err = errors.Join(err, f.claim.Close())
	}
	return err
}

// PutIfAbsent implements Store.
func (f *File) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	if err := cmp.Or(ctx.Err(), CheckKey(key)); err != nil {
		return err
	}
	if same, err := f.compare(key, data); same || err != nil {
		return err // spares the writing when the answer is known
	}
	return f.write(key, data, func(temp string) error {
		err := f.root.Link(temp, key)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		_, err = f.compare(key, data)
		return err
	})
}

// Put implements Replacer.
func (f *File) Put(ctx context.Context, key string, data []byte) error {
	if err := cmp.Or(ctx.Err(), CheckKey(key)); err != nil {
		return err
	}
	return f.write(key, data, func(temp string) error { return f.root.Rename(temp, key) })
}

// write makes data durable in a temporary file, has it placed under key, and makes that durable.
func (f *File) write(key string, data []byte, place func(temp string) error) error {
	temp, err := f.temp(data)
	if err != nil {
		return storeError("put", key, err)
	}
	defer func() { _ = f.root.Remove(temp) }() // renamed away, or swept at the next open
	dir := path.Dir(key)
	f.dirs.RLock()
	defer f.dirs.RUnlock()
	for try := range 3 {
		if err = f.mkdir(dir); err == nil {
			err = place(temp)
		}
		if !errors.Is(err, fs.ErrNotExist) || try == 2 {
			break
		} // another process has just removed the empty directory: make it again
	}
	if err == nil {
		err = f.sync(dir)
	}
	return storeError("put", key, err)
}

// temp writes data to a new temporary file, synced, and returns its name.
func (f *File) temp(data []byte) (string, error) {
	name := path.Join(tempDir, rand.Text())
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, f.root.Remove(name))
	}
	return name, nil
}

// mkdir makes dir and the ones above it, each durable in its parent.
func (f *File) mkdir(dir string) error {
	if dir == "." {
		return nil
	}
	if _, err := f.root.Stat(dir); err == nil {
		return nil
	}
	if err := f.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	if err := f.root.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return f.sync(path.Dir(dir))
}

// sync makes the entries of dir durable.
func (f *File) sync(dir string) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// compare tells whether key holds data; other content is ErrExists. An object found is made durable
// first: its writer may have died between linking it and syncing the directory.
func (f *File) compare(key string, data []byte) (bool, error) {
	old, err := f.root.ReadFile(key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, storeError("put", key, err)
	}
	if !bytes.Equal(old, data) {
		return false, fmt.Errorf("put %s: %w", key, ErrExists)
	}
	return true, storeError("put", key, f.sync(path.Dir(key)))
}

// Get implements Store.
func (f *File) Get(ctx context.Context, key string) ([]byte, error) {
	if err := cmp.Or(ctx.Err(), CheckKey(key)); err != nil {
		return nil, err
	}
	data, err := f.root.ReadFile(key)
	return data, storeError("get", key, err)
}

// Delete implements Store. Directories that it empties go too.
func (f *File) Delete(ctx context.Context, key string) error {
	if err := cmp.Or(ctx.Err(), CheckKey(key)); err != nil {
		return err
	}
	if err := f.root.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storeError("delete", key, err)
	}
	f.dirs.Lock()
	defer f.dirs.Unlock()
	for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
		if f.root.Remove(dir) != nil { // not empty, or gone already
			break
		}
	}
	return nil
}

// List implements Store.
func (f *File) List(ctx context.Context, prefix string, shallow bool) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := CheckPrefix(prefix); err != nil {
			yield(Info{}, err)
			return
		}
		f.list(ctx, listing{prefix, shallow, yield}, path.Dir(prefix+"x"))
	}
}

// listing is one call of List on its way through the directories.
type listing struct {
	prefix  string
	shallow bool
	yield   func(Info, error) bool
}

// list yields what matches in dir and below, and tells whether to go on.
func (f *File) list(ctx context.Context, l listing, dir string) bool {
	if err := ctx.Err(); err != nil {
		l.yield(Info{}, err)
		return false
	}
	entries, err := fs.ReadDir(f.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true // deleted meanwhile, or never there: no objects
	}
	if err != nil {
		l.yield(Info{}, storeError("list", l.prefix, err))
		return false
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, entry := range entries {
		key := path.Join(dir, entry.Name())
		if entry.IsDir() {
			key += "/"
		}
		if !validPart(entry.Name()) || !strings.HasPrefix(key, l.prefix) {
			continue
		}
		if !f.entry(ctx, l, key, entry) {
			return false
		}
	}
	return true
}

// entry yields one directory entry that matches, or what is below it.
func (f *File) entry(ctx context.Context, l listing, key string, entry fs.DirEntry) bool {
	switch {
	case entry.IsDir() && l.shallow:
		return l.yield(Info{Key: key, Dir: true}, nil)
	case entry.IsDir():
		return f.list(ctx, l, strings.TrimSuffix(key, "/"))
	case !entry.Type().IsRegular():
		return true
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return true // deleted meanwhile
	}
	if err != nil {
		l.yield(Info{}, storeError("list", key, err))
		return false
	}
	return l.yield(Info{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil)
}

// sortName orders a directory as its keys are: "a-b/x" comes before "a/x".
func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

// storeError names the operation and key, and the sentinel for what the user can mend.
func storeError(op, key string, err error) error {
	var say error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrExists):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		say = ErrNoSpace
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		say = ErrNotWritable
		if op == "get" || op == "list" {
			return fmt.Errorf("%s %s: %w", op, key, err)
		}
	case errors.Is(err, fs.ErrNotExist) && op != "put":
		say = ErrNotFound
	default:
		return fmt.Errorf("%s %s: %w", op, key, err)
	}
	return fmt.Errorf("%s %s: %w (%w)", op, key, say, err)
}
