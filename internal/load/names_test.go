package load

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"proofload/internal/metric"
)

// Answers of a server of names.
const (
	nameFails   = 2 // it cannot say
	nameUnknown = 3 // there is no such name
)

// answerNames makes every name have such an answer, instead of asking for it on the network, until the test ends.
func answerNames(t *testing.T, code byte) {
	t.Helper()
	socket := newTally(t).packets(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 1500)
		for n, from, err := socket.ReadFrom(b); err == nil; n, from, err = socket.ReadFrom(b) {
			b[2] |= 0x80 // it is a response
			b[3] = 0x80 | code
			_, _ = socket.WriteTo(b[:n], from)
		}
	})
	system := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = system
		_ = socket.Close()
		wg.Wait()
	})
}

// TestNamesThatLeadNowhere: whatever is spoken, a name that does not exist is an error of the target, and one that could
// not be asked for is none: nothing was sent, and the iteration is excused. It runs beside no other test, whose names it
// would answer, too.
func TestNamesThatLeadNowhere(t *testing.T) {
	t.Run("dns", func(t *testing.T) {
		answerNames(t, nameUnknown)
		for name, a := range asks() {
			t.Run(name, func(t *testing.T) { wantFailed(t, a.plan("name.invalid:1"), "dns") })
		}
	})
	t.Run("resolver", func(t *testing.T) {
		answerNames(t, nameFails)
		for name, a := range asks() {
			t.Run(name, func(t *testing.T) {
				s := execute(t, a.plan("name.invalid:1"), describing)
				row := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
				requests, _ := s.Requests()
				of := func(l metric.Labels) bool { return l.Get("error") == "resolver" && l.Get("outcome") == "failed" }
				unsent, excused := s.Select(metric.Unsent, of).Count(), s.Select(metric.Iterations, of).Count()
				if n := uint64(row.Sent); n == 0 || row.Failed != row.Sent || requests != 0 || unsent != n || excused != n {
					t.Errorf("arrivals %+v, %d requests, errors %v, %d unsent, %d excused", *row, requests, errorsOf(s), unsent, excused)
				}
				if !slices.Contains(s.Causes, CauseResolver) {
					t.Errorf("causes %v do not say that it was not the target", s.Causes)
				}
			})
		}
	})
}
