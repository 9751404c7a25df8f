package flow

import (
	"errors"
	"net/http/cookiejar"

	"proofload/internal/load/grpcload"
	"proofload/internal/load/httpload"
	"proofload/internal/load/sockload"
	"proofload/internal/scenario"
)

// Session is what a user keeps from one iteration to the next, and no other user has: connections, where a
// target's are not shared, and cookies. It belongs to one iteration at a time; the empty one is ready for use.
type Session struct {
	https   map[HTTPClient]httpload.Session
	calls   map[*grpcload.Client]*grpcload.Session
	sockets map[*sockload.Client]*sockload.Conn
	jar     *cookiejar.Jar
}

// http returns the connections to a target.
func (s *Session) http(c HTTPClient) httpload.Session {
	own := s.https[c]
	if own == nil {
		own = c.NewSession()
		if s.https == nil {
			s.https = map[HTTPClient]httpload.Session{}
		}
		s.https[c] = own
	}
	return own
}

// grpc returns the connections to a target.
func (s *Session) grpc(c *grpcload.Client) *grpcload.Session {
	if own := s.calls[c]; own != nil {
		return own
	}
	own := c.NewSession()
	if s.calls == nil {
		s.calls = map[*grpcload.Client]*grpcload.Session{}
	}
	s.calls[c] = own
	return own
}

// Close closes the connections and forgets the cookies. The session is as good as new afterwards.
func (s *Session) Close() error {
	var errs []error
	for _, own := range s.https {
		errs = append(errs, own.Close())
	}
	clear(s.https)
	for _, own := range s.calls {
		errs = append(errs, own.Close())
	}
	clear(s.calls)
	for _, conn := range s.sockets {
		conn.Close()
	}
	clear(s.sockets)
	s.jar = nil
	return errors.Join(errs...)
}

// session returns what belongs to the iteration's user, or to the iteration itself.
func (it *Iteration) session() *Session {
	if it.Session != nil {
		return it.Session
	}
	return &it.own
}

func ownConnections(t scenario.Target) bool {
	return t.Connections != nil && t.Connections.Reuse == scenario.ReuseUser
}

// Sessions reports whether any target needs a user to keep something.
func (p *Program) Sessions() bool { return p.sessions }

func usesSessions(plan *scenario.Plan) bool {
	for _, t := range plan.Targets {
		if ownConnections(t) || t.Cookies {
			return true
		}
	}
	return false
}

// end closes what an iteration had for itself.
func (s *Session) end() { _ = s.Close() } // idle connections: there is nobody to tell
