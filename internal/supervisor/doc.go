// Package supervisor conducts runs while this coordinator leads: it keeps each run's state machine,
// tells the workers what to do, merges and commits their samples, judges them live, and closes the
// books.
//
// The design's package list had no place for this: run and judge are pure, fleet carries messages,
// coordinator only assembles. It stands above fleet, result and judge and below coordinator.
//
// One goroutine per run owns everything of that run. It takes closures from a mailbox, so that the
// sessions of workers, the API and the commits in the background never share state with it, and it
// never waits for any of them.
package supervisor
