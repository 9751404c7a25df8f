package agent

import (
	"slices"
	"testing"
	"time"

	"proofload/internal/wire"
)

// TestRefusedBatchIsNotChased proves that a batch which the coordinator cannot take is sent again now
// and then, alone, and that neither it nor the answers to those behind it keep the two sides busy; once
// it is committed the rest follows.
func TestRefusedBatchIsNotChased(t *testing.T) {
	onLine(t, func(l *line) {
		l.seal(40)
		s := l.attach(0)
		sent := s.batches()
		if len(sent) != 40 {
			t.Fatalf("sent %v, want all 40", sent)
		}
		total := 0
		for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
			for _, seq := range sent {
				switch {
				case seq == 3:
					s.nack(3, wire.NackCorrupt)
				case seq > 3:
					s.nack(3, wire.NackGap)
				}
			}
			s.breathe()
			sent = s.batches()
			total += len(sent)
			if slices.ContainsFunc(sent, func(seq uint64) bool { return seq != 3 }) {
				t.Fatalf("sent %v while batch 3 is refused", sent)
			}
		}
		if total < 4 || total > 10 {
			t.Errorf("batch 3 was sent again %d times in a minute, want a few", total)
		}
		s.ack(3)
		if got := s.batches(); len(got) != 37 || got[0] != 4 {
			t.Errorf("after the commit of batch 3 sent %v, want 4 to 40", got)
		}
	})
}
