package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// DecodeJSON decodes exactly one JSON value: objects to map[string]any, arrays to []any, whole
// numbers in the range of int to int, other numbers to float64. A whole number beyond int stays a
// json.Number, so that it keeps all its digits; arithmetic refuses it.
func DecodeJSON(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, &NotJSONError{Err: err}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &NotJSONError{Err: errors.New("something follows the first value")}
	}
	return exactNumbers(v)
}

// exactNumbers replaces the json.Numbers in v, in place.
func exactNumbers(v any) (any, error) {
	var err error
	switch x := v.(type) {
	case json.Number:
		return exactNumber(x)
	case map[string]any:
		for k, e := range x {
			if x[k], err = exactNumbers(e); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, e := range x {
			if x[i], err = exactNumbers(e); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func exactNumber(n json.Number) (any, error) {
	s := n.String()
	if i, err := strconv.Atoi(s); err == nil {
		return i, nil
	}
	if !strings.ContainsAny(s, ".eE") {
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, &NotJSONError{Err: errors.New("the number " + s + " is too large")}
	}
	return f, nil
}
