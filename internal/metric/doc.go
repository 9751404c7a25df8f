// Package metric is what Proofload counts: label sets, series, per-second deltas, the batches that
// workers seal, the marks that keep each batch counted once, and the merge of it all.
//
// The way of a sample: a worker records it into an Accumulator, which seals one Second at a time into
// a Batch. The leader asks its Ledger whether the batch is counted already, adds it to the open
// Segment, and commits that. A Closer tells which seconds are whole by then; they are judged, enter
// Rings and are published through a Hub. An Aggregate is the sum of all segments.
//
// The package is pure: time and numbers come in as arguments. Merging is exact, commutative and
// associative, so the order in which batches arrive, and any number of intermediate merges, cannot
// change a result. Equal content has equal bytes, and decoders take nothing else.
package metric
