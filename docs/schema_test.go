package docs_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// modeline is how an editor finds the schema of an example.
const modeline = "# yaml-language-server: $schema=../docs/scenario.schema.json\n"

// The schema as it is checked in accepts the examples and what the scenario reference shows as
// accepted, and refuses what it shows as refused by name.
func TestSchemaAgreesWithDocumentation(t *testing.T) {
	schema := checkedInSchema(t)
	examples, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(examples) < 6 {
		t.Fatalf("examples: %v, %v", examples, err)
	}
	for _, name := range examples {
		text := read(t, name)
		if err := schema.Validate(decoded(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.HasPrefix(text, modeline) {
			t.Errorf("%s does not begin with %s", name, modeline)
		}
	}
	for _, s := range fence.FindAllStringSubmatch(read(t, "scenario.md"), -1) {
		text := whole(t, s[2])
		err := schema.Validate(decoded(t, text))
		if accepted := s[1] == ""; accepted != (err == nil) {
			t.Errorf("%v in\n%s", err, text)
		}
	}
}

func checkedInSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	const name = "scenario.schema.json"
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(read(t, name))))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
