package fleet

import (
	"sync"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// mailbox holds what is to be sent to one worker. Posting never blocks: an assignment replaces an
// older one, acks are merged to the highest mark, the rest is a queue whose length the worker's own
// requests bound. One goroutine takes.
type mailbox struct {
	mu         sync.Mutex
	wake       chan struct{} // capacity 1
	urgent     []*pb.AttachResponse
	assignment *wire.Assignment
	acks       map[ackKey]wire.Mark
	files      []*transfer
}

type ackKey struct {
	run         string
	incarnation int64
}

func newMailbox() *mailbox {
	return &mailbox{wake: make(chan struct{}, 1), acks: map[ackKey]wire.Mark{}}
}

func (m *mailbox) post(change func()) {
	m.mu.Lock()
	change()
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) send(r *pb.AttachResponse) { m.post(func() { m.urgent = append(m.urgent, r) }) }

// mostUnread is how many answers may wait for a worker. A well-behaved one has a handful of questions
// open at a time; beyond this it does not read, and its answers would fill the coordinator's memory.
const mostUnread = 4096

// crowded reports whether more answers wait than a worker that reads can have asked for.
func (m *mailbox) crowded() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.urgent)+len(m.files) > mostUnread
}

func (m *mailbox) assign(a wire.Assignment) { m.post(func() { m.assignment = &a }) }

func (m *mailbox) ack(marks []wire.Mark) {
	m.post(func() {
		for _, mark := range marks {
			key := ackKey{mark.Run, mark.Incarnation}
			old := m.acks[key]
			mark.Through = max(mark.Through, old.Through)
			mark.Closed = mark.Closed || old.Closed
			m.acks[key] = mark
		}
	})
}

func (m *mailbox) transfer(t *transfer) { m.post(func() { m.files = append(m.files, t) }) }

// take returns what is to be sent next: the assignment, then answers, then acks, then one piece of a
// file. The assignment goes first because an answer may grant a lease, and a worker that was away
// while its shards moved must learn that before it may start anything again. It returns nil when
// there is nothing.
func (m *mailbox) take() []*pb.AttachResponse {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*pb.AttachResponse
	if m.assignment != nil {
		out = append(out, &pb.AttachResponse{Payload: &pb.AttachResponse_Assignment{Assignment: wire.AssignmentToProto(*m.assignment)}})
		m.assignment = nil
	}
	out = append(out, m.urgent...)
	m.urgent = nil
	if len(m.acks) > 0 {
		marks := make([]wire.Mark, 0, len(m.acks))
		for _, mark := range m.acks {
			marks = append(marks, mark)
		}
		clear(m.acks)
		out = append(out, &pb.AttachResponse{Payload: &pb.AttachResponse_Ack{Ack: &pb.Ack{Marks: wire.MarksToProto(marks)}}})
	}
	if len(out) == 0 && len(m.files) > 0 {
		chunk, done := m.files[0].next()
		if done {
			m.files = m.files[1:]
		}
		out = append(out, &pb.AttachResponse{Payload: &pb.AttachResponse_File{File: chunk}})
	}
	return out
}

// chunkBytes is the size of one piece of a file; small enough that a heartbeat reply never waits long.
const chunkBytes = 256 << 10

// transfer is a file on its way to a worker.
type transfer struct {
	digest string
	data   []byte
	offset int
}

func (t *transfer) next() (chunk *pb.FileChunk, done bool) {
	end := min(t.offset+chunkBytes, len(t.data))
	chunk = &pb.FileChunk{Digest: t.digest, Offset: int64(t.offset), Data: t.data[t.offset:end], Size: int64(len(t.data))}
	t.offset = end
	return chunk, end == len(t.data)
}
