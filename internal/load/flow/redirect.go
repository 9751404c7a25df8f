package flow

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// follower is an operation whose answer can lead to another request of the same step.
type follower interface {
	// follow prepares the request that the answer leads to, after so many others of the attempt that began at an
	// instant. It is false when there is none: the answer is the result.
	follow(it *Iteration, hops int, began time.Time) (again bool, err error)
}

const opRedirect = "follow redirect"

// isRedirect tells the answers that lead elsewhere; of those with a choice, such as 300, none is taken.
func isRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

func redirectError(format string, args ...any) error {
	return &transport.Error{Kind: transport.KindRedirect, Op: opRedirect, Err: fmt.Errorf(format, args...)}
}

// follow implements follower. Redirects lead to the targets of the scenario and nowhere else, so that no load
// goes where nobody has allowed it. Errors name hosts and nothing else of an address: it may hold a secret.
func (r *request) follow(it *Iteration, hops int, began time.Time) (bool, error) {
	location, ok := it.resp.Header("Location")
	if r.redirects == 0 || !isRedirect(it.resp.Status) || !ok {
		return false, nil
	}
	if hops >= r.redirects {
		return false, redirectError("more than %d of them", r.redirects)
	}
	left := r.timeout - time.Since(began)
	if left <= 0 {
		return false, &transport.Error{Kind: transport.KindTimeout, Op: opRedirect, Err: errors.New("no time of the step is left")}
	}
	from, err := it.way.url(it.way.endpoint.Path(&it.req))
	if err != nil {
		return false, redirectError("%w", err)
	}
	to, err := from.Parse(string(location))
	if err != nil {
		return false, redirectError("the Location is not a URL")
	}
	next := r.leadsTo(it.way, to)
	if next == nil {
		return false, redirectError("it leads to %s://%s, which is no target of the scenario", to.Scheme, to.Host)
	}
	r.redirect(it, next, to)
	it.req.Timeout = left
	if err := next.dress(it); err != nil { // the next request is not made without what its target asks for
		return false, &transport.Error{Kind: transport.KindRequest, Op: opRedirect, Err: err}
	}
	return true, nil
}

// leadsTo returns the way to an address: the present one if it can be, else that of another target.
func (r *request) leadsTo(present *way, to *url.URL) *way {
	is := func(w *way) bool {
		u, err := w.url("/")
		return err == nil && u.Scheme == to.Scheme && origin(u) == origin(to)
	}
	if is(present) {
		return present
	}
	if i := slices.IndexFunc(r.ways, is); i >= 0 {
		return r.ways[i]
	}
	return nil
}

// origin is a host with its port, written in one way.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// redirect makes the request of the iteration that for another address, as RFC 9110, 15.4 has it and browsers
// do: a POST becomes a GET unless the answer was 307 or 308, and so does everything but HEAD after 303.
func (r *request) redirect(it *Iteration, next *way, to *url.URL) {
	status, method := it.resp.Status, it.req.Method
	var dropped []string
	if status == 303 && method != "HEAD" || status < 303 && method == "POST" {
		it.req.Method, it.req.Body = "GET", nil
		dropped = append(dropped, "Content-Type", "Content-Encoding", "Content-Length")
	}
	if next != it.way { // what was said to one host is not told another
		dropped = append(dropped, "Host", "Cookie", "Authorization")
	}
	it.req.Headers = slices.DeleteFunc(it.req.Headers[:it.given], func(h httpload.Header) bool {
		return slices.ContainsFunc(dropped, func(name string) bool { return strings.EqualFold(name, h.Name) })
	})
	it.given = len(it.req.Headers)
	to.Fragment, to.RawFragment = "", ""
	it.req.Path, it.req.Absolute, it.req.Session = to.RequestURI(), true, nil
	it.way = next
}
