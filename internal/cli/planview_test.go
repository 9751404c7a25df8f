package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestPlanFieldsAreDocumented: the reference names every field that a plan has for programs.
func TestPlanFieldsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "scenario.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## A plan for programs\n")
	if !found {
		t.Fatal("scenario.md has no section on it")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	documented, known := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(section, -1) {
		documented[m[1]] = true
	}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for field := range typ.Fields() {
			name := field.Tag.Get("json")
			known[name] = true
			if !documented[name] {
				t.Errorf("scenario.md does not name %s of %s", name, typ)
			}
			visit(field.Type)
		}
	}
	visit(reflect.TypeFor[planView]())
	if len(known) < 50 {
		t.Errorf("only %d fields were visited", len(known))
	}
}
