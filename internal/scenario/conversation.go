package scenario

import "time"

// WebSocket is one connection and what is said on it.
type WebSocket struct {
	Path         string   `json:"path"` // template; joined to the target's base path
	Headers      []Field  `json:"headers,omitempty"`
	Query        []Field  `json:"query,omitempty"` // appended to Path, escaped
	Subprotocols []string `json:"subprotocols,omitempty"`
	Script       []Action `json:"script,omitempty"`
	CloseCode    int      `json:"close_code"` // with which the connection is closed in the end
	CloseReason  string   `json:"close_reason,omitempty"`
}

// Action is one element of a script: exactly one of Send, Expect and Wait is set.
type Action struct {
	Send   *Payload      `json:"send,omitempty"`
	Expect *Expectation  `json:"expect,omitempty"`
	Wait   *Distribution `json:"wait,omitempty"`
}

// Kind says which of them it is: send, expect or wait.
func (a Action) Kind() string {
	switch {
	case a.Send != nil:
		return "send"
	case a.Expect != nil:
		return "expect"
	}
	return "wait"
}

// Payload is what is sent: exactly one of Text, Hex and File is set, or HasJSON.
type Payload struct {
	Text *string `json:"text,omitempty"` // template
	// JSON is a tree like that of HTTP.
	JSON    any    `json:"json,omitempty"`
	HasJSON bool   `json:"has_json,omitempty"`
	Hex     string `json:"hex,omitempty"` // template; bytes as digits
	// File is sent as it is.
	File *FileRef `json:"file,omitempty"`
}

// Expectation is what has to come: exactly one of Expr, Text, Hex, Pattern, Until and Size is set.
type Expectation struct {
	Expr    string        `json:"expr,omitempty"`    // expression over what came
	Text    *string       `json:"text,omitempty"`    // template; what came is equal
	Hex     string        `json:"hex,omitempty"`     // template; bytes as digits; what came is equal
	Pattern string        `json:"pattern,omitempty"` // regular expression that what came matches somewhere
	Until   *string       `json:"until,omitempty"`   // template; of a stream of bytes: what it ends with
	Size    int64         `json:"size,omitempty"`    // of a stream of bytes: how many
	Timeout time.Duration `json:"timeout,omitempty"` // 0: the step's
	Skip    bool          `json:"skip,omitempty"`    // messages that are not it are passed over
}
