package flow

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"proofload/internal/scenario/expression"
)

// redacted stands in place of a secret's value.
const redacted = "[secret]"

// redactor takes the values of secrets out of errors, also as they stand in a URL, in JSON or quoted. It is
// immutable and may be used concurrently.
type redactor struct{ values []string }

func newRedactor(secrets map[string]string) *redactor {
	r := &redactor{}
	add := func(v string) {
		if v != "" && !slices.Contains(r.values, v) {
			r.values = append(r.values, v)
		}
	}
	for _, v := range secrets {
		add(v)
		add(url.QueryEscape(v))
		add(url.PathEscape(v))
		add(string(appendTarget(nil, []byte(v))))
		add(strings.Trim(strconv.Quote(v), `"`))
		add(strings.Trim(strconv.QuoteToASCII(v), `"`))
		if b, err := expression.AppendJSON(nil, v); err == nil {
			add(strings.Trim(string(b), `"`))
		}
	}
	// A longer one first: one secret may be part of another.
	slices.SortFunc(r.values, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	return r
}

// error returns err, or one without its causes when its text has the value of a secret.
func (r *redactor) error(err error) error {
	text := err.Error()
	clean := text
	for _, v := range r.values {
		clean = strings.ReplaceAll(clean, v, redacted)
	}
	if clean == text {
		return err
	}
	return errors.New(clean)
}
