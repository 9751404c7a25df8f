package flow

import (
	"net/http"
	"net/http/cookiejar"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// cookies returns the jar of a user, or of an iteration that belongs to none.
func (s *Session) cookies() *cookiejar.Jar {
	if s.jar == nil {
		s.jar, _ = cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List}) // never fails
	}
	return s.jar
}

// addCookies adds the cookies of the user that belong to the request.
func (it *Iteration) addCookies(w *way) error {
	u, err := w.url(w.endpoint.Path(&it.req))
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, c := range it.session().cookies().Cookies(u) {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString((&http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted}).String())
	}
	if b.Len() > 0 {
		it.addHeader("Cookie", b.String())
	}
	return nil
}

// keepCookies keeps what the answer sets. What is no cookie is passed over, as browsers do.
func (it *Iteration) keepCookies(w *way) {
	var set []*http.Cookie
	for name, value := range it.resp.Headers() {
		if strings.EqualFold(string(name), "Set-Cookie") {
			if c, err := http.ParseSetCookie(string(value)); err == nil {
				set = append(set, c)
			}
		}
	}
	if len(set) == 0 {
		return
	}
	if u, err := w.url(w.endpoint.Path(&it.req)); err == nil {
		it.session().cookies().SetCookies(u, set)
	}
}
