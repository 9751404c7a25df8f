package telemetry

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// quiet is how long nothing more is said after an error was.
const quiet = time.Minute

// errorLog writes what exporters complain of to the log, at a bounded rate: a collector that is away
// for a day is not worth a line every few seconds.
type errorLog struct {
	log hclog.Logger
	now func() time.Time

	mu         sync.Mutex
	last       time.Time
	suppressed int
}

// Handle implements otel.ErrorHandler.
func (e *errorLog) Handle(err error) {
	if err != nil {
		e.say(err.Error())
	}
}

func (e *errorLog) say(message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	if !e.last.IsZero() && now.Sub(e.last) < quiet {
		e.suppressed++
		return
	}
	e.log.Warn("telemetry not exported", "suppressed", e.suppressed, "error", message)
	e.last, e.suppressed = now, 0
}
