package http2load

// mostNear is how many places a crowd has at most.
const mostNear = 256

// crowd is the streams of a connection, by their numbers. As a connection counts its streams up, nearly every one
// finds the place free that its number has in a short list, and is found there without a search; the few that last
// while many others come and go, and so stand in the way of one, leave that one to a map. The empty one is ready for
// use. It is guarded by the connection's lock.
type crowd struct {
	near []*stream // a power of two of places
	far  map[uint32]*stream
	size int
}

// place is where a number belongs in near. The streams of a client have the odd ones.
func (s *crowd) place(id uint32) int { return int(id>>1) & (len(s.near) - 1) }

// get returns the stream of a number; nil: there is none.
func (s *crowd) get(id uint32) *stream {
	if s.size == 0 {
		return nil
	}
	if st := s.near[s.place(id)]; st != nil && st.id == id {
		return st
	}
	return s.far[id]
}

// add adds a stream that is not there.
func (s *crowd) add(st *stream) {
	if s.near == nil {
		s.near = make([]*stream, 1)
	}
	for s.near[s.place(st.id)] != nil && len(s.near) < mostNear {
		s.grow()
	}
	s.size++
	if at := s.place(st.id); s.near[at] == nil {
		s.near[at] = st
		return
	}
	if s.far == nil {
		s.far = map[uint32]*stream{}
	}
	s.far[st.id] = st
}

// grow doubles the places: who had one to itself still has.
func (s *crowd) grow() {
	old := s.near
	s.near = make([]*stream, 2*len(old))
	for _, st := range old {
		if st != nil {
			s.near[s.place(st.id)] = st
		}
	}
}

// remove removes a stream that is there.
func (s *crowd) remove(st *stream) {
	s.size--
	if at := s.place(st.id); s.near[at] == st {
		s.near[at] = nil
		return
	}
	delete(s.far, st.id)
}

// all yields the streams in no particular order; the one that was yielded may be removed.
func (s *crowd) all(yield func(*stream) bool) {
	for _, st := range s.near {
		if st != nil && !yield(st) {
			return
		}
	}
	for _, st := range s.far {
		if !yield(st) {
			return
		}
	}
}
