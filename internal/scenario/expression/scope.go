package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Root is the first word of a path.
type Root string

// The roots that scenarios can read. Those from Status on exist only where there is a response.
const (
	Params Root = "params"
	Env    Root = "env"
	Data   Root = "data"
	Setup  Root = "setup"
	Vars   Root = "vars"
	Secret Root = "secret"
	User   Root = "user"

	Status   Root = "status"   // number: the HTTP status
	JSON     Root = "json"     // the body, decoded; reading it from a body that is not JSON is an error
	Body     Root = "body"     // text: the body
	Headers  Root = "headers"  // headers["content-type"]; names in any case
	Size     Root = "size"     // number: bytes of the body
	Duration Root = "duration" // duration: the request's service time

	Code     Root = "code"     // text: the status of a gRPC call, such as OK
	Message  Root = "message"  // the last message that was received, decoded
	Messages Root = "messages" // the list of all that were received
)

// responseRoots is everything that can be read of a response. Which of it there is depends on the protocol.
var responseRoots = []Root{Status, JSON, Body, Headers, Size, Duration, Code, Message, Messages}

// httpRoots is what the response to an HTTP request has.
var httpRoots = []Root{Status, JSON, Body, Headers, Size, Duration}

// userNames are the names under user: which simulated user runs the iteration, and its how-manieth
// iteration this is, both counted from 0. In an open-model phase they are absent.
var userNames = Names{"id", "iteration"}

// Names is the names that exist under a root. Nil: the root itself does not exist at this place.
type Names []string

// AnyName accepts every name: the names under this root are not known here.
var AnyName = Names{"*"}

// NamesOf returns the keys of m, never nil.
func NamesOf[V any](m map[string]V) Names {
	names := make(Names, 0, len(m))
	return slices.AppendSeq(names, maps.Keys(m))
}

func (n Names) has(name string) bool {
	return len(n) == 1 && n[0] == AnyName[0] || slices.Contains(n, name)
}

// Scope says which roots and names exist at one place of a scenario.
type Scope struct {
	Params  Names
	Env     Names
	Data    map[string]Names // columns by data set; nil: no data here
	Setup   Names
	Vars    Names
	Secrets Names
	User    bool
	// Response says that what a request brought can be read: the roots of Roots or, when it is nil, those of
	// HTTP: status, json, body, headers, size and duration.
	Response bool
	Roots    []Root
}

// names returns the names under root, nil when the root does not exist here.
func (s Scope) names(root Root) Names {
	switch root {
	case Params:
		return s.Params
	case Env:
		return s.Env
	case Setup:
		return s.Setup
	case Vars:
		return s.Vars
	case Secret:
		return s.Secrets
	case Data:
		if s.Data != nil {
			return NamesOf(s.Data)
		}
	case User:
		if s.User {
			return userNames
		}
	}
	return nil
}

// has tells whether root can be read here.
func (s Scope) has(root Root) bool {
	if slices.Contains(responseRoots, root) {
		roots := s.Roots
		if roots == nil {
			roots = httpRoots
		}
		return s.Response && slices.Contains(roots, root)
	}
	return s.names(root) != nil
}

// roots lists what can be read here, for suggestions.
func (s Scope) roots() []string {
	var roots []string
	for _, root := range slices.Concat([]Root{Params, Env, Data, Setup, Vars, Secret, User}, responseRoots) {
		if s.has(root) {
			roots = append(roots, string(root))
		}
	}
	return roots
}

// known tells whether word is a root somewhere, though perhaps not here.
func known(word string) bool {
	return Scope{
		Params: AnyName, Env: AnyName, Data: map[string]Names{}, Setup: AnyName, Vars: AnyName,
		Secrets: AnyName, User: true, Response: true, Roots: responseRoots,
	}.has(Root(word))
}

// unknownRoot is the message for a word that cannot be read here.
func (s Scope) unknownRoot(word string) string {
	if known(word) {
		return fmt.Sprintf("%s cannot be read here%s", word, list("; readable here: ", s.roots()))
	}
	return fmt.Sprintf("unknown name %q%s", word, hint(word, s.roots(), "; known here: "))
}

// unknownName is the message for a name that does not exist under a root.
func unknownName(path, name string, names Names) string {
	return fmt.Sprintf("%s.%s does not exist%s", path, name, hint(name, names, "; known: "))
}

// hint is a "did you mean", or the whole list when nothing is near.
func hint(word string, names []string, before string) string {
	if best := Nearest(word, names); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return list(before, names)
}

func list(before string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	names = slices.Sorted(slices.Values(names))
	if len(names) > 12 {
		names = append(names[:12], "...")
	}
	return before + strings.Join(names, ", ")
}

// Nearest returns the one of names that word most likely meant, or "" when none is near: at most
// one edit for each three letters, and at least one edit allowed.
func Nearest(word string, names []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, name := range slices.Sorted(slices.Values(names)) {
		if d := distance(strings.ToLower(word), strings.ToLower(name)); d < least && d < len(name) {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of neighbours between a and b.
func distance(a, b string) int {
	before, row, next := []int(nil), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, make([]int, len(b)+1)
	}
	return row[len(b)]
}
