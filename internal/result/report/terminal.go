package report

import "time"

// Plain replaces everything in a text that a terminal might obey.
func Plain(s string) string { return plain(s) }

// DurationText renders a duration as reports do: 850 µs, 12.3 ms, 1.2 s, 2m 05s.
func DurationText(d time.Duration) string { return measured(d.Seconds()) }
