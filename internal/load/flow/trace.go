package flow

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// traced gives the request a traceparent (W3C Trace Context) if it is one of the share that is sampled. Which
// requests these are is a matter of the iteration's draw; the ids are not, so that no two runs share one.
func (it *Iteration) traced(share float64) {
	if it.sends("Traceparent") || it.trace == "" && it.ID.Draw.Named("trace").Float64(uint64(it.index)) >= share {
		return
	}
	if it.trace == "" { // else a redirect led here
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1) // an id is not zero
		it.trace = hex.EncodeToString(id[:])
	}
	var span [8]byte
	binary.BigEndian.PutUint64(span[:], rand.Uint64()|1)
	it.addHeader("Traceparent", "00-"+it.trace+"-"+hex.EncodeToString(span[:])+"-01")
}
