// Package judge says what a run proves: it folds the seconds of a run, in order, into the criteria
// of its plan, and ends with a verdict. The same code judges live, to abort or alert, and finally,
// over all that was committed; the final judgement starts from scratch.
//
// It guarantees that nothing passes by accident: what has no samples, what could not be trusted and
// what could not be judged is INVALID. It is pure: no I/O, no clock, no goroutines. Its memory grows
// with the rows of the criteria and with the violations, not with the length of the run.
//
// What the rules of the scenario language leave open is decided here:
//
//   - A second counts for a criterion while one of its phases is scheduled, or has work in flight or
//     ending. A series with a phase label counts by that label, one without (a source, a host
//     metric) in the seconds that count.
//   - A second that the workers found INVALID, that nobody judged or that is missing counts as not
//     valid, and its samples take no part in a criterion: they cannot be charged to the target. Only
//     count and sum without a window, which state totals, take in all seconds. Under 95 % valid
//     seconds the criterion is INVALID.
//   - Seconds that the schedule has after the last reported one are missing too, unless the run was stopped
//     before them or its data ran out.
//   - A second that is paused, wholly or in part, feeds totals and no window.
//   - A window that the schedule covers in part (the first, the last, one cut by a pause) is judged on
//     the seconds that it has. Only count, rate and sum would be wrong then: such a window can breach an
//     upper limit, and otherwise does not count.
//   - A window without samples in which nothing was due and nothing in flight does not count. One with
//     work in flight and nothing ended is judged by the age of the oldest operation of the steps that the
//     criterion looks at: beyond the limit it is a breach, within it, or while the flow waits elsewhere, it
//     does not count, because an age is no sample. Any other window
//     without samples is empty; over 5 % of windows without samples make a criterion
//     INVALID, unless it fails even if all the empty ones had held.
//   - Breached windows in a row that do not last for `for` are tolerated and count as met. Windows that
//     do not count do not end such a row; a stretch in which no phase of the criterion is active does.
//   - Arrivals held back by max_in_flight stand for the requests of an iteration, each failed and slower than every
//     limit, and for as many more in flight. No criterion passes because of them: it must hold with them and
//     without them.
//   - Requests that failed because of the generator or the scenario (metric.OriginOf), and in totals all that
//     failed in a second that is not valid, are not held against the target: what they would decide,
//     were it to answer for them, is INVALID. Where the outcome does not matter they are requests like others.
//   - A quotient with a zero or missing denominator has no samples.
//   - Without criteria a run passes only if it measured something and can be trusted.
package judge
