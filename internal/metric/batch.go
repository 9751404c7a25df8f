package metric

import "time"

// Source names the producer of a sequence of batches: one life of one worker. Incarnation is the
// etcd revision handed out when it registered, unique and growing over the cluster's life.
type Source struct {
	Worker      string
	Incarnation int64
}

// Batch is one sealed delta of one worker for one run. Its encoded bytes never change once sealed;
// Seq counts 1, 2, 3 ... per run and Source.
type Batch struct {
	Run    string
	Source Source
	Seq    uint64
	// ShardRevision is the revision of the shard map under which the interval was fired, and From
	// and To, in run time, the interval of the schedule that the batch covers.
	ShardRevision uint64
	From, To      time.Duration
	Second        Second
}

// Release gives the memory of the batch's histograms back, once it was merged into what it belongs to.
// Nothing may use the batch any more.
func (b *Batch) Release() {
	for _, v := range b.Second.Series {
		if v.Hist != nil {
			v.Hist.Release()
		}
	}
	b.Second.Series = nil
}
