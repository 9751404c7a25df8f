package scenario

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var testMetrics = map[string]string{"orders": "", "revenue": "EUR", "db_cpu": "ratio", "queue_age": "s", "heap": "By"}

func TestParseCheck(t *testing.T) {
	p := func(q float64, m string) Selection { return Selection{Stat: StatQuantile, Quantile: q, Metric: m} }
	for _, tc := range []struct {
		src  string
		want Check
		text string // canonical, when not src
	}{
		{src: `p99(response_time) < 250ms`, want: Check{Left: p(0.99, "response_time"), Op: "<", Limit: 0.25, Unit: "s"}},
		{src: `p99.9( response_time )<=1m`, text: "p99.9(response_time) <= 1m", want: Check{Left: p(0.999, "response_time"), Op: "<=", Limit: 60, Unit: "s"}},
		{src: `p99.99(service_time) < 1h30m`, want: Check{Left: p(0.9999, "service_time"), Op: "<", Limit: 5400, Unit: "s"}},
		{
			src: `p50(response_time{step="add",outcome!="ok", flow =~ "a|b"}) >= 0s`, text: `p50(response_time{step="add",outcome!="ok",flow=~"a|b"}) >= 0s`,
			want: Check{Left: Selection{Stat: StatQuantile, Quantile: 0.5, Metric: "response_time", Matchers: []Matcher{
				{"step", "=", "add"}, {"outcome", "!=", "ok"}, {"flow", "=~", "a|b"},
			}}, Op: ">=", Limit: 0, Unit: "s"},
		},
		{src: `error_ratio(requests) < 1%`, want: Check{Left: Selection{Stat: StatErrorRatio, Metric: "requests"}, Op: "<", Limit: 0.01, Unit: "ratio"}},
		{src: `error_ratio(iterations) == 0%`, want: Check{Left: Selection{Stat: StatErrorRatio, Metric: "iterations"}, Op: "==", Limit: 0, Unit: "ratio"}},
		{src: `rate(requests) > 120/m`, text: "rate(requests) > 2/s", want: Check{Left: Selection{Stat: StatRate, Metric: "requests"}, Op: ">", Limit: 2, Unit: "1/s"}},
		{src: `rate(bytes_in) > 10MiB/s`, want: Check{Left: Selection{Stat: StatRate, Metric: "bytes_in"}, Op: ">", Limit: 10 << 20, Unit: "By/s"}},
		{src: `max(bytes_out) < 1.5KiB`, text: "max(bytes_out) < 1536B", want: Check{Left: Selection{Stat: StatMax, Metric: "bytes_out"}, Op: "<", Limit: 1536, Unit: "By"}},
		{src: `rate(retried) < 30/m`, text: "rate(retried) < 0.5/s", want: Check{Left: Selection{Stat: StatRate, Metric: "retried"}, Op: "<", Limit: 0.5, Unit: "1/s"}},
		{src: `count(redirects) < 5`, want: Check{Left: Selection{Stat: StatCount, Metric: "redirects"}, Op: "<", Limit: 5}},
		{src: `count(requests) != 1000`, want: Check{Left: Selection{Stat: StatCount, Metric: "requests"}, Op: "!=", Limit: 1000}},
		{src: `max(db_cpu) < 85%`, want: Check{Left: Selection{Stat: StatMax, Metric: "db_cpu"}, Op: "<", Limit: 0.85, Unit: "ratio"}},
		{src: `sum(revenue) > -12.5`, want: Check{Left: Selection{Stat: StatSum, Metric: "revenue"}, Op: ">", Limit: -12.5}},
		{src: `max(in_flight) < 500`, want: Check{Left: Selection{Stat: StatMax, Metric: "in_flight"}, Op: "<", Limit: 500}},
		{src: `trend(response_time) < 5ms/h`, want: Check{Left: Selection{Stat: StatTrend, Per: "h", Metric: "response_time"}, Op: "<", Limit: 0.005, Unit: "s"}},
		{src: `trend(db_cpu) < 1% / m`, text: "trend(db_cpu) < 1%/m", want: Check{Left: Selection{Stat: StatTrend, Per: "m", Metric: "db_cpu"}, Op: "<", Limit: 0.01, Unit: "ratio"}},
		{src: `trend(orders) > -3/s`, want: Check{Left: Selection{Stat: StatTrend, Per: "s", Metric: "orders"}, Op: ">", Limit: -3}},
		{
			src: `count(requests{status="503"}) / count(requests) < 0.1%`,
			want: Check{
				Left: Selection{Stat: StatCount, Metric: "requests", Matchers: []Matcher{{"status", "=", "503"}}},
				Over: &Selection{Stat: StatCount, Metric: "requests"}, Op: "<", Limit: 0.001, Unit: "ratio",
			},
		},
		{
			src: `p99(response_time) / p50(response_time) < 3`, text: `p99(response_time) / p50(response_time) < 300%`,
			want: Check{Left: p(0.99, "response_time"), Over: new(p(0.5, "response_time")), Op: "<", Limit: 3, Unit: "ratio"},
		},
		{
			src:  `sum(bytes_in) / count(requests) < 64KiB`,
			want: Check{Left: Selection{Stat: StatSum, Metric: "bytes_in"}, Over: &Selection{Stat: StatCount, Metric: "requests"}, Op: "<", Limit: 65536, Unit: "By"},
		},
		{src: `max(response_time{zone="eu",node="n1"}) < 1s`, want: Check{Left: Selection{Stat: StatMax, Metric: "response_time", Matchers: []Matcher{{"zone", "=", "eu"}, {"node", "=", "n1"}}}, Op: "<", Limit: 1, Unit: "s"}},
		{src: `max(response_time{step="a\"b"}) < 1.5µs`, want: Check{Left: Selection{Stat: StatMax, Metric: "response_time", Matchers: []Matcher{{"step", "=", `a"b`}}}, Op: "<", Limit: 1.5e-6, Unit: "s"}},
	} {
		t.Run(tc.src, func(t *testing.T) {
			got, err := ParseCheck(tc.src, WithMetrics(testMetrics))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("check (-want +got):\n%s", diff)
			}
			if want := or(tc.text, tc.src); got.String() != want {
				t.Errorf("canonical = %s, want %s", got, want)
			}
		})
	}
}

func TestParseCheckErrors(t *testing.T) {
	for _, tc := range []struct {
		src    string
		offset int
		want   string
	}{
		{"", 0, "statistic is missing"},
		{"p999(response_time) < 1s", 0, "write p99.9"},
		{"p9999(response_time) < 1s", 0, "write p99.99"},
		{"p100(response_time) < 1s", 0, "write max"},
		{"p0(response_time) < 1s", 0, "write min"},
		{"p5x(response_time) < 1s", 0, "unknown statistic"},
		{"quantile(response_time) < 1s", 0, "unknown statistic"},
		{"  men(response_time) < 1s", 2, `did you mean "mean"?`},
		{"max response_time < 1s", 4, `"(" is missing`},
		{"max(respons_time) < 1s", 4, `did you mean "response_time"?`},
		{"max(revenu) < 1", 4, `did you mean "revenue"?`},
		{"max() < 1", 4, "metric is missing"},
		{"max(response_time < 1s", 18, `")" is missing`},
		{`max(response_time{stp="a"}) < 1s`, 18, `did you mean "step"?`},
		{`max(response_time{pahse="a"}) < 1s`, 18, `did you mean "phase"?`},
		{`max(response_time{step}) < 1s`, 22, "needs =, !=, =~ or !~"},
		{`max(response_time{step='a'}) < 1s`, 23, "double quotes"},
		{`max(response_time{step=add}) < 1s`, 23, "double quotes"},
		{`max(response_time{step=~"("}) < 1s`, 24, "regular expression"},
		{`max(response_time{step="a"`, 26, `"}" is missing`},
		{`max(response_time{step="a",`, 27, `label is missing`},
		{"max(response_time) = 1s", 19, "compared with =="},
		{"max(response_time) 1s", 19, "operator is missing"},
		{"max(response_time) <", 20, "value is missing"},
		{"max(response_time) < 250", 21, "a duration is needed"},
		{"max(response_time) < 0", 21, "a duration is needed"},
		{"max(response_time) < 10%", 21, "a duration is needed"},
		{"max(response_time) < 5/s", 21, "a duration is needed"},
		{"error_ratio(requests) < 0.01", 24, "a share is needed"},
		{"error_ratio(bytes_in) < 1%", 0, "error_ratio is of requests"},
		{"mean(requests) < 5", 0, "only counted"},
		{`p99(first_byte_time{status="200"}) < 1s`, 20, "status is no label of first_byte_time, which has phase, flow, step, worker"},
		{`count(retried{outcome!="ok"}) < 5`, 14, "outcome is no label of retried, which has"},
		{`count(iterations{status="500"}) == 0`, 17, "status is no label of iterations, which has phase, flow, error, outcome, worker"},
		{`count(iterations{step=~"a"}) == 0`, 17, "step is no label of iterations"},
		{`max(in_flight{status="500"}) < 100`, 14, "status is no label of in_flight, which has phase, flow"},
		{`max(in_flight{worker="a"}) < 100`, 14, "worker is no label of in_flight"},
		{`count(requests{fault="a"}) < 100`, 15, "fault is no label of requests"},
		{`p99(schedule_lag{flow="f"}) < 1s`, 17, "flow is no label of schedule_lag, which has phase, worker"},
		{`sum(orders{outcome="failed"}) < 1`, 11, "outcome is no label of orders, which has phase, flow, step, worker"},
		{"sum(retried) < 5", 0, "retried is only counted: use count or rate"},
		{"error_ratio(redirects) < 5%", 0, "error_ratio is of requests"},
		{"rate(requests) < 5", 17, "a rate is needed"},
		{"rate(requests) < 5/d", 17, "a rate is needed"},
		{"max(orders) < 5s", 14, "a bare number is needed"},
		{"max(revenue) < 5EUR", 15, "a bare number is needed"},
		{"max(orders) < 1e5", 14, "a bare number is needed"},
		{"max(orders) < 0x5", 14, "a bare number is needed"},
		{"max(orders) < inf", 14, "a bare number is needed"},
		{"max(heap) < 5", 12, "a size is needed"},
		{"max(orders) < 5 or more", 16, "unexpected"},
		{"count(requests) / max(response_time) < 5", 17, "different units"},
		{"trend(response_time) < 5ms", 26, `"/" is missing`},
		{"trend(response_time) < 5ms/d", 27, "per h, m or s"},
		{"trend(orders) / count(requests) < 5", 15, "trend cannot be part"},
	} {
		t.Run(tc.src, func(t *testing.T) {
			_, err := ParseCheck(tc.src, WithMetrics(testMetrics))
			var e *CheckError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *CheckError", err)
			}
			if e.Offset != tc.offset || !strings.Contains(e.Message, tc.want) {
				t.Errorf("got %q at %d, want %q at %d", e.Message, e.Offset, tc.want, tc.offset)
			}
		})
	}
}

func TestParseCheckNotSupported(t *testing.T) {
	for _, tc := range []struct {
		src, feature string
		offset       int
	}{
		{`max(recovery_time{fault="slow-db"}) < 30s`, "recovery_time", 4},
		{`max(detection_time) < 30s`, "detection_time", 4},
		{`p95(response_time) < baseline + 10%`, "baseline", 21},
		{`p95(response_time) < baseline`, "baseline", 21},
	} {
		_, err := ParseCheck(tc.src)
		var e *NotSupportedError
		if !errors.As(err, &e) || e.Feature != tc.feature || e.Offset != tc.offset {
			t.Errorf("%s: got %#v", tc.src, err)
		}
	}
	// What is wrong besides is said first.
	if _, err := ParseCheck(`max(recovery_time) < 5%`); !errors.As(err, new(*CheckError)) {
		t.Errorf("got %v, want a *CheckError", err)
	}
}

func TestLabelsOfWorkers(t *testing.T) {
	if _, err := ParseCheck(`max(response_time{steps="a"}) < 1s`); err == nil {
		t.Error("a misspelt label was accepted")
	}
	if _, err := ParseCheck(`max(response_time{node="a"}) < 1s`); err != nil {
		t.Errorf("a worker's own label was refused: %v", err)
	}
}

// TestCheckRoundTrip: the canonical form of every check parses back to the same check.
func TestCheckRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := drawCheck(t)
		first, err := ParseCheck(src, WithMetrics(testMetrics))
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		second, err := ParseCheck(first.String(), WithMetrics(testMetrics))
		if err != nil {
			t.Fatalf("%s: canonical %s: %v", src, first, err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatalf("%s: canonical %s (-first +second):\n%s", src, first, diff)
		}
	})
}

func drawCheck(t *rapid.T) string {
	stat := rapid.SampledFrom([]string{"max", "mean", "p99", "p99.9", "p7", "p12.3456", "stddev", "sum", "min"}).Draw(t, "stat")
	number := rapid.StringMatching(`-?[0-9]{1,9}(\.[0-9]{1,9})?`).Draw(t, "number")
	matchers := ""
	for i := range rapid.IntRange(0, 3).Draw(t, "matchers") {
		if i > 0 {
			matchers += ", "
		}
		matchers += rapid.SampledFrom([]string{"step", "phase", "zone"}).Draw(t, "label") +
			rapid.SampledFrom([]string{"=", "!="}).Draw(t, "matcher") + Matcher{Value: rapid.String().Draw(t, "value")}.quoted()
	}
	if matchers != "" {
		matchers = "{" + matchers + "}"
	}
	op := rapid.SampledFrom([]string{"<", "<=", ">", ">=", "==", "!="}).Draw(t, "op")
	kind := rapid.SampledFrom([][2]string{
		{"response_time", "ms"}, {"response_time", "s"}, {"queue_age", "us"}, {"db_cpu", "%"}, {"orders", ""}, {"heap", "KiB"}, {"heap", "MB"}, {"heap", "B"},
	}).Draw(t, "kind")
	return stat + "(" + kind[0] + matchers + ") " + op + " " + number + kind[1]
}

// quoted is the value as a criterion writes it.
func (m Matcher) quoted() string {
	s := Selection{Stat: "max", Metric: "m", Matchers: []Matcher{{Label: "l", Op: "=", Value: m.Value}}}.String()
	return strings.TrimSuffix(strings.TrimPrefix(s, "max(m{l="), "})")
}

func FuzzParseCheck(f *testing.F) {
	for _, s := range []string{
		`p99(response_time{step="add"}) < 250ms`, `count(requests{status=~"5.."}) / count(requests) < 1%`,
		`trend(db_cpu) < 1%/h`, `p95(response_time) < baseline + 10%`, `rate(bytes_in) > 1.5GiB/s`, `max(orders) > .5`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		first, err := ParseCheck(src, WithMetrics(testMetrics))
		if err != nil {
			var e *CheckError
			if errors.As(err, &e) && (e.Offset < 0 || e.Offset > len(src)) {
				t.Fatalf("offset %d outside", e.Offset)
			}
			return
		}
		second, err := ParseCheck(first.String(), WithMetrics(testMetrics))
		if err != nil || !cmp.Equal(first, second) {
			t.Fatalf("%q: canonical %q parses to %+v, %v; want %+v", src, first, second, err, first)
		}
	})
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
