// Package result is the run repository: what a run has measured and decided, so that no crash can
// lose it or count it twice.
//
// Two places hold a run. Its segments, checkpoints and reports are immutable blobs. Its Head, one
// small record in etcd, says which of them count. A Committer moves the head by the commit
// protocol: first the segment is stored under a name that carries the epoch, then one fenced
// transaction names it together with the marks that stood when it was sealed, and only then may
// anybody acknowledge what is in it. A blob that no head names does not exist, whoever wrote it.
//
// A Repository creates, lists, reads, finalises and deletes runs. What is finalised can be listed
// and read from the blobs alone.
//
// The package knows etcd only as the small interfaces Reader and Heads.
package result
