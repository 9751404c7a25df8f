package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc/codes"

	pb "proofload/proto/proofload/v1"
)

func (r *rig) upload(t *testing.T, digest string, chunks ...[]byte) (*pb.UploadFileResponse, error) {
	t.Helper()
	stream, err := r.runs.UploadFile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range chunks {
		m := &pb.UploadFileRequest{Data: c}
		if i == 0 {
			m.Digest = digest
		}
		if err := stream.Send(m); errors.Is(err, io.EOF) {
			break // the answer says why
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return stream.CloseAndRecv()
}

// TestUpload: content is stored under its digest, and what is not what it claims is not stored.
func TestUpload(t *testing.T) {
	r := serve(t)
	one, two := bytes.Repeat([]byte("a"), 1<<20), []byte("the rest")
	sum := sha256.Sum256(append(bytes.Clone(one), two...))
	digest := hex.EncodeToString(sum[:])
	m, err := r.upload(t, digest, one, two)
	if err != nil || m.GetDigest() != digest || m.GetSize() != 1<<20+8 {
		t.Errorf("%v, %v", m, err)
	}
	_, err = r.upload(t, digest, two, one)
	wantCode(t, err, codes.InvalidArgument)
	_, err = r.upload(t, digest, one)
	wantCode(t, err, codes.InvalidArgument)
	_, err = r.upload(t, "", one)
	wantCode(t, err, codes.InvalidArgument)
	_, err = r.upload(t, digest, make([]byte, 1<<20+1))
	wantCode(t, err, codes.InvalidArgument)
	if len(r.files) != 1 {
		t.Errorf("%d files stored", len(r.files))
	}
	empty := sha256.Sum256(nil)
	if m, err := r.upload(t, hex.EncodeToString(empty[:]), nil); err != nil || m.GetSize() != 0 {
		t.Errorf("an empty file: %v, %v", m, err)
	}
}

// TestUploadTooLarge: the bound holds before the memory is taken.
func TestUploadTooLarge(t *testing.T) {
	r := serve(t)
	chunk := make([]byte, 1<<20)
	chunks := make([][]byte, maxFile>>20+1)
	for i := range chunks {
		chunks[i] = chunk
	}
	_, err := r.upload(t, "00", chunks...)
	wantCode(t, err, codes.InvalidArgument)
}
