package api

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
	pb "proofload/proto/proofload/v1"
)

// shipped is the files of a scenario as they were uploaded, by the path that the scenario gives.
type shipped map[string][]byte

// Open implements fs.FS.
func (s shipped) Open(name string) (fs.File, error) {
	data, ok := s[path.Clean(name)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &shippedFile{name: name, Reader: bytes.NewReader(data), size: int64(len(data))}, nil
}

type shippedFile struct {
	*bytes.Reader
	name string
	size int64
}

func (f *shippedFile) Close() error               { return nil }
func (f *shippedFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *shippedFile) Name() string               { return path.Base(f.name) }
func (f *shippedFile) Size() int64                { return f.size }
func (f *shippedFile) Mode() fs.FileMode          { return 0o444 }
func (f *shippedFile) ModTime() time.Time         { return time.Time{} }
func (f *shippedFile) IsDir() bool                { return false }
func (f *shippedFile) Sys() any                   { return nil }

// load reads a shipped scenario into a plan. Nothing on this machine's disk can be read by it.
func load(ctx context.Context, files Files, src *pb.ScenarioSource) (*scenario.Plan, error) {
	text := src.GetScenario()
	if len(text) == 0 {
		if src.GetScenarioDigest() == "" {
			return nil, invalid("a scenario or its digest is needed")
		}
		var err error
		if text, err = files.GetFile(ctx, src.GetScenarioDigest()); err != nil {
			return nil, fmt.Errorf("scenario %s: %w: upload it first", src.GetScenarioDigest(), err)
		}
	}
	name := path.Base(src.GetFileName())
	tree := shipped{name: text}
	for at, digest := range src.GetFiles() {
		data, err := files.GetFile(ctx, digest)
		if err != nil {
			return nil, fmt.Errorf("file %s with digest %s: %w: upload it first", at, digest, err)
		}
		tree[path.Clean(at)] = data
	}
	env := src.GetEnv()
	return scenario.Load(tree, name, scenario.Options{
		Environment: src.GetEnvironment(), Set: src.GetSet(), Seed: src.Seed, Rows: schedule.Rows,
		Getenv: func(key string) (string, bool) { v, ok := env[key]; return v, ok },
	})
}

// confirmed refuses an environment that must be named twice and was not.
func confirmed(plan *scenario.Plan, name string) error {
	if plan.Confirm && name != plan.Environment {
		return status.Errorf(codes.PermissionDenied, "environment %s must be confirmed: add --confirm %s", plan.Environment, plan.Environment)
	}
	return nil
}
