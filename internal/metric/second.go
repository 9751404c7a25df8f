package metric

import (
	"time"

	"proofload/internal/metric/hist"
)

// Names of the metrics that the engine itself produces. Labels of requests: phase, flow, step,
// outcome (ok | failed), status (HTTP status, absent without a complete response), error (the error kind,
// absent on success), warmup ("true" or absent).
const (
	// ResponseTime counts every request sent, from the intended start of its step to its end; the
	// number of requests is the count of this metric. One that the target refused to take, or could not
	// be asked, counts as sent: it was tried.
	ResponseTime = "response_time"
	// Unsent counts, with the same times and labels, the requests of which nothing left and for which
	// the target is not to blame: those that could not be built, and those for which this machine had no
	// means. They are in no other metric of requests.
	Unsent = "unsent"
	// ServiceTime runs from the actual send to the end, for the same requests.
	ServiceTime = "service_time"
	// ScheduleLag runs from an arrival's intended start to its actual start. Labels: phase, warmup.
	ScheduleLag = "schedule_lag"
	// ArrivalGap is the distance between two arrivals that one worker has sent one after the other, in
	// units of what the schedule wants at that instant of that worker: its mean is 1, whatever the rate
	// and the worker's share; its deviation is that of the arrival process. Labels: phase, warmup.
	ArrivalGap = "arrival_gap"
	// ConnectTime is the time to open a connection, TLS and the handshake of a WebSocket included. Labels: phase,
	// flow, step, warmup.
	ConnectTime = "connect_time"
	// DNSTime and TLSTime are the parts of it that went to asking for the addresses of a name and to the handshake of
	// TLS. They have none of connections for which there was no such thing. Labels: phase, flow, step, warmup.
	DNSTime = "dns_time"
	TLSTime = "tls_time"
	// FirstByteTime runs from the actual send of a request of HTTP to the first bytes of its final response. Labels:
	// phase, flow, step, warmup.
	FirstByteTime = "first_byte_time"
	// FirstMessage runs from when a stream was open to its first message, MessageGap from one message to the next,
	// StreamTime from the first to the last; Messages is how many came on one stream. ReplyTime runs to a message that
	// met what a script expected, from what the script had sent last or, if that was nothing since the one before, from
	// when it was awaited. Gaps and replies count when their message comes, the others when their stream ends, however
	// that is. Labels: phase, flow, step, warmup.
	FirstMessage = "first_message"
	MessageGap   = "message_gap"
	ReplyTime    = "reply_time"
	StreamTime   = "stream_time"
	Messages     = "messages"
	// Iterations is the duration of whole iterations. Labels: phase, flow, outcome, warmup, and error if
	// one failed and not because of the target.
	Iterations = "iterations"
	// BytesIn and BytesOut count bytes of bodies and heads. Labels: phase, flow, step, warmup.
	BytesIn  = "bytes_in"
	BytesOut = "bytes_out"
	// Retried counts requests that were a repetition. Labels: phase, flow, step, warmup.
	Retried = "retried"
	// Redirects counts requests that a redirect led to. Labels: phase, flow, step, warmup.
	Redirects = "redirects"
)

// Key names one series.
type Key struct {
	Metric string
	Labels Labels
}

// Kind tells how the values of a series are merged.
type Kind uint8

const (
	// KindHistogram series are merged bucket by bucket.
	KindHistogram Kind = iota + 1
	// KindCounter series are added.
	KindCounter
)

// Value is the delta of one series. Exactly the field of its kind is set; should two producers not
// agree on the kind of a series, their merge holds both fields, so that nothing is lost.
type Value struct {
	Hist  *hist.Histogram // KindHistogram
	Count int64           // KindCounter; never negative
}

// Kind returns the kind of v.
func (v Value) Kind() Kind {
	if v.Hist != nil {
		return KindHistogram
	}
	return KindCounter
}

// Cause says why an arrival was not sent.
type Cause string

const (
	// CauseMaxInFlight is the target's: the phase's in-flight cap over the fleet was reached.
	CauseMaxInFlight Cause = "max_in_flight"
	// CauseNoPermit is nobody's yet: this worker had no permit of the phase's cap left, and cannot know
	// how the fleet stands. It is in what a worker reports only; Charge turns it into one of the two.
	CauseNoPermit Cause = "no_permit"
	// CauseCapShare is the generator's: this worker's share of the cap was used up while the fleet was below it.
	CauseCapShare Cause = "cap_share"
	// CauseLate is the generator's: the arrival was further behind than the phase's late bound.
	CauseLate Cause = "late"
	// CauseNoLease is the generator's: the arrival was due while its worker could reach no leader that let it
	// start work. It is counted in the second in which it is given up, that of the next lease.
	CauseNoLease Cause = "no_lease"
	// CauseWorkerLost is an arrival whose owner was gone.
	CauseWorkerLost Cause = "worker_lost"
	// CauseOutboxFull is an arrival held back because un-acked samples filled the outbox.
	CauseOutboxFull Cause = "outbox_full"
	// CauseStopped is an arrival that was due when the run or its phase had been told to stop.
	CauseStopped Cause = "stopped"
	// CauseData is an arrival for which the data set had no row left (on_end: stop).
	CauseData Cause = "data_exhausted"
)

// Arrivals counts what became of the arrivals of one phase and flow in one second. Over a whole
// run planned = sent + sum(NotSent) + unknown and sent = succeeded + failed; within one second
// they differ by what is in flight.
type Arrivals struct {
	Planned, Sent, Succeeded, Failed int64
	NotSent                          map[Cause]int64
	// InFlight is the number of iterations in flight at the end of the second, Oldest the age then of the
	// longest running operation of each step; one that has not come to its first step has the empty
	// name. Merged over workers: the sum, and the maximum.
	InFlight int64
	Oldest   map[string]time.Duration
}

// ArrivalKey names one row of arrivals.
type ArrivalKey struct{ Phase, Flow string }

// Health is a worker's, or merged the fleet's, judgement of its own second.
type Health uint8

const (
	// HealthValid says that the generator was not the limit.
	HealthValid Health = iota + 1
	// HealthDegraded says that it came near to it.
	HealthDegraded
	// HealthInvalid says that numbers of this second cannot be charged to the target.
	HealthInvalid
)

// Info describes a metric beyond the engine's own.
type Info struct {
	Category string // system | agent | business
	Unit     string // UCUM: s, By, ratio, {order} or a currency; empty: bare
}

// Second is what happened in one second of run time: the delta of one worker, or a merge of
// several. Merging two seconds of the same index never loses a count.
type Second struct {
	Index    int64 // run-time second: [Index, Index+1) s after T0
	Paused   time.Duration
	Series   map[Key]Value
	Infos    map[string]Info // by metric, for the metrics that are not the engine's own
	Arrivals map[ArrivalKey]*Arrivals
	// Peaks is how many iterations were in flight at most, by phase with a cap. Merged over workers: the
	// sum.
	Peaks map[string]int64
	// Slowest is the slowest request of each step that carried the id of a trace.
	Slowest map[StepKey]Exemplar
	Health  Health
	Causes  []string // why Health is not valid; sorted, without repetition; generator causes only
}
