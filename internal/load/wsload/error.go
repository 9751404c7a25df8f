package wsload

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/coder/websocket"
)

// The operations of transport.Error.Op.
const (
	opOpen    = "websocket handshake"
	opSend    = "send message"
	opReceive = "receive message"
)

// ErrQuiet says that no message has begun until the time given. The connection can be used on.
var ErrQuiet = errors.New("no message came")

// ClosedError is the cause of a transport.Error when the server ended the connection with a close frame.
type ClosedError struct {
	Code   int
	Reason string
}

// Error says how the server closed.
func (e *ClosedError) Error() string {
	if e.Reason == "" {
		return "the server closed with code " + strconv.Itoa(e.Code)
	}
	return fmt.Sprintf("the server closed with code %d: %q", e.Code, e.Reason)
}

// Codes of RFC 6455, section 7.4.1, that no frame carries.
const (
	// CodeNone stands for a close frame without a code.
	CodeNone = int(websocket.StatusNoStatusRcvd)
	// CodeAbnormal stands for the end of a connection without a close frame.
	CodeAbnormal = int(websocket.StatusAbnormalClosure)
)
