package descriptor

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const everything = `syntax = "proto3";
package all;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/any.proto";
import "google/protobuf/empty.proto";
import "other/kind.proto";
message M {
  string text = 1;
  bool flag = 2;
  int32 small_number = 3;
  int64 large = 4;
  uint64 larger = 5;
  double real = 6;
  float single = 7;
  bytes data = 8;
  other.Kind kind = 9;
  repeated M list = 10;
  map<string, int64> counts = 11;
  optional string maybe = 12;
  M sub = 13;
  google.protobuf.Timestamp at = 14;
  google.protobuf.Duration took = 15;
  google.protobuf.Int64Value wrapped = 16;
  google.protobuf.Struct object = 17;
  google.protobuf.Any any = 18;
  repeated fixed32 fixed = 19;
}
service S { rpc Do(M) returns (M); rpc Nothing(google.protobuf.Empty) returns (stream M); }
`

const kind = `syntax = "proto3"; package other; enum Kind { NONE = 0; GOOD = 1; }`

func compiled(t testing.TB) (*Set, protoreflect.MessageDescriptor) {
	t.Helper()
	set, err := Compile("all.proto", func(name string) (io.ReadCloser, error) {
		text, ok := map[string]string{"all.proto": everything, "other/kind.proto": kind}[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(strings.NewReader(text)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := set.Method("all.S/Do")
	if err != nil {
		t.Fatal(err)
	}
	return set, m.Input()
}

// What is sent comes back as expressions read it.
func TestRoundTrip(t *testing.T) {
	set, md := compiled(t)
	const text = `{"text": "a", "flag": true, "small_number": -7, "large": 9007199254740993, "larger": "18446744073709551615", "real": 0.5,
		"single": "NaN", "data": "AAE=", "kind": "GOOD", "list": [{"text": "b"}, {}], "counts": {"x": 3}, "maybe": "", "sub": {"kind": 7},
		"at": "2026-01-02T03:04:05Z", "took": "1.5s", "wrapped": 4, "object": {"a": [1, null]}, "any": {"@type": "type.googleapis.com/other.None"}, "fixed": [1, 2]}`
	wire, err := set.Encode(nil, md, []byte(strings.Replace(text, `, "any": {"@type": "type.googleapis.com/other.None"}`, `, "any": {"@type": "type.googleapis.com/all.M", "text": "c"}`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := set.Tree(md, wire)
	if err != nil {
		t.Fatal(err)
	}
	m := v.(map[string]any)
	empty := func(more map[string]any) map[string]any {
		out := map[string]any{
			"text": "", "flag": false, "smallNumber": 0, "large": 0, "larger": 0, "real": 0.0, "single": 0.0, "data": "", "kind": "NONE",
			"list": []any{}, "counts": map[string]any{}, "fixed": []any{},
		}
		maps.Copy(out, more)
		return out
	}
	want := empty(map[string]any{
		"text": "a", "flag": true, "smallNumber": -7, "large": 9007199254740993, "larger": json.Number("18446744073709551615"), "real": 0.5,
		"single": "NaN", "data": "AAE=", "kind": "GOOD", "list": []any{empty(map[string]any{"text": "b"}), empty(nil)},
		"counts": map[string]any{"x": 3}, "maybe": "", "sub": empty(map[string]any{"kind": 7}), "at": "2026-01-02T03:04:05Z", "took": "1.500s",
		"wrapped": 4, "object": map[string]any{"a": []any{1, nil}}, "fixed": []any{1, 2},
	})
	if a, ok := m["any"].(map[string]any); !ok || a["text"] != "c" {
		t.Errorf("any %v", m["any"])
	}
	delete(m, "any")
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := set.Tree(md, []byte{0xff}); err == nil || !strings.Contains(err.Error(), "the message is no all.M") {
		t.Errorf("garbage: %v", err)
	}
	if float(math.Inf(-1)) != "-Infinity" || float(math.Inf(1)) != "Infinity" {
		t.Error("infinity has no name")
	}
}

// A template fits wherever one value can stand, and hides nothing that is wrong beside it.
func TestCheck(t *testing.T) {
	set, md := compiled(t)
	for text, want := range map[string]string{
		`{"text": "${x}", "flag": "${x}", "smallNumber": "${x}", "large": "${x}", "real": "${x}", "data": "${x}", "kind": "${x}"}`:            "",
		`{"list": "${x}", "counts": "${x}", "sub": "${x}", "at": "${x}", "took": "${x}", "wrapped": "${x}", "object": "${x}", "any": "${x}"}`: "",
		`{"list": ["${x}", {"text": "${x}"}], "counts": {"a": "${x}"}, "object": {"a": {"b": "${x}"}}, "fixed": ["${x}", 1]}`:                 "",
		`"${x}"`:                               "",
		`{"list": [{"txt": "${x}"}]}`:          `unknown field "txt"`,
		`{"list": [{"text": "${x}", "f": 1}]}`: `unknown field "f"`,
		`{"text": "${x}", "flag": "yes"}`:      "the message is no all.M: invalid value for bool",
		`{"counts": [1]}`:                      "the message is no all.M: ",
		`{"at": "yesterday"}`:                  "the message is no all.M: ",
		`[]`:                                   "the message is no all.M: ",
	} {
		var tree any
		if err := json.Unmarshal([]byte(text), &tree); err != nil {
			t.Fatal(err)
		}
		err := set.Check(md, tree, func(s string) bool { return strings.Contains(s, "${") })
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for text, want := range map[string]string{
		`syntax = "proto3"; message M { strin x = 1; }`: "a.proto:1:",
		`syntax = "proto3"; import "b.proto";`:          "b.proto",
		`message`:                                       "a.proto:1:",
	} {
		_, err := Compile("a.proto", func(name string) (io.ReadCloser, error) {
			if name != "a.proto" {
				return nil, errors.New("file b.proto cannot be read")
			}
			return io.NopCloser(strings.NewReader(text)), nil
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := Decode(nil); err == nil {
		t.Error("an empty descriptor set is one")
	}
}

// FuzzTree: what a server sends never ends the worker.
func FuzzTree(f *testing.F) {
	set, md := compiled(f)
	wire, err := set.Encode(nil, md, []byte(`{"text": "a", "sub": {"at": "2026-01-02T03:04:05Z"}, "any": {"@type": "type.googleapis.com/all.M"}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Add([]byte{0x72, 2, 8, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := set.Tree(md, data)
		if err == nil && v == nil {
			t.Error("neither a message nor an error")
		}
	})
}
