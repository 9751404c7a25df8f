// Package report makes the report of a run: one Document, and what is rendered from it.
//
// Build folds what a run has committed, and what the judge made of it, into a Document. WriteJSON
// writes the Document as report.json; WriteMarkdown, WriteHTML, WriteJUnit and WriteSummary render
// it for people and pipelines. They read the Document and nothing else, so a report that was stored
// as JSON renders the same as on the day of the run.
//
// Every Document that Build returns satisfies Check: arrivals add up, requests add up, and the rows
// of the series sum to their total. A number that was not measured is null, never zero.
package report
