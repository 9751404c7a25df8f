package lease

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTenure(t *testing.T) {
	const ttl = 5 * time.Second
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	for name, tc := range map[string]struct {
		sent, now time.Duration // of one answered keepalive; the lease was asked for at 0
		want      time.Duration // end
		ok        bool
	}{
		"answered at once":                  {at(1), at(1), at(5.5), true},
		"counts from the sending":           {at(1), at(4), at(5.5), true},
		"answered just in time":             {at(1), at(4.499), at(5.5), true},
		"answered when it is over":          {at(1), at(4.5), at(4.5), false},
		"answered long after":               {at(1), at(60), at(4.5), false},
		"older answer does not shorten it":  {at(-1), at(1), at(4.5), true},
		"sent in time, answered in its end": {at(0), at(4.4), at(4.5), true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := newTenure(0, ttl).renew(tc.sent, ttl, tc.now)
			if got.end != tc.want || ok != tc.ok {
				t.Errorf("renew = %v, %v; want %v, %v", got.end, ok, tc.want, tc.ok)
			}
		})
	}
}

// Whatever the delays of keepalives, the holder stops before etcd can have let the lease expire.
func TestTenureEndsBeforeTheLease(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
		}
		ttl := 2*time.Second + ms("ttl", 28000)
		now := time.Duration(0)
		expires := ms("grant delay", 3000) + ttl // on the server: from when it handled the grant
		ten := newTenure(0, ttl)
		for range rapid.IntRange(0, 20).Draw(t, "keepalives") {
			now += ms("pause", 4000)
			sent := now
			handled := sent + ms("request delay", 3000)
			now = handled + ms("reply delay", 3000)
			if handled < expires { // else the lease was gone and the answer is an error
				expires = handled + ttl
				ten, _ = ten.renew(sent, ttl, now)
			}
			if ten.holds(now) && now >= expires {
				t.Fatalf("holds at %v, lease expired at %v", now, expires)
			}
			if ten.end > expires-Margin {
				t.Fatalf("ends at %v, lease expires at %v", ten.end, expires)
			}
		}
	})
}
