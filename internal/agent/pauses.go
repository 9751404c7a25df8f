package agent

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pauses are those between attempts to attach. They grow, but not by much while a leader is being elected.
type pauses struct {
	backoff time.Duration
	lost    time.Time // when the last session ended; zero: there was none
}

// after returns how long to wait after an attempt that took a while: not at all when it was news.
func (p *pauses) after(err error, took time.Duration, welcomed, news bool) time.Duration {
	if welcomed {
		p.lost = time.Now()
	}
	if took > backoffMost {
		p.backoff = backoffLeast
	}
	most := backoffMost
	if time.Since(p.lost) < eager {
		most = backoffEager
	}
	if status.Code(err) == codes.FailedPrecondition {
		most = min(most, backoffRefused)
	}
	wait := min(p.backoff, most)
	if news {
		return 0
	}
	p.backoff = min(2*wait, most)
	return wait
}
