package telemetry

import (
	"fmt"
	"strings"
)

// Protocols of OTLP.
const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// settings is what the environment asks for; an empty protocol means that a signal is off.
type settings struct {
	traces, metrics string
	problems        []string // what was asked for and cannot be had; the signal is off
}

func (s settings) off() bool { return s.traces == "" && s.metrics == "" }

// readSettings reads the variables that decide whether anything is exported at all. The others
// (endpoints, headers, certificates, timeouts, sampler, limits) are read by the SDK itself.
func readSettings(getenv func(string) string) settings {
	var s settings
	if strings.EqualFold(strings.TrimSpace(getenv("OTEL_SDK_DISABLED")), "true") {
		return s
	}
	s.traces = s.signal(getenv, "TRACES")
	s.metrics = s.signal(getenv, "METRICS")
	return s
}

// signal returns the protocol of one signal; empty: it is not exported.
func (s *settings) signal(getenv func(string) string, name string) string {
	get := func(key string) string { return strings.TrimSpace(getenv(key)) }
	switch exporter := get("OTEL_" + name + "_EXPORTER"); exporter {
	case "none":
		return ""
	case "":
		if get("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && get("OTEL_EXPORTER_OTLP_"+name+"_ENDPOINT") == "" {
			return ""
		}
	case "otlp":
	default:
		s.problems = append(s.problems, fmt.Sprintf("OTEL_%s_EXPORTER is %q: it may be otlp or none", name, exporter))
		return ""
	}
	protocol := get("OTEL_EXPORTER_OTLP_" + name + "_PROTOCOL")
	if protocol == "" {
		protocol = get("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch protocol {
	case "", protocolHTTP:
		return protocolHTTP
	case protocolGRPC:
		return protocolGRPC
	}
	s.problems = append(s.problems, fmt.Sprintf("OTLP protocol of %s is %q: it may be %s or %s", strings.ToLower(name), protocol, protocolGRPC, protocolHTTP))
	return ""
}
