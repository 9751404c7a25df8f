package flow

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// traceparent is the header of W3C Trace Context. Metadata of gRPC has it in small letters.
const traceparent = "Traceparent"

// traced gives the request a traceparent if it is one of the share that is sampled.
func (it *Iteration) traced(share float64) {
	if it.sends(traceparent) {
		return
	}
	if parent := it.parent(share, it.index); parent != "" {
		it.addHeader(traceparent, parent)
	}
}

// parent returns the traceparent of the request of a step, and notes the id of its trace; it is empty if the request
// is none of the share that is sampled. Which requests these are is a matter of the iteration's draw; the ids are
// not, so that no two runs share one.
func (it *Iteration) parent(share float64, step int) string {
	if it.trace == "" { // else a redirect led here
		if it.ID.Draw.Named("trace").Float64(uint64(step)) >= share {
			return ""
		}
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1) // an id is not zero
		it.trace = hex.EncodeToString(id[:])
	}
	var span [8]byte
	binary.BigEndian.PutUint64(span[:], rand.Uint64()|1)
	return "00-" + it.trace + "-" + hex.EncodeToString(span[:]) + "-01"
}
