package agent

import (
	"os"
	"path/filepath"
	"strconv"
)

// Attached notes to which cluster the worker is attached; what is sealed from now on belongs to it.
func (o *Outbox) Attached(cluster uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cluster = cluster
}

// Foreign reports whether a run may belong to another cluster than the one that the worker is attached
// to: then nobody there can say that its samples are not wanted any more.
func (o *Outbox) Foreign(run string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.clusters[run] != o.cluster
}

// readCluster reads to which cluster a run of an earlier process belongs; without the file it is foreign.
func (o *Outbox) readCluster(run string) {
	data, err := os.ReadFile(o.clusterFile(run))
	if err != nil {
		return
	}
	if id, err := strconv.ParseUint(string(data), 16, 64); err == nil {
		o.clusters[run] = id
	}
}

// keepCluster notes, before the first batch of a run is written, to which cluster the run belongs.
func (o *Outbox) keepCluster(run string) error {
	if _, known := o.clusters[run]; known {
		return nil
	}
	if err := os.WriteFile(o.clusterFile(run), strconv.AppendUint(nil, o.cluster, 16), 0o600); err != nil {
		return err
	}
	o.clusters[run] = o.cluster
	return nil
}

// clusterFile is beside the sequences of a run and holds the identity of the run's cluster.
func (o *Outbox) clusterFile(run string) string { return filepath.Join(o.dir, run, "cluster") }
