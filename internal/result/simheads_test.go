package result

import (
	"context"
	"encoding/json"
	"math"
)

// simHeads is the Heads of one term on a network that loses and delays. It breaks what rules say it should.
type simHeads struct {
	*term
	sim       *sim
	boundless bool    // no epoch is above its own
	alone     bool    // it takes a write for done whatever becomes of it, and believes itself
	believed  *Record // the head of such a write
}

// Epoch implements Heads.
func (h *simHeads) Epoch() int64 {
	if h.boundless {
		return math.MaxInt64
	}
	return h.epoch
}

// Get implements Reader.
func (h *simHeads) Get(ctx context.Context, key string) (Record, error) {
	if h.sim.chance(0.2) {
		return Record{}, errNetwork
	}
	if h.alone && h.believed != nil && h.believed.Key == key {
		return *h.believed, nil
	}
	return h.cluster.Get(ctx, key)
}

// Commit implements Heads.
func (h *simHeads) Commit(ctx context.Context, writes []Write) (int64, error) {
	h.sim.meanwhile(ctx, h)
	apply := func() (int64, error) { return h.apply(h.epoch, writes) }
	if h.sim.marksApart {
		apply = func() (int64, error) { return h.apart(writes) }
	}
	revision, err := h.send(apply)
	if h.alone && err != nil {
		h.believed, err = &Record{Key: writes[0].Key, Value: writes[0].Value}, nil
	}
	return revision, err
}

// send passes a transaction on, or loses it, or its reply.
func (h *simHeads) send(apply func() (int64, error)) (int64, error) {
	fate := 1.0
	if !h.sim.calm {
		fate = h.sim.rnd.Float64()
	}
	switch {
	case fate < 0.12: // it never arrives
	case fate < 0.2:
		h.sim.late = append(h.sim.late, apply)
	case fate < 0.3: // its reply never does
		_, _ = apply()
	default:
		return apply()
	}
	return 0, errNetwork
}

// apart writes a segment first, and the marks behind it if nothing comes between.
func (h *simHeads) apart(writes []Write) (int64, error) {
	var head, stored Head
	record, err := h.cluster.Get(context.Background(), writes[0].Key)
	if err != nil || json.Unmarshal(record.Value, &stored) != nil || json.Unmarshal(writes[0].Value, &head) != nil {
		return h.apply(h.epoch, writes)
	}
	whole := writes[0]
	head.Marks = stored.Marks
	first := append([]Write(nil), writes...)
	if first[0].Value, err = json.Marshal(head); err != nil {
		return 0, err
	}
	revision, err := h.apply(h.epoch, first)
	if err != nil || h.sim.chance(0.3) {
		return revision, err // the next write of this leader will have them
	}
	whole.IfRevision = revision
	return h.apply(h.epoch, []Write{whole})
}
