package blob

import (
	"errors"
	"strings"
	"testing"
)

func TestParseLocation(t *testing.T) {
	good := map[string]Location{
		"file:///a/b":             {Scheme: "file", Dir: "/a/b"},
		"file:///a/b?shared=true": {Scheme: "file", Dir: "/a/b", Shared: true},
		"/a/b":                    {Scheme: "file", Dir: "/a/b"},
		"s3://bucket?region=eu-1&endpoint=http://127.0.0.1:7070&s3ForcePathStyle=true&prefix=p/q": {Scheme: "s3", Bucket: "bucket", Prefix: "p/q/", Shared: true},
		"gs://bucket/":                    {Scheme: "gs", Bucket: "bucket", Shared: true},
		"azblob://container?prefix=team/": {Scheme: "azblob", Bucket: "container", Prefix: "team/", Shared: true},
	}
	for text, want := range good {
		got, err := ParseLocation(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got.Params.Has("prefix") {
			t.Errorf("%s: the prefix is also told to the driver", text)
		}
		got.Params = nil
		if got.Scheme != want.Scheme || got.Dir != want.Dir || got.Shared != want.Shared || got.Bucket != want.Bucket || got.Prefix != want.Prefix {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// TestLocationsThatAreRefused: each with a line that says what to write, and without what may be a secret.
func TestLocationsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"s3://AKIA:hunter2@bucket":                             "in the environment",
		"s3://AKIA:hunter2@bucket:x":                           "no port",
		"s3://AKIA:hunter2%zz@bucket":                          "it is no URL",
		"s3://bucket?aws_secret_access_key=hunter2":            "it may hold endpoint",
		"s3://bucket?region=a&region=hunter2":                  "given twice",
		"s3://bucket?endpoint=http://AKIA:hunter2@h:1":         "without credentials",
		"s3://bucket?endpoint=127.0.0.1:7070":                  "http://HOST:PORT",
		"s3://bucket?endpoint=https://h/?X-Amz-Secret=hunter2": "without credentials",
		"s3://bucket?region=%zzhunter2":                        "not escaped",
		"s3://bucket/folder":                                   "prefix=FOLDER",
		"s3://":                                                "name of a bucket",
		"s3://bucket?prefix=../x":                              "its prefix",
		"azblob://container?sig=hunter2":                       "storage_account",
		"ftp://hunter2":                                        "azblob, file, gs, s3",
		"file://data/x":                                        "three slashes",
		"file:///d?shraed=true":                                "it may hold shared",
		"file:///d?shared=yes":                                 "true or false",
	} {
		_, err := ParseLocation(text)
		if !errors.Is(err, ErrLocation) {
			t.Errorf("%s: %v, want ErrLocation", text, err)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q, want %q, one line and no secret", text, err, want)
		}
	}
}

// FuzzParseLocation: no location makes it panic or names nothing without an error.
func FuzzParseLocation(f *testing.F) {
	for _, s := range []string{"", "dir", "file:///a?shared=true", "s3://bucket?prefix=a", "file://", "://", "%zz://x", "gs://b/?"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLocation(text)
		if err == nil && (l.Object() == (l.Dir != "") || l.Object() == (l.Bucket == "")) {
			t.Errorf("%q is %+v", text, l)
		}
	})
}

func TestOpenWithoutDriver(t *testing.T) {
	l, err := ParseLocation("s3://bucket")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), l, OpenOptions{}); !errors.Is(err, ErrLocation) {
		t.Errorf("Open of a store without a driver: %v", err)
	}
}
