package report

// Plain replaces everything in a text that a terminal might obey.
func Plain(s string) string { return plain(s) }
