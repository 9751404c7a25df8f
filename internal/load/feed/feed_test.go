package feed

import (
	"errors"
	"fmt"
	"testing"

	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
)

var people = []byte("name,age\nann,1\nbob,2\n\"cyd, jr\",3\n")

func set(t *testing.T, d scenario.Dataset) *Set {
	t.Helper()
	d.CSV = "people.csv"
	s, err := New("people", d, people, 7)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func cell(t *testing.T, s *Set, column string, id Identity) string {
	t.Helper()
	row, err := s.Row(id)
	if err != nil {
		return err.Error()
	}
	v, ok, err := s.Cell(row, column, id)
	if err != nil || !ok {
		t.Fatalf("cell %s: %v, %v", column, ok, err)
	}
	return fmt.Sprint(v)
}

func TestSequentialWraps(t *testing.T) {
	s := set(t, scenario.Dataset{Order: "sequential", Per: "iteration", OnEnd: "wrap"})
	for i, want := range []string{"ann", "bob", "cyd, jr", "ann"} {
		if got := cell(t, s, "name", Identity{Arrival: int64(i), User: -1}); got != want {
			t.Errorf("arrival %d got %q, want %q", i, got, want)
		}
	}
}

func TestStopAndUnique(t *testing.T) {
	s := set(t, scenario.Dataset{Order: "unique", Per: "iteration", OnEnd: "stop"})
	seen := map[string]bool{}
	for i := range int64(3) {
		seen[cell(t, s, "age", Identity{Arrival: i, User: -1})] = true
	}
	if len(seen) != 3 {
		t.Errorf("three arrivals got %v", seen)
	}
	if _, err := s.Row(Identity{Arrival: 3, User: -1}); !errors.Is(err, ErrExhausted) {
		t.Errorf("fourth arrival of three rows: %v", err)
	}
}

func TestPerUser(t *testing.T) {
	s := set(t, scenario.Dataset{Order: "unique", Per: "user", OnEnd: "stop"})
	for n := range int64(5) {
		if got := cell(t, s, "name", Identity{Arrival: n, User: 1}); got != "bob" {
			t.Errorf("iteration %d of user 1 got %q", n, got)
		}
	}
}

// TestRandomIsOfTheIdentity proves that the same iteration draws the same row everywhere.
func TestRandomIsOfTheIdentity(t *testing.T) {
	s := set(t, scenario.Dataset{Order: "random", Per: "iteration", OnEnd: "wrap"})
	root := schedule.NewDraw(1, "p")
	counts := map[string]int{}
	for i := range uint64(300) {
		id := Identity{Arrival: int64(i), User: -1, Draw: root.Child(i)}
		first, again := cell(t, s, "name", id), cell(t, s, "name", id)
		if first != again {
			t.Fatalf("arrival %d got %q and %q", i, first, again)
		}
		counts[first]++
	}
	for name, n := range counts {
		if n < 60 || n > 140 {
			t.Errorf("%s drawn %d of 300 times", name, n)
		}
	}
}

func TestGenerated(t *testing.T) {
	d := scenario.Dataset{Fake: []scenario.Field{{Name: "amount", Value: "price(1,500)"}, {Name: "who", Value: "name"}}, Per: "iteration"}
	s, err := New("customer", d, nil, 7)
	if err != nil {
		t.Fatal(err)
	}
	root := schedule.NewDraw(1, "p")
	a, b := Identity{Draw: root.Child(1), User: -1}, Identity{Draw: root.Child(2), User: -1}
	if first := cell(t, s, "who", a); first != cell(t, s, "who", a) {
		t.Error("one iteration, two names")
	}
	if cell(t, s, "who", a) == cell(t, s, "who", b) {
		t.Error("two iterations, one name")
	}
	if _, err := New("x", scenario.Dataset{Fake: []scenario.Field{{Name: "a", Value: "nosuchthing"}}}, nil, 7); err == nil {
		t.Error("an unknown generator was taken")
	}
}

// TestJSONLines: rows are dealt like those of a csv file, and cells keep their types.
func TestJSONLines(t *testing.T) {
	content := []byte("\xef\xbb\xbf{\"name\": \"ann\", \"age\": 1, \"tags\": [\"x\"]}\r\n\n{\"name\": \"bob\", \"ok\": true}\n{\"name\": null, \"age\": 2.5}")
	for _, order := range []string{"sequential", "random", "unique"} {
		d := scenario.Dataset{JSONL: "people.jsonl", Order: order, Per: "iteration", OnEnd: "stop"}
		s, err := New("people", d, content, 7)
		if err != nil {
			t.Fatal(err)
		}
		if s.rows != 3 || s.width != 4 {
			t.Fatalf("%d rows of %d columns", s.rows, s.width)
		}
		for i := range int64(3) {
			if row, err := s.Row(Identity{Arrival: i, User: -1}); err != nil || order != "random" && row != i {
				t.Errorf("%s: arrival %d gets row %d, %v", order, i, row, err)
			}
		}
		if _, err := s.Row(Identity{Arrival: 3, User: -1}); order != "random" && !errors.Is(err, ErrExhausted) {
			t.Errorf("%s: fourth arrival of three rows: %v", order, err)
		}
	}
	s, err := New("people", scenario.Dataset{JSONL: "people.jsonl", Order: "sequential", OnEnd: "wrap"}, content, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		row    int64
		column string
		want   string
	}{
		{0, "age", "int 1 true"},
		{0, "tags", "[]interface {} [x] true"},
		{0, "ok", "<nil> <nil> false"},
		{1, "age", "<nil> <nil> false"},
		{1, "ok", "bool true true"},
		{2, "name", "<nil> <nil> true"},
		{2, "age", "float64 2.5 true"},
		{2, "none", "<nil> <nil> false"},
	} {
		v, ok, err := s.Cell(tc.row, tc.column, Identity{})
		if got := fmt.Sprintf("%T %v %v", v, v, ok); err != nil || got != tc.want {
			t.Errorf("%s of row %d: %s, %v; want %s", tc.column, tc.row, got, err, tc.want)
		}
	}
	for _, wrong := range []string{"", "{", "[]", "{} {}"} {
		if _, err := New("people", scenario.Dataset{JSONL: "people.jsonl"}, []byte(wrong), 7); err == nil {
			t.Errorf("%q is taken for JSON lines", wrong)
		}
	}
}
