package expression

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Error is a problem of one expression or template: found when compiling it, or a value of the
// wrong type found when evaluating it.
type Error struct {
	Source  string // the text that was compiled
	Offset  int    // in bytes into Source
	Message string
}

// Error returns the message without position: whoever knows the file adds it.
func (e *Error) Error() string { return e.Message }

// AbsentError says that an expression read something that is not there.
type AbsentError struct {
	Path string // as a scenario would write it: json.items[3].name
	Why  string // what is there instead; may be empty
}

func (e *AbsentError) Error() string {
	if e.Why == "" {
		return e.Path + " is absent"
	}
	return fmt.Sprintf("%s is absent: %s", e.Path, e.Why)
}

// IsAbsent tells whether err is, or wraps, an AbsentError.
func IsAbsent(err error) bool {
	_, ok := errors.AsType[*AbsentError](err)
	return ok
}

// NotJSONError says that json was read from a body that is not JSON.
type NotJSONError struct{ Err error }

func (e *NotJSONError) Error() string { return "the body is not JSON: " + e.Err.Error() }

// Unwrap returns the decoder's error.
func (e *NotJSONError) Unwrap() error { return e.Err }

// errTruncated refuses to judge a body by its beginning.
var errTruncated = errors.New("the body is too large to be read by an expression")

// valueError is a value that an operation cannot use; it becomes an Error with the position of
// the operation.
type valueError string

func (e valueError) Error() string { return string(e) }

// byteOffset turns an offset in runes, as the parser counts, into one in bytes.
func byteOffset(src string, runes int) int {
	at := 0
	for ; runes > 0 && at < len(src); runes-- {
		_, size := utf8.DecodeRuneInString(src[at:])
		at += size
	}
	return at
}
