package http2load

import (
	"errors"
	"strconv"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// answer is what a header says as that of a response. A header that is known by heart is read once.
type answer struct {
	status  int              // 0: it has none that is valid
	failure *transport.Error // nil: of a final response it may be the header
	length  int64            // announced; -1: it was not
	fields  httpload.Fields  // up to the one that does not belong there
}

var errStatus = errors.New("the response has no valid status")

// read returns the answer that the header is.
func (b *block) read() *answer {
	if b.answer == nil {
		b.answer = &b.kept
		b.kept.read(b)
	}
	return b.answer
}

func (a *answer) read(b *block) {
	a.status, a.failure, a.length = 0, nil, -1
	a.fields.Clear()
	status, err := b.status()
	if err != nil {
		a.failure = protocolError("%w", err)
		return
	}
	a.status = status
	for i := 1; i < len(b.fields); i++ {
		f := &b.fields[i]
		if f.Name == "" || f.Name[0] == ':' {
			a.failure = protocolError("field %q does not belong into a response", f.Name)
			return
		}
		if f.Name == "content-length" {
			n, err := strconv.ParseInt(f.Value, 10, 64)
			if err != nil || n < 0 || a.length >= 0 && a.length != n {
				a.failure = protocolError("content-length is not a number")
				return
			}
			a.length = n
		}
		a.fields.Add(f.Name, f.Value)
	}
}

// status returns the status of a response's header.
func (b *block) status() (int, error) {
	if len(b.fields) == 0 || b.fields[0].Name != ":status" {
		return 0, errStatus
	}
	text := b.fields[0].Value
	n, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 || n < 100 {
		return 0, errStatus
	}
	return n, nil
}
