package lease

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
)

// Silent is a member of the etcd cluster that does not answer.
type Silent struct {
	Name     string // empty: it has not been heard of before
	Endpoint string // as it was given
	Why      string
}

// members is what is known of the names behind the endpoints.
type members struct {
	mu    sync.Mutex
	names map[string]string // by endpoint
}

// Silent asks every endpoint that the client was given for itself, and returns those that do not answer within a
// time, in the order in which they were given. An embedded etcd, which has none, always answers.
func (s *Store) Silent(ctx context.Context, within time.Duration) []Silent {
	endpoints := s.client.Endpoints()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	found := make([]*Silent, len(endpoints))
	var asking sync.WaitGroup
	for i, endpoint := range endpoints {
		asking.Go(func() {
			answer, err := s.client.Status(ctx, endpoint)
			if err == nil {
				s.learn(ctx, endpoint, answer.Header.GetMemberId())
				return
			}
			found[i] = &Silent{Endpoint: endpoint, Why: why(err, within)}
		})
	}
	asking.Wait()
	var out []Silent
	for _, one := range found {
		if one != nil {
			one.Name = s.nameOf(one.Endpoint) // whoever answers may have told it only now
			out = append(out, *one)
		}
	}
	return out
}

// why says in a few words why a member does not answer.
func why(err error, within time.Duration) string {
	if isDone(err) {
		return "no answer within " + within.String()
	}
	text := status.Convert(err).Message()
	if i := strings.LastIndex(text, "desc = "); i >= 0 {
		text = strings.Trim(text[i+len("desc = "):], `"`)
	}
	return text
}

// learn notes which member is behind an endpoint that answers, and how the others are called, by the list that any
// member has.
func (s *Store) learn(ctx context.Context, endpoint string, id uint64) {
	if s.nameOf(endpoint) != "" {
		return
	}
	list, err := s.listOf(ctx, endpoint)
	if err != nil {
		return // its name is no reason to say anything
	}
	s.members.mu.Lock()
	defer s.members.mu.Unlock()
	for _, m := range list.Members {
		if m.GetID() == id {
			s.members.names[endpoint] = m.GetName()
		}
		for _, url := range m.GetClientURLs() { // one that is silent from the beginning has a name all the same
			at := func(known string) bool { return host(known) == host(url) }
			if i := slices.IndexFunc(s.client.Endpoints(), at); i >= 0 && s.members.names[s.client.Endpoints()[i]] == "" {
				s.members.names[s.client.Endpoints()[i]] = m.GetName()
			}
		}
	}
}

// listOf asks one member for the list that it has. The client itself would ask any of them by turns, the silent too.
func (s *Store) listOf(ctx context.Context, endpoint string) (list *etcdserverpb.MemberListResponse, err error) {
	conn, err := s.client.Dial(endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return etcdserverpb.NewClusterClient(conn).MemberList(ctx, &etcdserverpb.MemberListRequest{})
}

// host is an endpoint without its scheme.
func host(endpoint string) string {
	if _, rest, ok := strings.Cut(endpoint, "://"); ok {
		return strings.TrimSuffix(rest, "/")
	}
	return endpoint
}

func (s *Store) nameOf(endpoint string) string {
	s.members.mu.Lock()
	defer s.members.mu.Unlock()
	return s.members.names[endpoint]
}
