package flow

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/sigv4"
	"proofload/internal/scenario"
)

// authorizer says with each request who sends it. It keeps no value of a secret.
type authorizer struct {
	user, password text // of basic
	bearer         text
	aws            *awsAuth
	kind           authKind
}

type authKind uint8

const (
	authBasic authKind = iota
	authBearer
	authAWS
)

type awsAuth struct {
	scope                              sigv4.Scope
	accessKey, secretKey, sessionToken text
}

// auth compiles how requests to a target are authorized.
func (c *compiler) auth(in *scenario.Auth) (*authorizer, error) {
	a := &authorizer{}
	var err error
	take := func(src string) text {
		t, textErr := c.text(src)
		err = errors.Join(err, textErr)
		return t
	}
	switch {
	case in.Basic != nil:
		a.kind, a.user, a.password = authBasic, take(in.Basic.User), take(in.Basic.Password)
	case in.AWS != nil:
		a.kind = authAWS
		a.aws = &awsAuth{
			scope:     sigv4.Scope{Region: in.AWS.Region, Service: in.AWS.Service},
			accessKey: take(in.AWS.AccessKey), secretKey: take(in.AWS.SecretKey), sessionToken: take(in.AWS.SessionToken),
		}
	default:
		a.kind, a.bearer = authBearer, take(in.Bearer)
	}
	return a, err
}

// add adds the headers that authorize the request, which must be whole otherwise.
func (a *authorizer) add(it *Iteration, w *way) error {
	switch a.kind {
	case authBasic:
		return a.addBasic(it)
	case authAWS:
		return a.aws.add(it, w)
	}
	token, err := a.bearer.string(it)
	if err == nil {
		it.addHeader("Authorization", "Bearer "+token)
	}
	return err
}

func (a *authorizer) addBasic(it *Iteration) error {
	user, err := a.user.string(it)
	if err != nil {
		return err
	}
	if strings.Contains(user, ":") {
		return errors.New("a user of basic has no colon: what follows it would be the password")
	}
	password, err := a.password.string(it)
	if err == nil {
		it.addHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	return err
}

func (a *awsAuth) add(it *Iteration, w *way) error {
	var c sigv4.Credentials
	for _, part := range []struct {
		from *text
		to   *string
	}{{&a.accessKey, &c.AccessKey}, {&a.secretKey, &c.SecretKey}, {&a.sessionToken, &c.SessionToken}} {
		var err error
		if *part.to, err = part.from.string(it); err != nil {
			return err
		}
	}
	r := sigv4.Request{Method: it.req.Method, Host: w.endpoint.Authority, Body: it.req.Body}
	r.Path, r.Query, _ = strings.Cut(w.endpoint.Path(&it.req), "?")
	for _, h := range it.req.Headers {
		if strings.EqualFold(h.Name, "Host") {
			r.Host = h.Value
		}
		r.Headers = append(r.Headers, sigv4.Header(h))
	}
	for _, h := range sigv4.Sign(r, c, a.scope, time.Now()) {
		it.req.Headers = append(it.req.Headers, httpload.Header(h))
	}
	return nil
}
