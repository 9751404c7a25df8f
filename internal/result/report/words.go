package report

// causes say in words why arrivals were not sent.
var causes = map[string]string{
	"max_in_flight":  "the phase's in-flight cap was reached because the target was slow",
	"cap_share":      "a worker had used up its share of the in-flight cap",
	"late":           "the worker was too far behind its schedule",
	"no_lease":       "no coordinator could be reached for longer than coordinator_loss.grace",
	"worker_lost":    "no worker owned them",
	"outbox_full":    "samples that were not yet committed filled a worker's outbox",
	"stopped":        "the run was told to stop",
	"data_exhausted": "the data set had no row left",
}

func causeText(cause string) string {
	if text, ok := causes[cause]; ok {
		return text
	}
	return cause
}

// kinds say in words what kinds of errors mean.
var kinds = map[string]string{
	"dns":            "the name could not be resolved",
	"connect":        "the connection was refused, or the host could not be reached",
	"reset":          "the target reset the connection",
	"timeout":        "not complete within the step's timeout",
	"tls":            "no TLS session",
	"tls_name":       "the certificate is for another name",
	"tls_expired":    "the certificate has expired, or is not valid yet",
	"tls_authority":  "nobody who is trusted has signed the certificate",
	"not_spoken":     "the target does not speak the protocol",
	"stream_reset":   "the target ended one stream of the connection",
	"goaway":         "the target gave up the connection with what it carried",
	"handshake":      "the target refused to switch to WebSocket",
	"protocol":       "the answer is not valid in the protocol that was spoken",
	"closed":         "the target closed the connection before the answer was complete",
	"body":           "the body is larger than allowed",
	"length":         "the body is shorter or longer than its Content-Length",
	"encoding":       "the body is not in the content coding that it says, or in one that was not asked for",
	"redirect":       "a redirect leads to no target of the scenario, or to too many others",
	"not_json":       "a step reads the body as JSON, and it is none",
	"not_xml":        "a step reads the body as XML, and it is none",
	"data":           "a row of a data set lacks what the step reads",
	"check":          "an expectation of the step did not hold, or the status was 400 or above",
	"extract":        "a value to save or measure was not in the answer",
	"request":        "the request could not be built from the scenario",
	"template":       "a template of the request could not be evaluated",
	"internal":       "a defect of the worker",
	"too_many_files": "the worker was out of file descriptors",
	"no_ports":       "the worker had no local port left",
	"no_source":      "connections.source names no address of the target's family",
	"no_buffers":     "the worker was out of memory for sockets",
	"resolver":       "the worker's resolver could not be asked, or did not answer",
	"no_exit":        "the program did not end within the step's timeout, and was ended",
	"exit":           "the program ended with another code than 0, or by a signal",
	"garbage":        "a line that the program printed was no sample",
	"sample":         "the program says that a request of its own failed",
	"not_started":    "the worker could not execute the program",
	"cancelled":      "the run ended before the request did",
}

func kindText(kind string) string {
	if text, ok := kinds[kind]; ok {
		return text
	}
	return "kind " + kind
}
