package scenario

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

// sound is a scenario without a problem, with its lines numbered from 1 where the tables below need them.
const sound = `version: 1
name: sound
target: http://127.0.0.1:8080
params:
  peak: 400/s
  users: 5
data:
  accounts: {csv: accounts.csv}
flows:
  buy:
    - step: login
      http: {method: POST, path: /login, json: {user: '${data.accounts.name}'}}
      expect: [status == 200]
      save: {token: json.token}
    - think: 100ms
    - step: add
      http: {method: POST, path: /cart, headers: {authorization: 'Bearer ${vars.token}'}}
      measure: {revenue: {value: json.total, unit: EUR}}
phases:
  - name: steady
    flow: buy
    rate: [{hold: {at: '${params.peak}', for: 10s}}]
  - name: shoppers
    with: steady
    flow: buy
    users: [{hold: {at: '${params.users}', for: 10s}}]
criteria:
  - name: fast
    check: p99(response_time{step="add"}) < 250ms
    during: steady
`

func files(text string) fstest.MapFS {
	return fstest.MapFS{
		"s.yaml": {Data: []byte(text)}, "accounts.csv": {Data: []byte("name,password\nanna,x\nbert,y\n")},
		"ragged.csv": {Data: []byte("a,b\n1,2\n3\n")}, "empty.csv": {}, "header.csv": {Data: []byte("name,b\n")},
		"users.csv": {Data: []byte("time,users\n0,1\n")}, "back.csv": {Data: []byte("time,rate\n1,1\n0,1\n")}, "words.csv": {Data: []byte("time\nsoon\n")},
		"heights.csv": {Data: []byte("time,rate\n0,many\n")}, "one.csv": {Data: []byte("time,rate\n0,1\n")}, "stamps.csv": {Data: []byte("time\n0\n1\n")},
		"fast.csv":  {Data: []byte("time,rate\n0,1\n0.1,1\n")},
		"twice.csv": {Data: []byte("a,a\n1,2\n")}, "bom.csv": {Data: []byte("\xef\xbb\xbfname\nx\n")},
	}
}

func problemsOf(t testing.TB, text string, opts Options) Problems {
	t.Helper()
	plan, err := Load(files(text), "s.yaml", opts)
	var problems Problems
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &problems):
		t.Fatalf("Load() = %v, want Problems", err)
	case plan != nil:
		t.Error("Load() returned a plan and problems")
	}
	return problems
}

func TestSoundScenarioHasNoProblem(t *testing.T) {
	if p := problemsOf(t, sound, Options{}); p != nil {
		t.Error(p)
	}
}

// TestProblems changes one thing of a sound scenario at a time and expects the one problem that this
// makes, at its place, with what would be right.
func TestProblems(t *testing.T) {
	tests := []struct {
		name     string
		old, new string // of sound
		want     string // after s.yaml:
	}{
		{"key misspelt", "name: sound", "nam: sound", `2:1: unknown key "nam"; did you mean "name"?`},
		{"key of a step misspelt", "expect:", "expects:", `13:7: unknown key "expects"; did you mean "expect"?`},
		{"no version", "version: 1\n", "", `1:1: version is missing`},
		{"version of the future", "version: 1", "version: 2", `1:10: version 2 is not known`},
		{"no unit of a duration", "for: 10s}}]\n  - name: shoppers", "for: 10}}]\n  - name: shoppers", `22:47: duration 10 has no unit: write 10s`},
		{"not a duration", "think: 100ms", "think: soon", `15:14: "soon" is not a duration`},
		{"no unit of a rate", "at: '${params.peak}'", "at: 400", `22:24: rate 400 has no unit: write 400/s`},
		{"negative rate", "at: '${params.peak}'", "at: -1/s", `22:24: "-1/s" is not a rate`},
		{"users of a rate", "at: '${params.users}'", "at: 5/s", `26:25: "5/s" is not a whole number`},
		{"param that is not there", "${params.users}", "${params.user}", `26:`},
		{"flow that is not there", "name: steady\n    flow: buy", "name: steady\n    flow: bye", `21:11: there is no flow "bye"`},
		{"phase that is not there", "with: steady", "with: stedy", `24:11: there is no phase "stedy"; did you mean "steady"?`},
		{"phase that waits for itself", "with: steady", "with: shoppers", `24:11: phase shoppers cannot wait for itself`},
		{"during a phase that is not there", "during: steady", "during: stead", `30:13: there is no phase "stead"`},
		{"two starts", "with: steady", "with: steady\n    at: 2m", `25:5: with and at exclude each other`},
		{"neither rate nor users", "    users: [{hold: {at: '${params.users}', for: 10s}}]\n", "", `23:5: rate or users is missing: rate is the open model, users the closed one`},
		{"flow and mix", "with: steady\n    flow: buy", "with: steady\n    flow: buy\n    mix: {buy: 1}", `26:5: flow and mix exclude each other`},
		{"two keys in a segment", "{hold: {at: '${params.users}', for: 10s}}", "{hold: {at: 1, for: 1s}, ramp: {from: 1, to: 2, for: 1s}}", `26:38: hold and ramp exclude each other`},
		{"not built", "name: sound", "name: sound\nproxies: {}", `3:1: proxies is not supported yet`},
		{"steps without a height", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{steps: {from: 1/s, to: 2/s, by: 0/s, every: 1s}}]", `22:45: by must be above 0`},
		{"too many steps", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{steps: {from: 1/s, to: 200001/s, by: 1/s, every: 1s}}]", `22:12: phase steady has more than 100000 pieces`},
		{"a burst without a base", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{burst: {base: 1/s, peak: 2/s, length: 5s, every: 5s, for: 1m}}]", `22:51: length must be below every, 5s`},
		{"a wave as short as a gap", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{wave: {mid: 1/s, amplitude: 2/s, period: 5ns, for: 1m}}]", `22:54: a wave's period must be at least 1ms`},
		{"chaos upside down", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{chaos: {min: 3/s, max: 2/s, every: 1s, for: 1m}}]", `22:26: min is above max`},
		{"chaos that never ends", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{chaos: {min: 1/s, max: 2/s, every: 1ns, for: 1m}}]", `22:12: phase steady has more than 100000 pieces`},
		{"a shape that lasts no time", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{chaos: {min: 1/s, max: 2/s, every: 0s, for: 1m}}]", `22:48: every must be above 0`},
		{"a recording that is not there", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: none.csv}}]", `22:27: file none.csv cannot be read`},
		{"a recording of nothing", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: empty.csv}}]", `22:27: file empty.csv: it is empty`},
		{"a recording without times", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: accounts.csv}}]", `22:27: file accounts.csv: it has no column time or at_s`},
		{"a recording of users", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: users.csv}}]", `22:27: file users.csv: it has a column users, and none of rate or per_s`},
		{"a recording that goes back", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: back.csv}}]", `22:27: file back.csv: row 2: its time is not after that of the row before`},
		{"a recording of words", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: words.csv}}]", `22:27: file words.csv: row 1: "soon" is no time`},
		{"a recording of heights that are words", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: heights.csv}}]", `22:27: file heights.csv: row 1: "many" is no height`},
		{"a recording of one rate", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: one.csv}}]", `22:27: file one.csv: it has one row`},
		{"a recording that stands still", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: stamps.csv, speed: 0}}]", `22:46: speed must be above 0`},
		{"a recording that is too fast", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: fast.csv, speed: 1e9}}]", `22:27: file fast.csv: at speed 1e+09 row 1 would last no time`},
		{"a recording that is scaled up too far", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "rate: [{replay: {csv: fast.csv, scale: 1e9}}]", `22:27: file fast.csv: row 1 scaled is 1e+09, above 1e+08`},
		{"recorded arrivals by chance", "rate: [{hold: {at: '${params.peak}', for: 10s}}]", "arrivals: poisson\n    rate: [{replay: {csv: stamps.csv}}]", `23:27: file stamps.csv holds arrivals, which come when they were recorded: that is not poisson`},
		{"recorded arrivals for users", "users: [{hold: {at: '${params.users}', for: 10s}}]", "users: [{replay: {csv: stamps.csv}}]", `26:28: file stamps.csv: it has no column users`},
		{"target that may not be hit", "http://127.0.0.1:8080", "http://shop.example", `3:9: target host shop.example is not in allow_targets`},
		{"target of another kind", "http://127.0.0.1:8080", "ftp://127.0.0.1", `3:9: target "ftp://127.0.0.1" is not a URL: write http://`},
		{"target that is no URL", "http://127.0.0.1:8080", "shop", `3:9: target "shop" is not a URL`},
		{"mock that is not there", "http://127.0.0.1:8080", "mock://shop", `3:9: there is no mock "shop"`},
		{"file that is not there", "csv: accounts.csv", "csv: account.csv", `8:19: file account.csv cannot be read`},
		{"file beyond the scenario", "csv: accounts.csv", "csv: ../accounts.csv", `8:19: file "../accounts.csv" must lie beside the scenario`},
		{"row too short", "csv: accounts.csv", "csv: ragged.csv", `8:19: file ragged.csv: record on line 3: wrong number of fields`},
		{"empty file", "csv: accounts.csv", "csv: empty.csv", `8:19: file empty.csv: it is empty`},
		{"file without rows", "csv: accounts.csv", "csv: header.csv", `8:19: file header.csv has a header and no rows`},
		{"column twice", "csv: accounts.csv", "csv: twice.csv", `8:19: file twice.csv: column "a"`},
		{"column that is not there", "${data.accounts.name}", "${data.accounts.nam}", `12:`},
		{"unique rows that wrap", "csv: accounts.csv", "csv: accounts.csv, order: unique, on_end: wrap", `8:`},
		{"random rows that stop", "csv: accounts.csv", "csv: accounts.csv, order: random, on_end: stop", `8:56: random rows have no end`},
		{"unique rows that are too few", "csv: accounts.csv", "csv: accounts.csv, order: unique", `8:19: unique rows of accounts: the phases draw`},
		{"variable nobody saves", "${vars.token}", "${vars.tokn}", `17:`},
		{"variable of a later step", "json: {user: '${data.accounts.name}'}", "json: {user: '${vars.token}'}", `12:`},
		{"expression that does not parse", "status == 200", "status ==", `13:`},
		{"expression of another root", "status == 200", "respons.status == 200", `13:`},
		{"template that does not end", "'Bearer ${vars.token}'", "'Bearer ${vars.token'", `17:`},
		{"environment variable that is not set", "status == 200", "status == env.CODE", `13:16: environment variable CODE is not set`},
		{"name of a save", "save: {token: json.token}", "save: {token: json.token, Token-1: json.token}", `14:`},
		{"measure with the name of a metric", "revenue:", "requests:", `18:`},
		{"statistic of the future", "p99(", "p999(", `29:12: `},
		{"metric that is not there", "response_time{", "respons_time{", `29:`},
		{"limit without a unit", "< 250ms", "< 250", `29:`},
		{"abort without a window", "during: steady", "on_breach: abort", `30:16: on_breach: abort needs a window`},
		{"by a label that is misspelt", "during: steady", "by: [phase, stpe]", `30:17: by: unknown label "stpe"; did you mean "step"?`},
		{"by a label that the metric does not have", "check: p99(response_time", "by: [status]\n    check: p99(connect_time", `29:10: by: status is no label of connect_time, which has phase, flow, step, worker`},
		{"for that is no multiple", "during: steady", "window: 2s\n    for: 3s", `31:10: for must be a multiple of window`},
		{"met without a window", "during: steady", "met: 99%", `30:5: met needs window beside it: it is the share of the windows that must hold`},
		{"severity", "during: steady", "severity: fatal", `30:15: severity: "fatal" is not one of critical, warning, info`},
		{"method", "method: POST, path: /login", "method: 'PO ST', path: /login", `12:22: method "PO ST"`},
		{"path", "path: /login", "path: login", `12:34: path "login": a path begins with /`},
		{"step twice", "- think: 100ms", "- step: login\n      http: {method: GET, path: /}", `15:13: step login stands twice`},
		{"base of gRPC", "http://127.0.0.1:8080", "grpc://127.0.0.1:1/base", `3:9: target "grpc://127.0.0.1:1/base" must be grpc://host[:port]: a method of gRPC has no base`},
		{"target of bytes without a port", "http://127.0.0.1:8080", "udp://127.0.0.1", `3:9: target "udp://127.0.0.1" must be udp://host:port`},
		{"step without a name", "- step: login\n      http:", "- http:", `11:7: http needs step beside it: a request has a name`},
		{"key twice", "name: sound", "name: sound\nname: again", `3:1: key "name" stands twice`},
		{"anchor", "name: sound", "name: &n sound", `2:7: anchors and aliases are not part of the language`},
		{"tag", "name: sound", "name: !!binary aGk=", `2:7: tag !!binary is not part of the language`},
		{"second document", "version: 1", "---\nversion: 1\n---\nversion: 1", `3:1: a second document begins here`},
		{"map where a text is wanted", "name: sound", "name: {a: 1}", `2:7: a map where a text was expected`},
		{"nothing", "name: sound", "name:", `2:6: name has no value`},
		{"confirm outside an environment", "name: sound", "name: sound\nconfirm: true", `3:10: confirm belongs into an environment`},
		{"limit of the load", "name: sound", "name: sound\nlimits: {rate: 10/s}", `3:16: the phases reach 400/s, above the limit of 10/s`},
		{"limit of the users", "name: sound", "name: sound\nlimits: {users: 2}", `3:17: the phases reach 5 users, above the limit of 2`},
		{"retry without end", "expect: [status == 200]", "retry: {times: 1000}", `13:22: times 1000 is not between 1 and 100`},
		{"port", "http://127.0.0.1:8080", "http://127.0.0.1:99999", `3:9: target "http://127.0.0.1:99999": a port is between 1 and 65535`},
		{"target without a scheme", "http://127.0.0.1:8080", "localhost:8080", `3:9: target "localhost:8080" is not a URL`},
		{"pattern of targets", "name: sound", "name: sound\nallow_targets: ['http://127.0.0.1', 127.0.0.1]", `3:17: allow_targets "http://127.0.0.1": write a host`},
		{"secret that would be stored", "token: json.token", "token: secret.T", `14:21: secret cannot be read here`},
		{"secret that would be measured", "value: json.total", "value: float(secret.T)", `18:`},
		{"generator", "accounts: {csv: accounts.csv}", "accounts: {fake: {name: nme}}", `8:27: there is no generator "nme"; did you mean`},
		{"generator that is not closed", "accounts: {csv: accounts.csv}", "accounts: {fake: {name: 'price(1'}}", `8:27: "price(1" is not a generator`},
		{"user among arrivals", "path: /cart", "path: '/cart/${user.id}'", `20:11: flow buy reads user, which the arrivals of a rate do not have`},
		{"no load", "name: sound", "name: sound\nload: 0%", `3:7: load must be above 0`},
		{"limit of nothing", "name: sound", "name: sound\nlimits: {users: 0}", `3:17: users must be at least 1`},
		{"not a number", "users: 5", "users: .nan", `6:10: .nan is not a number that can be used`},
		{"check of a step that is not there", `step="add"`, `step="ad"`, `29:12: there is no step "ad"; did you mean "add"?`},
		{"phases that wait for each other", "name: steady\n    flow: buy", "name: steady\n    after: shoppers\n    flow: buy", `20:`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Count(sound, tt.old) == 0 {
				t.Fatalf("the sound scenario has no %q", tt.old)
			}
			problems := problemsOf(t, strings.Replace(sound, tt.old, tt.new, 1), Options{})
			for _, p := range problems {
				if strings.HasPrefix(p.String(), "s.yaml:"+tt.want) {
					if len(problems) > 1 {
						t.Errorf("one thing is wrong, but the problems are\n%s", problems)
					}
					return
				}
			}
			t.Errorf("problems are\n%s\nwant one that begins with s.yaml:%s", problems, tt.want)
		})
	}
}

// TestAllProblemsAtOnce proves that one reading tells everything, in the order of the file.
func TestAllProblemsAtOnce(t *testing.T) {
	text := strings.NewReplacer("name: sound", "nam: sound", "think: 100ms", "think: soon", "with: steady", "with: stedy", "< 250ms", "< 250").Replace(sound)
	problems := problemsOf(t, text, Options{})
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	want := []int{2, 15, 24, 29}
	if len(lines) != len(want) {
		t.Fatalf("problems are\n%s\nwant them on lines %v", problems, want)
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Fatalf("problems are\n%s\nwant them on lines %v", problems, want)
		}
	}
}

// TestNonsense proves that what is no scenario is refused with one clear sentence.
func TestNonsense(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "s.yaml: file is empty"},
		{"comment", "# nothing\n", "s.yaml: file is empty"},
		{"text", "hello", "s.yaml:1:1: "},
		{"list", "- 1", "s.yaml:1:1: a list where a scenario was expected"},
		{"binary", "\x00\x01\x02\xff", "s.yaml:1:1: not valid YAML: control character 0x00"},
		{"a byte of another encoding", "version: 1\nname: \"ä caf\xe9\"\n", "s.yaml:2:13: not valid YAML: byte 0xe9 is no UTF-8"},
		{"a control character", "version: 1\r\nname: a\x1bb\n", "s.yaml:2:8: not valid YAML: control character 0x1b"},
		{"the second document", "a: 1\n---\nb: \xff\n", "s.yaml:3:4: not valid YAML: byte 0xff is no UTF-8"},
		{"an escape that there is not", "version: 1\nname: \"\\q\"\n", "s.yaml:2:"},
		{"tab", "version:\t1\n\tname: x", "s.yaml:2:1: not valid YAML: found"},
		{"huge", strings.Repeat("#", maxFileBytes+1), "s.yaml: file has 4194305 bytes"},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), "s.yaml:1:"},
		{"bomb", "name: &a [x,x]\nlabels: {b: &b [*a,*a]}\n", "s.yaml:1:7: anchors and aliases"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problems := problemsOf(t, tt.text, Options{})
			if len(problems) == 0 || !strings.Contains("\n"+problems.Error(), "\n"+tt.want) {
				t.Errorf("problems are\n%s\nwant one that begins with %s", problems, tt.want)
			}
		})
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	_, err := Load(files(sound), "no.yaml", Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "no.yaml: cannot be read: ") {
		t.Errorf("Load() = %v", err)
	}
}
