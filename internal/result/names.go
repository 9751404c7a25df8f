package result

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Names of objects. Everything that one leader writes carries its epoch, so that what a deposed
// leader wrote can be told apart, and the head of the digest, so that a leader which starts a run's
// commits anew within its epoch cannot collide with its own leftovers.

func objectName(number uint64, epoch int64, digest string) string {
	return fmt.Sprintf("%012d-%d-%.12s", number, epoch, digest)
}

func resultDir(run string) string { return "results/" + run + "/" }
func reportDir(run string) string { return "reports/" + run + "/" }
func metricDir(run string) string { return "metrics/" + run + "/" }

func segmentDir(run string) string    { return resultDir(run) + "segments/" }
func checkpointDir(run string) string { return resultDir(run) + "checkpoints/" }
func manifestDir(run string) string   { return resultDir(run) + "manifests/" }
func finalDir(run string) string      { return resultDir(run) + "final/" }

func resultKey(run string) string { return resultDir(run) + "result.json" }

// ReportKey is the fixed name of a report; format is its extension: json, md, html or xml.
func ReportKey(run, format string) string { return reportDir(run) + "report." + format }

// segmentKey is the record of a segment's reference.
func segmentKey(run string, number uint64) string {
	return fmt.Sprintf("%s%s/%012d", segmentPrefix, run, number)
}

// epochOf reads the epoch out of an object's name.
func epochOf(key string) (int64, bool) {
	parts := strings.Split(path.Base(key), "-")
	if len(parts) < 3 {
		return 0, false
	}
	epoch, err := strconv.ParseInt(parts[1], 10, 64)
	return epoch, err == nil
}
