package expression

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// AppendText appends v as a template writes it: text as it is, numbers in full, durations as Go
// writes them, lists and maps as JSON. Nothing (a JSON null) has no text and is an error.
func AppendText(dst []byte, v any) ([]byte, error) {
	switch x := v.(type) {
	case string:
		return append(dst, x...), nil
	case int:
		return strconv.AppendInt(dst, int64(x), 10), nil
	case bool:
		return strconv.AppendBool(dst, x), nil
	case float64:
		return appendFloat(dst, x)
	case json.Number:
		return append(dst, x...), nil
	case time.Duration:
		return append(dst, x.String()...), nil
	case []byte:
		return append(dst, x...), nil
	case nil:
		return nil, valueError("null has no text; give it one with ??")
	case fmt.Stringer:
		return append(dst, x.String()...), nil
	}
	if n, ok := toInt(v); ok {
		return strconv.AppendInt(dst, n, 10), nil
	}
	return AppendJSON(dst, v)
}

func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, valueError("the result is not a number, such as after a division by zero")
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64), nil
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64), nil
}

// AppendJSON appends v as JSON, without the escapes that HTML would need and with the keys of
// objects in order.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	switch x := v.(type) {
	case string:
		if plain(x) {
			return append(append(append(dst, '"'), x...), '"'), nil
		}
	case int:
		return strconv.AppendInt(dst, int64(x), 10), nil
	case bool:
		return strconv.AppendBool(dst, x), nil
	case nil:
		return append(dst, "null"...), nil
	case time.Duration:
		return AppendJSON(dst, x.String())
	}
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, valueError("it cannot be written as JSON")
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// plain tells whether s stands in JSON as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// toInt returns the whole number that v holds, whatever its type.
func toInt(v any) (int64, bool) {
	switch x := v.(type) {
	case int:
		return int64(x), true
	case int64:
		return x, true
	case int32:
		return int64(x), true
	case uint8:
		return int64(x), true
	case uint32:
		return int64(x), true
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int64(x), true
		}
	}
	return 0, false
}

// describe names the type of v in the words of a scenario's author. It never shows the value,
// which may be a secret.
func describe(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string, []byte:
		return "text"
	case bool:
		return "true or false"
	case []any, []int, []string, []float64:
		return "a list"
	case map[string]any:
		return "an object"
	case time.Duration:
		return "a duration"
	case json.Number:
		return "a whole number too large to compute with"
	}
	return "a number"
}
