package expression

import (
	"errors"
	"strings"
	"time"
)

type headers map[string]string

func (h headers) Header(name string) (string, bool) {
	v, ok := h[strings.ToLower(name)]
	return v, ok
}

type rows map[string]map[string]any

var errExhausted = errors.New("no row left")

func (r rows) Cell(set, column string) (any, error) {
	row, ok := r[set]
	if !ok {
		return nil, errExhausted
	}
	v, ok := row[column]
	if !ok {
		return nil, &AbsentError{Path: "data." + set + "." + column}
	}
	return v, nil
}

const testBody = `{"token": "t1", "n": 3, "f": 2.5, "big": 18446744073709551615, "exact": 9007199254740993, "ok": true, "none": null,
	"items": [{"name": "a", "n": 1}, {"name": "b", "n": 2}], "empty": [], "deep": {"x": {"y": 1}}, "odd key": 7, "text": "abc"}`

func testScope() Scope {
	return Scope{
		Params: Names{"peak", "text", "count"}, Env: Names{"CI_SHA", "MISSING"},
		Data:  map[string]Names{"accounts": {"name", "password"}, "gone": {"x"}},
		Setup: Names{"sku"}, Vars: Names{"token", "i", "lost"}, Secrets: Names{"key"}, User: true, Response: true,
	}
}

func testValues() *Values {
	return &Values{
		Params: map[string]any{"peak": "400/s", "text": "hello", "count": 7},
		Env:    map[string]string{"CI_SHA": "abc"},
		Setup:  map[string]any{"sku": "s-1"},
		Vars:   map[string]any{"token": "tok", "i": 1},
		Data:   rows{"accounts": {"name": "ann"}},
		User:   &UserValues{ID: 4, Iteration: 2}, Secrets: map[string]string{"key": "hunter2"},
		Response: &Response{Status: 201, Body: []byte(testBody), Size: int64(len(testBody)), Headers: headers{"content-type": "application/json"}, Duration: 250 * time.Millisecond},
	}
}
