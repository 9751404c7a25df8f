package scenario

import (
	"strings"
	"testing"
)

// grpcScenario is a scenario with one grpc step.
func grpcScenario(step, more string) string {
	return `version: 1
name: calls
target: grpc://127.0.0.1:50051
flows:
  f:
    - step: call
      grpc: ` + step + more + `
phases:
  - name: p
    flow: f
    rate: [{hold: {at: 1/s, for: 1s}}]
`
}

// What is wrong with a call is said before anything is sent, when a file tells what the service is.
func TestGRPCProblems(t *testing.T) {
	for name, c := range map[string]struct{ step, more, want string }{
		"no method":                {"{proto: shop.proto}", "", "7:13: method is missing"},
		"method without service":   {"{method: Get}", "", `7:22: method "Get": write package.Service/Method`},
		"two descriptions":         {"{method: shop.v1.Shop/Get, proto: shop.proto, descriptor: health.binpb}", "", "proto and descriptor exclude each other"},
		"nothing describes":        {"{method: shop.v1.Shop/Get, reflection: false}", "", "reflection: false leaves nothing"},
		"no such service":          {"{method: shop.v2.Shop/Get, proto: shop.proto}", "", "7:22: there is no service shop.v2.Shop; there is shop.v1.Shop"},
		"no such method":           {"{method: shop.v1.Shop/Gt, proto: shop.proto}", "", "7:22: service shop.v1.Shop has no method Gt; there is Chat, Get, List, Put"},
		"file beyond":              {"{method: shop.v1.Shop/Get, proto: ../shop.proto}", "", `file "../shop.proto" must lie beside the scenario`},
		"file that is not there":   {"{method: shop.v1.Shop/Get, proto: no.proto}", "", "no.proto"},
		"file with an error":       {"{method: shop.v1.Shop/Get, proto: people.jsonl}", "", "people.jsonl:1:1: "},
		"no descriptor set":        {"{method: shop.v1.Shop/Get, descriptor: people.jsonl}", "", "file people.jsonl: it is no descriptor set"},
		"unknown field":            {"{method: shop.v1.Shop/Get, proto: shop.proto, send: {nam: x}}", "", `message 1: the message is no shop.v1.Item: unknown field "nam"`},
		"value of another type":    {"{method: shop.v1.Shop/Get, proto: shop.proto, send: {price: cheap}}", "", "the message is no shop.v1.Item: "},
		"unknown enum":             {"{method: shop.v1.Shop/Get, proto: shop.proto, send: {kind: ROOT}}", "", "the message is no shop.v1.Item: "},
		"unknown beside template":  {"{method: shop.v1.Shop/Get, proto: shop.proto, send: {name: '${user.id}', nam: x}}", "", `unknown field "nam"`},
		"two messages":             {"{method: shop.v1.Shop/Get, proto: shop.proto, send: [{}, {}]}", "", "shop.v1.Shop/Get takes one message, send has 2"},
		"receive of unary":         {"{method: shop.v1.Shop/Get, proto: shop.proto, receive: {count: 1}}", "", "receive and close are of streams"},
		"null":                     {"{method: shop.v1.Shop/Get, send: null}", "", "message 1 is null"},
		"metadata of the protocol": {"{method: shop.v1.Shop/Get, metadata: {grpc-timeout: 1S}}", "", "names that begin with grpc- are those of the protocol"},
		"metadata in capitals":     {"{method: shop.v1.Shop/Get, metadata: {X-User: a}}", "", "a name of metadata is of 0-9, a-z, _, - and ."},
		"until and count":          {"{method: shop.v1.Shop/List, receive: {count: 1, until: 'true'}}", "", "until and count exclude each other"},
		"until reads the answer":   {"{method: shop.v1.Shop/List, receive: {until: code == 'OK'}}", "", "code cannot be read here"},
		"status":                   {"{method: shop.v1.Shop/Get}", "\n      expect: [status == 200]", "status cannot be read here"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(testFiles(grpcScenario(c.step, c.more)), "s.yaml", Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// A step goes to a target of its own protocol.
func TestStepsSpeakTheirTargetsProtocol(t *testing.T) {
	for _, c := range []struct{ target, step, want string }{
		{"http://127.0.0.1:8080", "grpc: {method: a.B/C}", "6:7: target default is http://127.0.0.1:8080: a step that is grpc cannot go there"},
		{"grpcs://127.0.0.1", "http: {method: GET, path: /}", "6:7: target default is grpcs://127.0.0.1: a step that is http cannot go there"},
	} {
		text := strings.NewReplacer("grpc://127.0.0.1:50051", c.target, "grpc: ", c.step).Replace(grpcScenario("", ""))
		if _, err := Load(testFiles(text), "s.yaml", Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// A plan names every file that a call needs, and what is sent; status or code that is read is not implied.
func TestGRPCPlan(t *testing.T) {
	for name, c := range map[string]struct {
		step, more string
		implied    bool
		files      int
	}{
		"reflection":       {"{method: shop.v1.Shop/Get}", "", true, 0},
		"proto":            {"{method: shop.v1.Shop/Get, proto: shop.proto}", "", true, 2},
		"descriptor":       {"{method: grpc.health.v1.Health/Check, descriptor: health.binpb}", "", true, 1},
		"code":             {"{method: shop.v1.Shop/Get}", "\n      expect: ['code == \"NOT_FOUND\"']", false, 0},
		"templates":        {"{method: shop.v1.Shop/Put, proto: shop.proto, send: [{price: '${has(user.id) ? 1 : 2}'}, {added: '${env.AT}', tags: '${[env.AT]}'}]}", "", true, 2},
		"names of JSON":    {"{method: shop.v1.Shop/Get, proto: shop.proto, send: {added: '2026-01-01T00:00:00Z', kind: FRUIT}}", "", true, 2},
		"a stream without": {"{method: shop.v1.Shop/Put, proto: shop.proto, send: []}", "", true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := Load(testFiles(grpcScenario(c.step, c.more)), "s.yaml", Options{Getenv: getenv("AT", "2026-01-01T00:00:00Z")})
			if err != nil {
				t.Fatal(err)
			}
			data, err := plan.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if plan, err = DecodePlan(data); err != nil {
				t.Fatal(err)
			}
			s := plan.Flows["f"].Steps[0]
			if s.GRPC == nil || s.ImplyStatus != c.implied || len(plan.Files()) != c.files {
				t.Errorf("step %+v, files %v", s, plan.Files())
			}
			needed, err := Needs(testFiles(grpcScenario(c.step, c.more)), "s.yaml", Options{})
			if err != nil || len(needed.Files) != c.files {
				t.Errorf("needs %+v: %v", needed, err)
			}
		})
	}
}
