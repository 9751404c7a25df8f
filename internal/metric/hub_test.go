package metric

import (
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// TestHubAccountsForEveryValue proves that what a subscriber takes and what it is told it lost are
// together everything that was published, in order.
func TestHubAccountsForEveryValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hub := NewHub[int]()
		s := hub.Subscribe(rapid.IntRange(0, 4).Draw(t, "size"))
		next, published := 0, 0
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(*rapid.T) { hub.Publish(published); published++ },
			"take": func(t *rapid.T) {
				values, missed := s.Take()
				next += int(missed)
				for _, v := range values {
					if v != next {
						t.Fatalf("got %d, want %d", v, next)
					}
					next++
				}
				if next != published {
					t.Fatalf("accounted for %d of %d", next, published)
				}
			},
		})
	})
}

func TestHubEnds(t *testing.T) {
	hub := NewHub[int]()
	kept, gone := hub.Subscribe(3), hub.Subscribe(3)
	gone.Close()
	gone.Close()
	hub.Publish(7)
	if len(hub.subs) != 1 {
		t.Errorf("%d subscribers, want 1", len(hub.subs))
	}
	hub.Close()
	kept.Close()
	hub.Publish(8)
	for name, s := range map[string]*Subscription[int]{"kept": kept, "gone": gone, "late": hub.Subscribe(1)} {
		for range s.C() { // ends, because it is closed
		}
		values, _ := s.Take()
		if want := map[string][]int{"kept": {7}}[name]; !slices.Equal(values, want) {
			t.Errorf("%s took %v, want %v", name, values, want)
		}
	}
}

// TestHubUnderLoad subscribes, takes and closes from many goroutines while values are published.
func TestHubUnderLoad(t *testing.T) {
	hub := NewHub[int]()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				s := hub.Subscribe(2)
				<-s.C()
				if values, missed := s.Take(); len(values) == 0 && missed == 0 {
					t.Error("woken for nothing")
				}
				s.Close()
			}
		})
	}
	done := make(chan struct{})
	var end sync.WaitGroup
	defer end.Wait()
	end.Go(func() { wg.Wait(); close(done) })
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
			hub.Publish(i)
		}
	}
}
