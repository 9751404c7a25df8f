// Package search finds the highest rate that a target bears, by probes of which each has one rate.
//
// A search grows from its lowest rate by doubling until a rate does not hold, and then halves the interval
// between the highest rate that held and the lowest that broke until it is narrow enough. In the end both
// ends are confirmed by repeats: the lower one must hold Confirm times more often than it breaks, the upper
// one must break in the majority. A rate that once looked broken and holds when it is repeated sends the search
// upwards again, so that a hiccup of the target costs probes and does not make the result wrong.
//
// A probe in which the generators were the limit says nothing about the target. It is repeated once; after that
// its rate is a ceiling, and the search goes on below it. Only when nothing breaks below the ceiling the result is
// that the generators were the limit. A probe that was disturbed from outside, by a pause or a worker that went
// away, is repeated.
//
// It guarantees that a search ends after Config.Most probes, that a result of kind Found names two rates that
// were both measured and confirmed, and that what it does next is a function of the verdicts alone, so that
// whoever has them can go on. It is pure: no I/O, no clock, no goroutines.
package search
