package cluster

import "slices"

// report are the parts of report.json that are compared here. They are written down apart from the
// product's types, because the names are a promise.
type report struct {
	Run struct {
		State   string  `json:"state"`
		Reason  *string `json:"stop_reason"`
		Elapsed float64 `json:"elapsed_s"`
		Paused  float64 `json:"paused_s"`
	} `json:"run"`
	Verdict struct {
		Result    string `json:"result"`
		StoppedBy string `json:"stopped_by"`
		Reasons   []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"reasons"`
	} `json:"verdict"`
	Integrity struct {
		Completeness float64 `json:"completeness"`
		Gaps         []gap   `json:"gaps"`
		Changes      []struct {
			Epoch       int64   `json:"epoch"`
			Coordinator string  `json:"coordinator"`
			At          float64 `json:"at_s"`
		} `json:"leader_changes"`
		Workers []struct {
			ID      string   `json:"id"`
			Samples int64    `json:"samples"`
			Lost    *float64 `json:"lost_s"`
		} `json:"workers"`
	} `json:"integrity"`
	Load struct {
		Planned int64            `json:"planned"`
		Sent    int64            `json:"sent"`
		NotSent map[string]int64 `json:"not_sent"`
		Unknown int64            `json:"unknown"`
	} `json:"load"`
	Requests struct {
		Sent      int64 `json:"sent"`
		Succeeded int64 `json:"succeeded"`
		Failed    int64 `json:"failed"`
	} `json:"requests"`
	Timeline struct {
		Points []struct {
			At      float64 `json:"at_s"`
			Planned int64   `json:"planned"`
			Sent    int64   `json:"sent"`
		} `json:"points"`
	} `json:"timeline"`
	Events []struct {
		At     float64 `json:"at_s"`
		Kind   string  `json:"kind"`
		Detail string  `json:"detail"`
	} `json:"events"`
}

// gap is samples of a worker that are missing.
type gap struct {
	Worker      string   `json:"worker"`
	Incarnation int64    `json:"incarnation"`
	FromSeq     *uint64  `json:"from_seq"`
	ToSeq       *uint64  `json:"to_seq"`
	From        *float64 `json:"from_s"`
	To          *float64 `json:"to_s"`
}

// notSent returns how many arrivals were not sent, over all causes.
func (r report) notSent() int64 {
	var n int64
	for _, one := range r.Load.NotSent {
		n += one
	}
	return n
}

// samples returns how many samples of the workers are in the result.
func (r report) samples() int64 {
	var n int64
	for _, w := range r.Integrity.Workers {
		n += w.Samples
	}
	return n
}

// doubts reports whether the verdict is INVALID for no other reasons than some.
func (r report) doubts(codes ...string) bool {
	for _, reason := range r.Verdict.Reasons {
		if !slices.Contains(codes, reason.Code) {
			return false
		}
	}
	return r.Verdict.Result == "INVALID"
}
