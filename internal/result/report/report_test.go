package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proofload/internal/judge"
)

var update = flag.Bool("update", false, "write the golden files anew")

// formats are all renderings of a Document, by the names of their golden files.
var formats = map[string]func(io.Writer, *Document) error{
	"report.json": WriteJSON,
	"report.md":   WriteMarkdown,
	"report.html": WriteHTML,
	"report.xml":  WriteJUnit,
	"summary.txt": func(w io.Writer, d *Document) error { return WriteSummary(w, d, SummaryOptions{}) },
}

func render(t testing.TB, write func(io.Writer, *Document) error, d *Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	d := newSample(t).build(t)
	for name, write := range formats {
		t.Run(name, func(t *testing.T) {
			got := render(t, write, d)
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s differs from the golden file; run the test with -update if that is meant (-want +got):\n%.4000s", name, diff)
			}
		})
	}
}

// TestRenderFromJSON proves that every format needs the Document and nothing else.
func TestRenderFromJSON(t *testing.T) {
	for name, d := range map[string]*Document{"sample": newSample(t).build(t), "nothing ran": empty(t), "hostile": hostileDocument(t)} {
		t.Run(name, func(t *testing.T) {
			stored, err := ReadJSON(bytes.NewBufferString(render(t, WriteJSON, d)))
			if err != nil {
				t.Fatal(err)
			}
			if name != "hostile" { // whose control characters JSON keeps and whose bytes it does not have to
				if diff := cmp.Diff(d, stored); diff != "" {
					t.Errorf("document differs after JSON (-want +got):\n%s", diff)
				}
			}
			for format, write := range formats {
				if got, want := render(t, write, stored), render(t, write, d); got != want {
					t.Errorf("%s differs after JSON", format)
				}
			}
		})
	}
}

func TestReadJSON(t *testing.T) {
	tests := []struct {
		name, in string
		ok       bool
	}{
		{"unknown fields and members", `{"schema":"proofload.report/v1","new":1,"verdict":{"result":"NEW","more":[]}}`, true},
		{"other schema", `{"schema":"proofload.report/v2"}`, false},
		{"no schema", `{}`, false},
		{"not JSON", `<html>`, false},
		{"wrong type", `{"schema":"proofload.report/v1","phases":{}}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := ReadJSON(bytes.NewBufferString(tt.in))
			if (err == nil) != tt.ok {
				t.Fatalf("ReadJSON error = %v, want ok %v", err, tt.ok)
			}
			if !tt.ok {
				return
			}
			for name, write := range formats { // a document of which most is absent still renders
				if render(t, write, d) == "" {
					t.Errorf("%s is empty", name)
				}
			}
		})
	}
}

// FuzzReadJSON proves that no stored document, however damaged, makes a renderer panic.
func FuzzReadJSON(f *testing.F) {
	f.Add([]byte(`{"schema":"proofload.report/v1"}`))
	f.Add([]byte(`{"schema":"proofload.report/v1","timeline":{"interval_s":1,"points":[{"at_s":-1e308},{"at_s":1e308,"response_time":{"p50_s":1e-300}}]}}`))
	f.Add([]byte(`{"schema":"proofload.report/v1","timeline":{"interval_s":0,"points":[{}]},"series":[{}],"phases":[{"to_s":1}],"events":[{}]}`))
	var b bytes.Buffer
	if err := WriteJSON(&b, empty(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ReadJSON(bytes.NewReader(data))
		if err != nil {
			return
		}
		for name, write := range formats {
			if err := write(io.Discard, d); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestNoNulls proves that lists and maps are never null and that unmeasured numbers are.
func TestNoNulls(t *testing.T) {
	for name, d := range map[string]*Document{"sample": newSample(t).build(t), "nothing ran": empty(t)} {
		var tree map[string]any
		if err := json.Unmarshal([]byte(render(t, WriteJSON, d)), &tree); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"phases", "series", "measures", "events", "criteria", "violations", "faults", "findings"} {
			if _, ok := tree[key].([]any); !ok {
				t.Errorf("%s: %s is %v, want a list", name, key, tree[key])
			}
		}
		if v, ok := tree["comparison"]; !ok || v != nil {
			t.Errorf("%s: comparison is %v, want null", name, v)
		}
	}
	var tree struct {
		Load struct {
			ScheduleLag map[string]any `json:"schedule_lag"`
			NotSent     map[string]any `json:"not_sent"`
		} `json:"load"`
	}
	if err := json.Unmarshal([]byte(render(t, WriteJSON, empty(t))), &tree); err != nil {
		t.Fatal(err)
	}
	if p99, ok := tree.Load.ScheduleLag["p99_s"]; !ok || p99 != nil {
		t.Errorf("p99_s of nothing is %v, want null", p99)
	}
	if tree.Load.NotSent["late"] != 0.0 {
		t.Errorf("not_sent.late is %v, want 0", tree.Load.NotSent["late"])
	}
}

// empty is the report of a run that was refused before any load.
func empty(t testing.TB) *Document {
	t.Helper()
	s := &sample{fold: NewFold()}
	in := s.input()
	in.Run.T0, in.Run.History, in.Run.Stop = nil, nil, nil
	in.Missing, in.Outcome, in.Events, in.Integrity = nil, judge.Outcome{}, nil, Integrity{}
	in.StartSkew = nil
	d, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
