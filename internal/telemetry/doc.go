// Package telemetry shows what coordinator and worker themselves do: traces and metrics over OTLP,
// as the standard OTEL_* variables say, and the instruments behind /metrics.
//
// It is off unless an OTEL_* variable names an endpoint or an exporter: then there is no provider, no
// exporter and no goroutine. A measurement has one home, the Prometheus registry; OTLP reads that
// registry, so that both show the same names. No span is made for a request of the load, and no
// attribute holds the content of a message: only ids, names, states, counts and kinds of errors. What
// an exporter cannot deliver is dropped and said in the log, at most once a minute; it holds up and
// fails nothing.
package telemetry
