package expression

import (
	"time"

	"github.com/antchfx/xmlquery"
)

// Values is what the roots hold during one evaluation. A nil field means that nothing is there. It
// is read only, apart from the decoded body that a Response keeps.
type Values struct {
	Params   map[string]any
	Env      map[string]string
	Setup    map[string]any
	Vars     map[string]any
	Secrets  map[string]string
	Data     Rows
	User     *UserValues
	Response *Response
}

// Rows gives the cells of the current row of each data set. An unknown set or column is an
// AbsentError; any other error, such as exhausted data, is handed through to the caller of Eval.
type Rows interface {
	Cell(set, column string) (any, error)
}

// UserValues is the simulated user that runs the iteration.
type UserValues struct {
	ID        int64 // counted from 0
	Iteration int64 // of this user, counted from 0
}

// HeaderReader finds a response header by its name in any case. Of several values it returns the first.
type HeaderReader interface {
	Header(name string) (value string, ok bool)
}

// MessageReader decodes the messages of a gRPC call or of another stream. What it returns must not be changed.
type MessageReader interface {
	// Last returns the message that was received last; false: there was none.
	Last() (message any, ok bool, err error)
	// All returns every message in the order in which they came; an error when they are too many to be kept.
	All() ([]any, error)
}

// Response is what expressions can read of a response. It is not safe for concurrent use, because
// it keeps the decoded body.
type Response struct {
	Status   int    // of HTTP; 0: none
	Code     string // of gRPC; empty: none
	Body     []byte
	Size     int64 // of the body in bytes, also of what Body does not have
	Headers  HeaderReader
	Messages MessageReader // nil: the protocol has none
	Duration time.Duration // service time
	// Truncated says that Body is not the whole body; then reading json or body is an error.
	Truncated bool

	decoded bool
	json    any
	err     error
	xml     *xmlquery.Node
	xmlErr  error
}

// text returns the body as text.
func (r *Response) text() (any, error) {
	if r.Truncated {
		return nil, errTruncated
	}
	return string(r.Body), nil
}

// JSON returns the decoded body; it is decoded once. A body that is not exactly one JSON value is a
// NotJSONError.
func (r *Response) JSON() (any, error) {
	if r.Truncated {
		return nil, errTruncated
	}
	if !r.decoded {
		r.json, r.err = DecodeJSON(r.Body)
		r.decoded = true
	}
	return r.json, r.err
}
