package scenario

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// testValidator compiles the schema with a validator that knows nothing of this package.
func testValidator(t tester) *jsonschema.Schema {
	t.Helper()
	data, err := JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// instance is a file as a validator of JSON sees it.
func instance(t tester, text string) any {
	t.Helper()
	return plain(parsed(t, text))
}

func parsed(t tester, text string) *node {
	t.Helper()
	p := &parser{file: "s.yaml"}
	root := p.parse([]byte(text))
	if len(p.problems) > 0 {
		t.Fatal(p.problems)
	}
	return root
}

func plain(n *node) any {
	switch n.kind {
	case mapNode:
		m := map[string]any{}
		for _, f := range n.fields {
			m[f.name] = plain(f.node)
		}
		return m
	case listNode:
		l := []any{}
		for _, item := range n.items {
			l = append(l, plain(item))
		}
		return l
	}
	return n.value
}

// judge returns what the schema and the decoder say about a file.
func judge(t tester, schema *jsonschema.Schema, text string) (schemaSays, decoderSays error) {
	t.Helper()
	return schema.Validate(instance(t, text)), Validate(testFiles(text), "s.yaml", Options{})
}

func testFiles(text string) fstest.MapFS {
	ca, _ := os.ReadFile("testdata/ca.pem") // missing: so says who needs it
	return fstest.MapFS{
		"s.yaml":       {Data: []byte(text)},
		"ca.pem":       {Data: ca},
		"accounts.csv": {Data: []byte("name,password\nalice,a\nbob,b\n")},
		"arrivals.csv": {Data: []byte("time\n0.5\n0.75\n2\n")},
		"counts.csv":   {Data: []byte("time,users\n0,3\n1,5\n")},
		"people.jsonl": {Data: []byte(`{"name": "ann", "age": 7}` + "\n" + `{"name": "bob"}` + "\n")},
		"note.txt":     {Data: []byte("of ${data.people.name}\n")},
		"shop.proto":   {Data: []byte(shopProto)},
		"kind.proto":   {Data: []byte(kindProto)},
		"health.binpb": {Data: healthSet()},
	}
}

const (
	shopProto = `syntax = "proto3";
package shop.v1;
import "kind.proto";
import "google/protobuf/timestamp.proto";
message Item {
  string name = 1;
  double price = 2;
  Kind kind = 3;
  repeated string tags = 4;
  google.protobuf.Timestamp added = 5;
}
service Shop {
  rpc Get(Item) returns (Item);
  rpc List(Item) returns (stream Item);
  rpc Put(stream Item) returns (Item);
  rpc Chat(stream Item) returns (stream Item);
}
`
	kindProto = "syntax = \"proto3\";\npackage shop.v1;\nenum Kind { UNKNOWN = 0; FRUIT = 1; }\n"
)

// healthSet is a descriptor set with the service of health checks.
func healthSet() []byte {
	f := protodesc.ToFileDescriptorProto(healthpb.File_grpc_health_v1_health_proto)
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{f}})
	if err != nil {
		panic(err)
	}
	return data
}

func testFile(t tester, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSchemaIsCheckedIn(t *testing.T) {
	want, err := JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), testFile(t, "../../docs/scenario.schema.json")); diff != "" {
		t.Errorf("docs/scenario.schema.json is stale, run make generate (-want +got):\n%s", diff)
	}
}

func TestSchemaAcceptsTheFullExample(t *testing.T) {
	s, d := judge(t, testValidator(t), testFile(t, "testdata/full.yaml"))
	if s != nil {
		t.Errorf("schema: %v", s)
	}
	if d != nil {
		t.Errorf("decoder: %v", d)
	}
}

// keyOfType is a key of the language where it stands.
type keyOfType struct{ typ, key string }

// languageKeys walks the types of the file and returns every key, and whether it is built.
func languageKeys() map[keyOfType]bool {
	keys := map[keyOfType]bool{}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		if l, ok := reflect.New(t).Interface().(interface{ long() reflect.Type }); ok {
			walk(l.long())
			return
		}
		if _, leaf := reflect.New(t).Interface().(selfDecoder); leaf || seen[t] {
			return
		}
		switch t.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice:
			walk(t.Elem())
		case reflect.Struct:
			seen[t] = true
			for f := range t.Fields() {
				if key := keyOf(f); key != "" {
					keys[keyOfType{t.Name(), key}] = f.Type != reflect.TypeFor[Later]()
					walk(f.Type)
				}
			}
		}
	}
	walk(reflect.TypeFor[File]())
	return keys
}

// Every key of the decoder is explained, and nothing else is.
func TestSchemaExplainsEveryKey(t *testing.T) {
	keys := languageKeys()
	if len(keys) < 100 {
		t.Fatalf("only %d keys found", len(keys))
	}
	for k := range keys {
		if keyDocs[k.typ][k.key].text == "" {
			t.Errorf("%s of %s has no words", k.key, k.typ)
		}
	}
	for typ, docs := range keyDocs {
		for key := range docs {
			if _, ok := keys[keyOfType{typ, key}]; !ok {
				t.Errorf("%s of %s has words and does not exist", key, typ)
			}
		}
	}
}

// schemaKeys returns the keys that stand under properties anywhere in the schema, with their words.
func schemaKeys(v any, into map[string]bool) {
	switch x := v.(type) {
	case map[string]any:
		if props, ok := x["properties"].(map[string]any); ok {
			for key, one := range props {
				description, _ := one.(map[string]any)["description"].(string)
				into[key+": "+strings.TrimPrefix(description, "Not supported yet. ")] = true
			}
		}
		for _, one := range x {
			schemaKeys(one, into)
		}
	case []any:
		for _, one := range x {
			schemaKeys(one, into)
		}
	}
}

// The keys of the schema are those of the decoder.
func TestSchemaHasTheKeysOfTheDecoder(t *testing.T) {
	data, err := JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	got, want := map[string]bool{}, map[string]bool{}
	schemaKeys(doc, got)
	for k := range languageKeys() {
		want[k.key+": "+keyDocs[k.typ][k.key].text] = true
	}
	for k := range got { // the branches of the root repeat keys without their words
		if name, words, _ := strings.Cut(k, ": "); words == "" && keyDocs["File"][name].text != "" {
			delete(got, k)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("keys (-decoder +schema):\n%s", diff)
	}
}

// The full example has every key that is built.
func TestFullExampleIsFull(t *testing.T) {
	used := map[keyOfType]bool{{"File", "target"}: true} // it has targets instead
	for _, p := range places(t, testFile(t, "testdata/full.yaml")) {
		for key := range p.value {
			used[keyOfType{p.typ.Name(), key}] = true
		}
	}
	for k, built := range languageKeys() {
		if built && !used[k] {
			t.Errorf("testdata/full.yaml does not use %s of %s", k.key, k.typ)
		}
	}
}

// Writing out what leaving a key out means changes nothing of the plan.
func TestSchemaDefaultsAreTheDecoders(t *testing.T) {
	const base = `{"version": 1, "name": "d", "target": "mock://m", "load": "100%", "workers": {}, "validity": {}, "worker_loss": {}, "coordinator_loss": {},
		"mocks": {"m": {"routes": [{"fail": {"ratio": "1%"}}]}}, "data": {"a": {"csv": "accounts.csv"}},
		"flows": {"f": [{"step": "s", "http": {"method": "GET", "path": "/"}, "retry": {"times": 1}}]},
		"phases": [{"name": "p", "flow": "f", "rate": [{"hold": {"at": "1/s", "for": "1s"}}]}, {"name": "q", "flow": "f", "users": [{"hold": {"at": 1, "for": "1s"}}]}],
		"criteria": [{"check": "max(response_time) < 1s", "window": "1s"}]}`
	load := func(text string) *Plan {
		t.Helper()
		plan, err := Load(testFiles(text), "s.yaml", Options{Seed: new(uint64(1))})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		plan.ScenarioSHA256 = ""
		return plan
	}
	want := load(base)
	count := 0
	for i, p := range places(t, base) {
		for key, doc := range keyDocs[p.typ.Name()] {
			if _, has := p.value[key]; doc.value == nil || key == "confirm" || key == "load" || has {
				continue
			}
			f, _ := p.typ.FieldByNameFunc(func(name string) bool {
				f, _ := p.typ.FieldByName(name)
				return keyOf(f) == key
			})
			has := func(key string) bool { return p.value[key] != nil }
			if with, _ := companions(f); len(with) > 0 && !slices.ContainsFunc(with, has) {
				continue
			}
			count++
			fresh := places(t, base)
			fresh[i].value[key] = doc.value
			if diff := cmp.Diff(want, load(encode(t, fresh[0].value))); diff != "" {
				t.Errorf("%s of %s: %v is not the default (-want +got):\n%s", key, p.typ.Name(), doc.value, diff)
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d defaults were tried", count)
	}
}

func encode(t tester, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
