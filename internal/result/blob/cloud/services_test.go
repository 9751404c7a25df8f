package cloud

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"proofload/internal/result/blob"
)

// service answers each request the same, as a cloud does that refuses; its body is in that cloud's format.
func service(t *testing.T, status int, header map[string]string, body string) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(s.Close)
	return s, &requests
}

// connect opens a bucket without the proof, so that each operation can be asked.
func connect(t *testing.T, scheme, query string) *Bucket {
	t.Helper()
	l, err := blob.ParseLocation(scheme + "://bucket?" + query)
	if err != nil {
		t.Fatal(err)
	}
	b, err := map[string]func(*testing.T) (*Bucket, error){
		"s3":     func(t *testing.T) (*Bucket, error) { return openS3(t.Context(), l) },
		"gs":     func(t *testing.T) (*Bucket, error) { return openGS(t.Context(), l) },
		"azblob": func(t *testing.T) (*Bucket, error) { return openAzure(t.Context(), l) },
	}[scheme](t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

const secretKey = "hunter2hunter2hunter2"

// environment has credentials, and those of whoever runs the tests out of the way.
func environment(t *testing.T) {
	t.Helper()
	none := t.TempDir() + "/none"
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true",
		"AZURE_STORAGE_ACCOUNT": "account", "AZURE_STORAGE_KEY": "aHVudGVyMmh1bnRlcjJodW50ZXIy", "AZURE_STORAGE_SAS_TOKEN": "", "AZURE_STORAGE_CONNECTION_STRING": "",
	} {
		t.Setenv(name, value)
	}
}

// address makes location queries, or variables, that lead to a server.
func address(t *testing.T, scheme string, s *httptest.Server) string {
	t.Helper()
	host := strings.TrimPrefix(s.URL, "http://")
	switch scheme {
	case "s3":
		return "s3ForcePathStyle=true&endpoint=" + s.URL
	case "gs":
		t.Setenv("STORAGE_EMULATOR_HOST", host)
		return ""
	}
	return "protocol=http&localemu=true&domain=" + host
}

func s3Body(code string) string {
	return `<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>because</Message></Error>`
}

func gsBody(status int, message string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q}}`, status, message)
}

// TestServicesErrors: what each cloud answers is told as what it means here, in one line without credentials.
func TestServicesErrors(t *testing.T) {
	azure := func(code string) map[string]string { return map[string]string{"X-Ms-Error-Code": code} }
	for _, tt := range []struct {
		name, scheme string
		status       int
		header       map[string]string
		body         string
		get, put     error
	}{
		{"no object", "s3", 404, nil, s3Body("NoSuchKey"), blob.ErrNotFound, nil},
		{"no bucket", "s3", 404, nil, s3Body("NoSuchBucket"), blob.ErrNoBucket, blob.ErrNoBucket},
		{"not permitted", "s3", 403, nil, s3Body("AccessDenied"), blob.ErrDenied, blob.ErrNotWritable},
		{"unknown key", "s3", 403, nil, s3Body("InvalidAccessKeyId"), blob.ErrDenied, blob.ErrDenied},
		{"wrong secret", "s3", 403, nil, s3Body("SignatureDoesNotMatch"), blob.ErrDenied, blob.ErrDenied},
		{"quota", "s3", 403, nil, s3Body("QuotaExceeded"), blob.ErrNoSpace, blob.ErrNoSpace},
		{"no conditional writes", "s3", 501, nil, s3Body("NotImplemented"), nil, blob.ErrUnsuited},
		{"no object", "gs", 404, nil, gsBody(404, "No such object: bucket/k"), blob.ErrNotFound, nil},
		{"no bucket", "gs", 404, nil, gsBody(404, "The specified bucket does not exist."), nil, blob.ErrNoBucket},
		{"not permitted", "gs", 403, nil, gsBody(403, "denied"), blob.ErrDenied, blob.ErrNotWritable},
		{"no user", "gs", 401, nil, gsBody(401, "anonymous"), blob.ErrDenied, blob.ErrDenied},
		{"no object", "azblob", 404, azure("BlobNotFound"), "", blob.ErrNotFound, nil},
		{"no container", "azblob", 404, azure("ContainerNotFound"), "", blob.ErrNoBucket, blob.ErrNoBucket},
		{"not permitted", "azblob", 403, azure("AuthorizationPermissionMismatch"), "", blob.ErrDenied, blob.ErrNotWritable},
		{"wrong key", "azblob", 403, azure("AuthenticationFailed"), "", blob.ErrDenied, blob.ErrDenied},
	} {
		t.Run(tt.scheme+" "+tt.name, func(t *testing.T) {
			environment(t)
			s, _ := service(t, tt.status, tt.header, tt.body)
			b := connect(t, tt.scheme, address(t, tt.scheme, s))
			_, err := b.Get(t.Context(), "k")
			for op, pair := range map[string][2]error{"get": {err, tt.get}, "put": {b.PutIfAbsent(t.Context(), "k", []byte("x")), tt.put}} {
				got, want := pair[0], pair[1]
				if got == nil || want != nil && !errors.Is(got, want) {
					t.Errorf("%s: %v, want %v", op, got, want)
				}
				if text := fmt.Sprint(got); strings.Contains(text, "\n") || strings.Contains(text, "AKIA") || strings.Contains(text, "hunter2") {
					t.Errorf("%s: %q", op, text)
				}
			}
		})
	}
}

// TestServicesRefuseToReplace: a write that must not replace is sent as one, and the refusal is understood.
func TestServicesRefuseToReplace(t *testing.T) {
	for scheme, want := range map[string]string{"s3": "If-None-Match *", "gs": "ifGenerationMatch=0", "azblob": "If-None-Match *"} {
		t.Run(scheme, func(t *testing.T) {
			environment(t)
			var asked atomic.Pointer[string]
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Last-Modified", "Fri, 27 Nov 2026 00:00:00 GMT") // Azure's library dies without it
				if r.Method == http.MethodGet {
					_, _ = io.WriteString(w, "another")
					return
				}
				text := "If-None-Match " + r.Header.Get("If-None-Match") + " " + r.URL.RawQuery
				asked.Store(&text)
				w.Header().Set("X-Ms-Error-Code", "BlobAlreadyExists")
				if scheme == "azblob" {
					w.WriteHeader(http.StatusConflict)
					return
				}
				w.WriteHeader(http.StatusPreconditionFailed)
				body := map[string]string{"s3": s3Body("PreconditionFailed"), "gs": gsBody(412, "conditionNotMet")}[scheme]
				_, _ = io.WriteString(w, body)
			}))
			defer s.Close()
			b := connect(t, scheme, address(t, scheme, s))
			err := b.PutIfAbsent(t.Context(), "k", []byte("x"))
			if got := asked.Load(); got == nil || !strings.Contains(*got, want) {
				t.Fatalf("asked for %v, want %s", got, want)
			}
			if !errors.Is(err, blob.ErrExists) {
				t.Errorf("PutIfAbsent: %v, want ErrExists", err)
			}
		})
	}
}

// TestConcurrentWriteInS3: 409 ConditionalRequestConflict decides nothing, so the write is repeated until the
// service says who has won.
func TestConcurrentWriteInS3(t *testing.T) {
	environment(t)
	var puts atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if puts.Add(1) < 3 {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, s3Body("ConditionalRequestConflict"))
		}
	}))
	defer s.Close()
	b := connect(t, "s3", address(t, "s3", s))
	if err := b.PutIfAbsent(t.Context(), "k", []byte("x")); err != nil || puts.Load() != 3 {
		t.Errorf("after %d writes: %v", puts.Load(), err)
	}
}

// TestNobodyListens: an endpoint without a service is told as that, soon.
func TestNobodyListens(t *testing.T) {
	environment(t)
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	for _, scheme := range []string{"s3", "gs"} {
		b := connect(t, scheme, address(t, scheme, s))
		_, err := b.Get(t.Context(), "k")
		if !errors.Is(err, blob.ErrUnreachable) || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// TestMissingSettings: what a store needs and has not is said before it is asked for anything.
func TestMissingSettings(t *testing.T) {
	for _, tt := range []struct {
		location, unset, want string
		is                    error
	}{
		{"s3://bucket", "", "AWS_REGION", blob.ErrLocation},
		{"s3://bucket?region=eu-west-1", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", blob.ErrDenied},
		{"s3://bucket?region=eu-west-1&ssetype=none", "", "aws:kms", blob.ErrLocation},
		{"azblob://container", "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT", blob.ErrLocation},
		{"azblob://container?domain=evil.example", "", "not allowed", blob.ErrLocation},
	} {
		environment(t)
		if tt.unset != "" {
			t.Setenv(tt.unset, "")
		}
		Register()
		l, err := blob.ParseLocation(tt.location)
		if err != nil {
			t.Fatal(err)
		}
		_, err = blob.Open(t.Context(), l, blob.OpenOptions{})
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %v with %q", tt.location, err, tt.is, tt.want)
		}
	}
}

// TestStoreNobodyClaims: in an object store nothing tells whether a coordinator has it open.
func TestStoreNobodyClaims(t *testing.T) {
	Register()
	l, err := blob.ParseLocation("s3://bucket?region=eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Open(t.Context(), l, blob.OpenOptions{Alone: true}); !errors.Is(err, blob.ErrInUse) {
		t.Errorf("Open alone: %v, want ErrInUse", err)
	}
}
