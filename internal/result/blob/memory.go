package blob

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is a Store that keeps its objects in memory, for tests and simulations. The zero value is
// empty and ready to use.
type Memory struct {
	mu      sync.Mutex
	objects map[string][]byte
}

var _ Replacer = (*Memory)(nil)

// PutIfAbsent implements Store.
func (m *Memory) PutIfAbsent(_ context.Context, key string, data []byte) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.objects[key]; ok {
		if bytes.Equal(old, data) {
			return nil
		}
		return fmt.Errorf("put %s: %w", key, ErrExists)
	}
	m.set(key, data)
	return nil
}

// Put implements Replacer.
func (m *Memory) Put(_ context.Context, key string, data []byte) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(key, data)
	return nil
}

func (m *Memory) set(key string, data []byte) {
	if m.objects == nil {
		m.objects = map[string][]byte{}
	}
	m.objects[key] = bytes.Clone(data)
}

// Get implements Store.
func (m *Memory) Get(_ context.Context, key string) ([]byte, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.objects[key]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	return bytes.Clone(data), nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

// List implements Store.
func (m *Memory) List(_ context.Context, prefix string, shallow bool) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := CheckPrefix(prefix); err != nil {
			yield(Info{}, err)
			return
		}
		for _, info := range m.infos(prefix, shallow) {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (m *Memory) infos(prefix string, shallow bool) []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]Info{}
	for key, data := range m.objects {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		if dir, _, below := strings.Cut(rest, "/"); shallow && below {
			found[prefix+dir+"/"] = Info{Key: prefix + dir + "/", Dir: true}
			continue
		}
		found[key] = Info{Key: key, Size: int64(len(data))}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Info) int { return strings.Compare(a.Key, b.Key) })
}
