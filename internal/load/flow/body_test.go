package flow

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proofload/internal/load/feed"
	"proofload/internal/scenario"
)

// files is the files of a scenario, by digest.
func files(content map[string]string) func(string) ([]byte, error) {
	return func(digest string) ([]byte, error) {
		if data, ok := content[digest]; ok {
			return []byte(data), nil
		}
		return nil, errors.New("no such file")
	}
}

// received is what a server understands of a request, by the parsers of net/http and mime.
type received struct {
	Type, Coding string
	Body         string
	Form         map[string][]string
	Parts        []string // name|filename|type|content
}

// understand is a server that says what it has understood of each request.
func understand(t *testing.T, out *[]received) *shop {
	t.Helper()
	return newShopRaw(t, func(_ http.ResponseWriter, r *http.Request) {
		got := received{Type: r.Header.Get("Content-Type"), Coding: r.Header.Get("Content-Encoding")}
		body := io.Reader(r.Body)
		if got.Coding == "gzip" {
			unpacked, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unpacked
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		kind, params, err := mime.ParseMediaType(got.Type)
		if err != nil && got.Type != "" {
			t.Error(err)
		}
		switch kind {
		case "application/x-www-form-urlencoded":
			r.Body = io.NopCloser(bytes.NewReader(data))
			r.Header.Del("Content-Encoding")
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			got.Form = r.PostForm
		case "multipart/form-data":
			got.Type = kind
			for m := multipart.NewReader(bytes.NewReader(data), params["boundary"]); ; {
				p, err := m.NextPart()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Error(err)
					break
				}
				content, err := io.ReadAll(p)
				if err != nil {
					t.Error(err)
				}
				_, disposition, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
				got.Parts = append(got.Parts, fmt.Sprintf("%s|%s|%s|%s", p.FormName(), disposition["filename"], p.Header.Get("Content-Type"), content))
			}
		default:
			got.Body = string(data)
		}
		*out = append(*out, got)
	})
}

func post(name string, h scenario.HTTP) scenario.Step {
	h.Method, h.Path = "POST", "/"
	return scenario.Step{Name: name, HTTP: &h, ImplyStatus: true}
}

// TestBodies: what a server understands is what the scenario says, whatever the values hold.
func TestBodies(t *testing.T) {
	var got []received
	s := understand(t, &got)
	odd := "a b&c=d+e%\u00e9\"\r\n--x"
	b := newBench(s.URL,
		post("form", scenario.HTTP{Form: []scenario.Field{{Name: "a b", Value: "1"}, {Name: "odd", Value: "${setup.odd}"}, {Name: "last", Value: ""}}}),
		post("multipart", scenario.HTTP{Multipart: []scenario.Part{
			{Name: "title", Value: new("${setup.odd}")},
			{Name: `qu"ote`, Value: new("fixed"), Type: "text/plain"},
			{Name: "doc", File: &scenario.BodyFile{FileRef: scenario.FileRef{Name: "a.bin", Digest: "raw"}}, Filename: "a.bin", Type: "application/octet-stream"},
			{Name: "note", File: &scenario.BodyFile{FileRef: scenario.FileRef{Name: "n.txt", Digest: "note"}, Template: true}, Filename: `${setup.name}"x.txt`, Type: "text/plain"},
		}}),
		post("file", scenario.HTTP{File: &scenario.BodyFile{FileRef: scenario.FileRef{Name: "a.bin", Digest: "raw"}}}),
		post("note", scenario.HTTP{File: &scenario.BodyFile{FileRef: scenario.FileRef{Name: "n.txt", Digest: "note"}, Template: true}}),
		post("packed", scenario.HTTP{Body: new(strings.Repeat("${setup.name}!", 1000)), Compress: "gzip"}),
		post("packed constant", scenario.HTTP{File: &scenario.BodyFile{FileRef: scenario.FileRef{Name: "a.bin", Digest: "raw"}}, Compress: "gzip"}),
		post("packed form", scenario.HTTP{Form: []scenario.Field{{Name: "a", Value: "${setup.name}"}}, Compress: "gzip"}),
		post("own type", scenario.HTTP{HasJSON: true, JSON: []any{"${setup.name}"}, Headers: []scenario.Field{{Name: "content-type", Value: "application/problem+json"}}}),
		post("empty", scenario.HTTP{Body: new("")}),
	)
	b.setup = map[string]any{"odd": odd, "name": "ann"}
	b.plan.Params = map[string]any{"share": "10%"}
	raw := strings.Repeat("\x00\xff${", 30_000) // too large to be copied behind the head, and no template
	b.files = files(map[string]string{"raw": raw, "note": "dear ${setup.name}, ${params.share}, $${x}\n"})
	_, _, ok, err := b.run(t, t.Context())
	if !ok || err != nil {
		t.Fatalf("run: %v, %v", ok, err)
	}
	note := "dear ann, 10%, ${x}\n"
	want := []received{
		{Type: formType, Form: map[string][]string{"a b": {"1"}, "odd": {odd}, "last": {""}}},
		{Type: "multipart/form-data", Parts: []string{
			"title|||" + odd, "qu%22ote||text/plain|fixed", "doc|a.bin|application/octet-stream|" + raw, "note|ann%22x.txt|text/plain|" + note,
		}},
		{Type: binaryType, Body: raw},
		{Type: textType, Body: note},
		{Coding: "gzip", Body: strings.Repeat("ann!", 1000)},
		{Type: binaryType, Coding: "gzip", Body: raw},
		{Type: formType, Coding: "gzip", Form: map[string][]string{"a": {"ann"}}},
		{Type: "application/problem+json", Body: `["ann"]`},
		{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the server has understood (-want +got):\n%s", diff)
	}
}

// TestBodyErrors: a body that cannot be made is an error of the scenario, and nothing is sent.
func TestBodyErrors(t *testing.T) {
	var got []received
	s := understand(t, &got)
	for _, tc := range []struct {
		name string
		http scenario.HTTP
		want string
	}{
		{"form", scenario.HTTP{Form: []scenario.Field{{Name: "a", Value: "${vars.none}"}}}, "form: a: vars.none is absent"},
		{"part", scenario.HTTP{Multipart: []scenario.Part{{Name: "p", Value: new("${vars.none}")}}}, "multipart: p: vars.none is absent"},
		{"file", scenario.HTTP{File: &scenario.BodyFile{FileRef: scenario.FileRef{Digest: "t"}, Template: true}}, "file: vars.none is absent"},
	} {
		b := newBench(s.URL, post("s", tc.http))
		b.files = files(map[string]string{"t": "x ${vars.none}"})
		r, _, ok, err := b.run(t, t.Context())
		if ok || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, %v", tc.name, ok, err)
		}
		if diff := cmp.Diff([]string{"s 0 template"}, r.outcomes()); diff != "" || !r.reports[0].Unsent() {
			t.Errorf("%s: requests (-want +got):\n%s", tc.name, diff)
		}
	}
	if len(got) > 0 {
		t.Errorf("the server was sent %v", got)
	}
}

// TestRowsOfJSONLines: cells keep their types, and what a row lacks is a fault of the data, of its own kind.
func TestRowsOfJSONLines(t *testing.T) {
	s := newShop(t, answer(200, `{"a": 1}`))
	d := scenario.Dataset{JSONL: "p.jsonl", Order: "sequential", Per: "iteration", OnEnd: "wrap"}
	set, err := feed.New("p", d, []byte("{\"n\": 7, \"tags\": [\"x\"]}\n\n{\"n\": null}\n"), 1)
	if err != nil {
		t.Fatal(err)
	}
	whole := post("whole", scenario.HTTP{HasJSON: true, JSON: map[string]any{"n": "${data.p.n}", "tags": "${data.p.tags ?? []}"}})
	lacks := post("lacks", scenario.HTTP{Body: new("${data.p.tags}")})
	late := get("late", "/")
	late.Expect, late.Retry = []string{"data.p.tags != nil"}, &scenario.Retry{Times: 3}
	for row, want := range [][]string{{"whole 200", "lacks 200", "late 200"}, {"whole 200", "lacks 0 data"}} {
		b := newBench(s.URL, whole, lacks, late)
		b.feeds, b.id.Arrival = map[string]*feed.Set{"p": set}, int64(row)
		r, _, _, err := b.run(t, t.Context())
		if diff := cmp.Diff(want, r.outcomes()); diff != "" {
			t.Errorf("row %d: %v (-want +got):\n%s", row, err, diff)
		}
		if last := r.reports[len(r.reports)-1]; row == 1 && !last.Unsent() {
			t.Errorf("what could not be built was sent: %+v", last)
		}
	}
	b := newBench(s.URL, late)
	b.feeds, b.id.Arrival = map[string]*feed.Set{"p": set}, 1
	r, _, ok, err := b.run(t, t.Context())
	if diff := cmp.Diff([]string{"late 200 data"}, r.outcomes()); diff != "" || ok {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{`POST / {"n":7,"tags":["x"]}`, `POST / ["x"]`, "GET /", `POST / {"n":null,"tags":[]}`, "GET /"}, s.seen); diff != "" {
		t.Errorf("server saw (-want +got):\n%s", diff)
	}
}
