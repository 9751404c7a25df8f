package scenario

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// FuzzLoad feeds the reader of scenarios with anything: it must neither panic nor hang, what it refuses
// it refuses with problems on one line each that name the file, and what it accepts must survive its encoding.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(sound), "")
	f.Add([]byte(layered), "list")
	f.Add([]byte("a: &a [*a]"), "")
	examples, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(examples) == 0 {
		f.Fatalf("examples: %v, %v", examples, err)
	}
	for _, name := range append(examples, "testdata/language.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "")
	}
	accounts := &fstest.MapFile{Data: []byte("name,password\nanna,x\nbert,y\n")}
	f.Fuzz(func(t *testing.T, data []byte, environment string) {
		fsys := fstest.MapFS{"s.yaml": {Data: data}, "accounts.csv": accounts}
		plan, err := Load(fsys, "s.yaml", Options{Environment: environment, Getenv: getenv("CI_SHA", "abc")})
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || len(problems) == 0 || plan != nil {
				t.Fatalf("Load() = %v, %v", plan, err)
			}
			for _, p := range problems {
				if s := p.String(); !strings.HasPrefix(s, "s.yaml:") || strings.Contains(s, "\n") {
					t.Fatalf("problem %q is not one line that names the file", s)
				}
			}
			return
		}
		encoded, err := plan.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodePlan(encoded)
		if err != nil {
			t.Fatal(err)
		}
		again, err := back.Encode()
		if err != nil || !bytes.Equal(again, encoded) {
			t.Fatalf("plan changed on the way: %v", err)
		}
		if err := plan.Render(&bytes.Buffer{}, RenderOptions{Workers: 3}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDecodePlan feeds the reader of plans, which come from a store, with anything.
func FuzzDecodePlan(f *testing.F) {
	plan, err := Load(os.DirFS("../../examples"), "quickstart.yaml", Options{})
	if err != nil {
		f.Fatal(err)
	}
	data, err := plan.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if plan, err := DecodePlan(data); err == nil {
			if _, err := plan.Encode(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
