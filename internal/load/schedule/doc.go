// Package schedule turns a phase's load profile into the instants at which arrivals are due and the
// numbers of users that are active. It is pure: it reads no clock, does no I/O and starts no
// goroutine.
//
// Every phase has scenario.Shards virtual shards, and each arrival belongs to exactly one of them.
// What a shard fires, and when, is a function of the plan, of the run's history of changes and of
// the shard alone: neither the number of workers nor who owned which shard, and when, has any
// influence. Arithmetic is spelled out with explicit conversions, so that no compiler may fuse a
// multiplication with an addition, and for arrivals and users machines of different kinds compute the
// same bits. Durations drawn from a normal or lognormal distribution are not among these: they rest on
// functions of package math whose last bit differs between kinds of machines.
//
// Three times appear. Run time counts from T0 and never stops. Plan time is run time without the
// paused stretches. Phase time is plan time since the phase's start.
package schedule
