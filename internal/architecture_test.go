// Package internal_test holds the written rule of who may import whom, and enforces it.
package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	module    = "proofload"
	generated = module + "/proto/"
)

// layers is the rule of imports, lowest layer first. A package belongs to the entry with the longest
// path that is its own or leads to it. It may import packages of lower layers. Packages of the same
// layer import each other only when one is nested in the other.
var layers = [][]string{
	{"internal/search"},              // the algorithm alone
	{"internal/scenario/expression"}, // what all of the language stands on
	{"internal/scenario", "internal/run", "internal/metric", "internal/clock", "internal/simulation"}, // the last one for tests alone
	{"internal/judge"},
	{"internal/load/schedule"},  // arithmetic that every part of load and the report stand on
	{"internal/load/transport"}, // what all protocols have in common
	{"internal/load/httpload"},  // gRPC calls go over it
	{"internal/load/grpcload", "internal/load/wsload", "internal/load/sockload", "internal/load/programload", "internal/load/feed", "internal/load/mock"}, // one protocol or source each
	{"internal/load/flow"}, // an iteration uses all of them
	{"internal/load", "internal/fault"},
	{"internal/wire"},
	{
		"internal/fleet", "internal/agent", "internal/api", "internal/dashboard", "internal/result", "internal/lease",
		"internal/metric/source", "internal/metric/sink", "internal/metric/alert",
		"internal/telemetry", "internal/relay",
	},
	{"internal/supervisor"},
	{"internal/coordinator", "internal/worker"},
	{"internal/cli"},
	{"cmd", "internal/scenario/schemagen"}, // programs
}

// protoUsers may import generated code; everybody else speaks in the domain's own types. cli is one
// of them because its commands are clients of the public API, as anybody's program is; telemetry, because
// it watches the streams from outside; relay, because it passes them on as they are.
var protoUsers = []string{"internal/wire", "internal/fleet", "internal/agent", "internal/api", "internal/cli", "internal/telemetry", "internal/relay"}

// pure packages, with what is nested in them, do no I/O, read no clock and start no goroutine: time
// and randomness come in as arguments. A package below one of them that has its own entry in layers
// (metric/source ...) is not meant.
var pure = []string{
	"internal/search", "internal/scenario", "internal/scenario/expression", "internal/run", "internal/judge", "internal/metric",
	"internal/load/schedule", "internal/result/analysis",
}

// impureImports may not be imported by pure packages; an entry covers what is below it.
var impureImports = []string{
	"os", "net", "log", "syscall", "plugin", "database/sql", "testing",
	"google.golang.org/grpc", "go.etcd.io", "go.opentelemetry.io",
	"github.com/hashicorp/go-hclog", "github.com/prometheus/client_golang", module + "/internal/clock",
}

// pureExceptions are below impure imports and only compute.
var pureExceptions = []string{"net/url", "net/netip", "net/textproto"}

// impureCalls may not be used by pure packages although their package may be imported.
var impureCalls = map[string][]string{
	"time":         {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"fmt":          {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"math/rand":    {"Int", "Intn", "Int63", "Int63n", "Float64", "Shuffle", "Perm", "Seed"},
	"math/rand/v2": {"Int", "IntN", "Int64", "Int64N", "N", "Uint64", "Float64", "ExpFloat64", "NormFloat64", "Shuffle", "Perm"},
	"crypto/rand":  {"Read", "Text", "Int", "Reader"},
}

func TestArchitecture(t *testing.T) {
	for _, v := range check(t, os.DirFS("..")) {
		t.Error(v)
	}
}

// TestWorkerCarriesNoClouds: a worker needs no store, and the libraries of the clouds would double it.
func TestWorkerCarriesNoClouds(t *testing.T) {
	heavy := []string{"gocloud.dev", "github.com/aws", "cloud.google.com", "github.com/Azure"}
	if found := linked(t, "worker", heavy...); len(found) > 0 {
		t.Errorf("the worker links %q", found)
	}
	if len(linked(t, "coordinator", heavy...)) == 0 {
		t.Error("the coordinator links none of them either: this test looks for the wrong names")
	}
}

// TestProgramsBringTheirRoots: an image FROM scratch has no authorities to trust, so that both programs bring some
// along. Nothing else would fail without them: every other system has its own.
func TestProgramsBringTheirRoots(t *testing.T) {
	for _, program := range []string{"coordinator", "worker"} {
		if len(linked(t, program, "golang.org/x/crypto/x509roots/fallback")) == 0 {
			t.Errorf("the %s has no trusted roots but those of the machine", program)
		}
	}
}

// linked returns the packages in a program that are below some paths.
func linked(t *testing.T, program string, below ...string) (found []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"/cmd/"+program).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if p := strings.TrimSpace(line); inside(p, below...) {
			found = append(found, p)
		}
	}
	return found
}

// TestArchitectureIsEnforced proves that the test above can fail.
func TestArchitectureIsEnforced(t *testing.T) {
	file := func(imports, body string) string { return "package p\n" + imports + "\n" + body }
	tests := []struct {
		name, path, source, want string
	}{
		{"downwards", "internal/judge/a.go", file(`import "proofload/internal/metric"`, ""), ""},
		{"upwards", "internal/metric/a.go", file(`import "proofload/internal/judge"`, ""), "may not import internal/judge"},
		{"upwards by two", "internal/load/a.go", file(`import "proofload/internal/result"`, ""), "may not import internal/result"},
		{"siblings", "internal/run/a.go", file(`import "proofload/internal/scenario"`, ""), "may not import internal/scenario"},
		{"sibling branches", "internal/result/report/a.go", file(`import "proofload/internal/lease"`, ""), "may not import"},
		{"nested", "internal/metric/a.go", file(`import "proofload/internal/metric/hist"`, ""), ""},
		{"nested, upwards", "internal/result/report/a.go", file(`import "proofload/internal/result"`, ""), ""},
		{"the schedule below its cousins", "internal/load/mock/a.go", file(`import "proofload/internal/load/schedule"`, ""), ""},
		{"the schedule knows nothing of load", "internal/load/schedule/a.go", file(`import "proofload/internal/load"`, ""), "may not import"},
		{"cousins", "internal/load/httpload/a.go", file(`import "proofload/internal/load/feed"`, ""), "may not import"},
		{"a nested package of a higher layer", "internal/metric/a.go", file(`import "proofload/internal/metric/sink"`, ""), "may not import"},
		{"command", "cmd/worker/a.go", file(`import "proofload/internal/cli"`, ""), ""},
		{"unknown wing", "internal/util/a.go", file("", ""), "in no layer"},
		{"generated code", "internal/load/a.go", file(`import pb "proofload/proto/proofload/v1"`, ""), "generated code"},
		{"generated code in the wire", "internal/wire/a.go", file(`import pb "proofload/proto/proofload/v1"`, ""), ""},
		{"file access in a pure package", "internal/scenario/expression/a.go", file(`import "os"`, ""), "pure"},
		{"network in a pure package", "internal/judge/a.go", file(`import "net/http"`, ""), "pure"},
		{"addresses in a pure package", "internal/scenario/a.go", file(`import "net/netip"`, ""), ""},
		{"file access elsewhere", "internal/result/a.go", file(`import "os"`, ""), ""},
		{"clock in a pure package", "internal/run/a.go", file(`import "time"`, "var x = time.Now()"), "time.Now"},
		{"renamed clock", "internal/run/a.go", file(`import clock "time"`, "var x = clock.Now"), "time.Now"},
		{"the machine's clock in a pure package", "internal/judge/a.go", file(`import "proofload/internal/clock"`, ""), "pure"},
		{"durations in a pure package", "internal/run/a.go", file(`import "time"`, "var x = time.Second"), ""},
		{"goroutine in a pure package", "internal/load/schedule/a.go", file("", "func f() { go f() }"), "goroutine"},
		{"what is nested and impure", "internal/metric/sink/a.go", file(`import "os"`, ""), ""},
		{"files of other platforms", "internal/run/a_windows.go", file(`import "os"`, ""), "pure"},
		{"tests", "internal/run/a_test.go", file(`import ("os"; "proofload/internal/cli")`, ""), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := check(t, fstest.MapFS{tt.path: {Data: []byte(tt.source)}})
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("check = %q, want nothing", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("check = %q, want one violation with %q", got, tt.want)
			}
		})
	}
}

// check returns every violation in the Go files of a module, those of all platforms; tests may
// import what they like.
func check(t *testing.T, tree fs.FS) []string {
	t.Helper()
	var violations []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := fs.Stat(tree, path.Join(name, "go.mod"))
			hidden := name != "." && strings.HasPrefix(d.Name(), ".")
			if hidden || d.Name() == "testdata" || (name != "." && err == nil) {
				return fs.SkipDir
			}
			return nil
		}
		dir := path.Dir(name)
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || !inside(dir, "internal", "cmd") {
			return nil
		}
		found, err := checkFile(tree, name)
		violations = append(violations, found...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return violations
}

func checkFile(tree fs.FS, name string) ([]string, error) {
	source, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	dir := path.Dir(name)
	own, ok := place(dir)
	if !ok {
		return []string{fmt.Sprintf("%s is in no layer: give it a place in the table of this test", dir)}, nil
	}
	var violations []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if why := forbidden(dir, own, imported); why != "" {
			violations = append(violations, name+": "+why)
		}
	}
	if isPure(dir) {
		violations = append(violations, impurities(name, file)...)
	}
	return violations, nil
}

// forbidden says why dir may not import a path, or nothing.
func forbidden(dir string, own position, imported string) string {
	switch {
	case isPure(dir) && inside(imported, impureImports...) && !inside(imported, pureExceptions...):
		return fmt.Sprintf("%s is pure and may not import %s", dir, imported)
	case strings.HasPrefix(imported, generated):
		if !inside(dir, protoUsers...) {
			return fmt.Sprintf("%s may not import generated code; only %s may", dir, strings.Join(protoUsers, ", "))
		}
	case strings.HasPrefix(imported, module+"/"):
		target := strings.TrimPrefix(imported, module+"/")
		other, ok := place(target)
		if !ok {
			return fmt.Sprintf("%s imports %s, which is in no layer", dir, target)
		}
		nested := other.layer == own.layer && (inside(dir, target) || inside(target, dir))
		if other.layer >= own.layer && !nested {
			return fmt.Sprintf("%s (layer %d) may not import %s (layer %d)", dir, own.layer, target, other.layer)
		}
	}
	return ""
}

// impurities finds goroutines and calls that read clocks, terminals or global randomness.
func impurities(name string, file *ast.File) []string {
	names := map[string]string{} // local name -> import path
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		local := strings.TrimSuffix(imported, "/v2")
		local = path.Base(local)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		names[local] = imported
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, name+": a pure package may not start a goroutine")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(impureCalls[names[x.Name]], n.Sel.Name) {
				found = append(found, fmt.Sprintf("%s: a pure package may not use %s.%s", name, names[x.Name], n.Sel.Name))
			}
		}
		return true
	})
	return found
}

// position is where a package stands: the entry of the table that it belongs to, and its layer.
type position struct {
	entry string
	layer int
}

func place(dir string) (position, bool) {
	best := position{layer: -1}
	for layer, entries := range layers {
		if entry := longest(dir, entries); len(entry) > len(best.entry) {
			best = position{entry: entry, layer: layer}
		}
	}
	return best, best.layer >= 0
}

// isPure tells whether dir is pure: the closer entry decides.
func isPure(dir string) bool {
	p, _ := place(dir)
	root := longest(dir, pure)
	return root != "" && len(root) >= len(p.entry)
}

// longest returns the longest of roots that dir is or is below, or "".
func longest(dir string, roots []string) string {
	best := ""
	for _, root := range roots {
		if inside(dir, root) && len(root) > len(best) {
			best = root
		}
	}
	return best
}

// inside tells whether p is one of roots or below one.
func inside(p string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return p == root || strings.HasPrefix(p, root+"/")
	})
}
