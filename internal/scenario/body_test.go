package scenario

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// withHTTP is a scenario whose only step has the given request, with files beside it.
func withHTTP(request string) fstest.MapFS {
	text := strings.Replace(small, "http: {method: POST, path: /orders}", "http: {method: POST, path: /orders, "+request+"}", 1)
	text = strings.Replace(text, "name: small", "name: small\nparams: {peak: 10%}\ndata: {p: {jsonl: people.jsonl}}", 1)
	return fstest.MapFS{
		"s.yaml":       {Data: []byte(text)},
		"people.jsonl": {Data: []byte(`{"name": "ann"}` + "\n")},
		"note.txt":     {Data: []byte("of ${data.p.name} ${params.peak} ${secret.KEY} ${env.BUILD}")},
		"wrong.txt":    {Data: []byte("of ${data.p.nam}")},
		"raw.bin":      {Data: []byte("\xff${")},
	}
}

// TestFilesOfBodies: a file that is sent is named by its digest, is shipped, and its templates are looked at
// as if they stood in the scenario.
func TestFilesOfBodies(t *testing.T) {
	fsys := withHTTP(`multipart: [{name: a, file: raw.bin}, {name: b, file: {path: note.txt, template: true}, filename: 'x${params.peak}'}, {name: c, file: raw.bin}]`)
	opts := Options{Getenv: getenv("BUILD", "17")}
	plan, err := Load(fsys, "s.yaml", opts)
	if err != nil {
		t.Fatal(err)
	}
	parts := plan.Flows["buy"].Steps[0].HTTP.Multipart
	if parts[0].File.Digest != Digest(fsys["raw.bin"].Data) || parts[0].Filename != "raw.bin" || parts[0].Type != "application/octet-stream" || parts[1].Filename != "x10%" {
		t.Errorf("parts: %+v", parts)
	}
	var names []string
	for _, f := range plan.Files() {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"people.jsonl", "raw.bin", "note.txt"}) {
		t.Errorf("files of the plan: %v", names)
	}
	if !slices.Equal(plan.Secrets, []string{"KEY"}) || plan.Env["BUILD"] != "17" {
		t.Errorf("secrets %v, env %v: what the file reads is missing", plan.Secrets, plan.Env)
	}
	if !plan.Flows["buy"].Steps[0].Mentions("data.p.") {
		t.Error("the data that the file reads is not known")
	}
	needed, err := Needs(fsys, "s.yaml", opts)
	if err != nil || !slices.Equal(needed.Files, []string{"note.txt", "people.jsonl", "raw.bin"}) || needed.Env["BUILD"] != "17" {
		t.Errorf("what has to come along: %+v, %v", needed, err)
	}
	data, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := DecodePlan(data); err != nil || len(again.Files()) != 3 {
		t.Errorf("decoded: %v, %v", again.Files(), err)
	}
}

// TestBodiesRefused: what cannot be sent is told with its place before the run.
func TestBodiesRefused(t *testing.T) {
	for request, want := range map[string]string{
		"file: none.bin":                                      "s.yaml:13:49: file none.bin cannot be read",
		"file: ../s.yaml":                                     "must lie beside the scenario",
		"file: {path: wrong.txt, template: true}":             "file wrong.txt: data.p.nam does not exist",
		"file: {path: raw.bin, template: true}":               "no text in UTF-8",
		"file: {path: note.txt, template: true}":              "environment variable BUILD is not set",
		"compress: gzip":                                      "compress needs a body",
		"body: x, compress: brotli":                           `"brotli" is not one of none, gzip`,
		"form: {a: '${data.p.nam}'}":                          "data.p.nam does not exist",
		"form: {}":                                            "form is empty",
		"form: {a: b}, body: x":                               "exclude each other",
		"multipart: []":                                       "multipart is empty",
		"multipart: [{name: a}]":                              "value or file is missing",
		"multipart: [{name: a, value: b, file: raw.bin}]":     "exclude each other",
		"multipart: [{name: a, file: ''}]":                    `file "": it is empty`,
		"multipart: [{value: b}]":                             "name is missing",
		"multipart: [{name: a, value: b, filename: c}]":       "filename needs file beside it",
		`multipart: [{name: "a\nb", value: b}]`:               "name has a line break",
		`multipart: [{name: a, value: b, type: "a\r\nb: c"}]`: "type has a line break",
	} {
		_, err := Load(withHTTP(request), "s.yaml", Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", request, err, want)
		}
	}
}

// TestJSONLinesRefused: a file that is no JSON lines is told with the line.
func TestJSONLinesRefused(t *testing.T) {
	for content, want := range map[string]string{
		"":                         "has no rows",
		"\n\n":                     "has no rows",
		"{\"name\": 1}\n{":         "line 2 is not JSON",
		"{\"name\": 1} {}":         "line 1 is not JSON",
		"\n[1]":                    "line 2 is no object",
		"null":                     "line 1 is no object",
		"{\"other\": \"x\"}\n{}\n": "data.p.name does not exist",
	} {
		fsys := withHTTP("body: '${data.p.name}'")
		fsys["people.jsonl"] = &fstest.MapFile{Data: []byte(content)}
		if _, err := Load(fsys, "s.yaml", Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

// TestCSVMissingColumn: a csv file in which a row lacks a cell, or a column that is read, starts nothing.
func TestCSVMissingColumn(t *testing.T) {
	for content, want := range map[string]string{
		"name,age\nann\n":  "wrong number of fields",
		"nam,age\nann,1\n": `data.p.name does not exist; did you mean "nam"?`,
		"name,name\na,b\n": "stands twice",
		"name,\nann,1\n":   "has no name",
		"name\n\"ann\nbob": "extraneous or missing",
	} {
		fsys := withHTTP("body: '${data.p.name}'")
		text := strings.Replace(string(fsys["s.yaml"].Data), "jsonl: people.jsonl", "csv: people.csv", 1)
		fsys["s.yaml"], fsys["people.csv"] = &fstest.MapFile{Data: []byte(text)}, &fstest.MapFile{Data: []byte(content)}
		if _, err := Load(fsys, "s.yaml", Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}
