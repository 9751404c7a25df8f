// Package lease is Proofload's only way to etcd: who leads, until when, and which writes count.
//
// A Candidate campaigns for leadership. The one that wins gets a Term, whose epoch is the create
// revision of its election key; every durable write of a leader goes through Term.Commit, which
// etcd applies only while that very key exists. So a deposed leader can believe what it likes: its
// writes are refused.
//
// Leadership ends locally first. A Term lasts until the send time of the last answered keepalive
// plus the lease's TTL minus a margin, on a clock that keeps counting while the machine sleeps, and
// never longer: etcd counts the same TTL from a later instant, so no other candidate can have won
// by then. What it does not give: mutual exclusion for anything that is not an etcd key. Work
// outside etcd (blobs, commands to workers) has to carry the epoch and be refused by its receiver.
//
// The package avoids what is known to break in etcd's own recipes: each campaign takes a new lease
// and nothing resumes an old one, campaigns end with their lease, a win is verified by a
// linearizable read of the own key, and observers see deletions.
//
// The subpackage embedded starts a private etcd inside the process; Connect dials an external
// cluster. Both hand out the same client, and everything after that is one code path.
package lease
