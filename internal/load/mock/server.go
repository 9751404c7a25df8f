package mock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
)

// closing is how long answers that are being written may go on after Close.
const closing = time.Second

// Server is one stub service. It serves from New to Close.
type Server struct {
	listener net.Listener
	http     *http.Server
	group    errgroup.Group
	stop     context.CancelFunc // ends the waiting of answers that take their time
	routes   []route
	ending   atomic.Bool
	slots    chan struct{} // has an element for each request that is being answered; nil: any number may be
	draw     schedule.Draw
	count    atomic.Int64
}

// route is a route with its answer made ready.
type route struct {
	scenario.Route
	prefix bool
	body   []byte
	header http.Header
}

// Options describe a Server.
type Options struct {
	Name   string // of the mock in the scenario
	Seed   uint64
	Logger hclog.Logger // hears of broken connections, at debug level; nil for nobody
}

// New starts serving a mock on a free port of the loopback. ctx bounds the opening of that port and
// not the service.
func New(ctx context.Context, m scenario.Mock, opts Options) (*Server, error) {
	s := &Server{draw: schedule.NewDraw(opts.Seed, "mock/"+opts.Name)}
	for _, r := range m.Routes {
		ready, err := prepare(r)
		if err != nil {
			return nil, fmt.Errorf("mock %s: %w", opts.Name, err)
		}
		s.routes = append(s.routes, ready)
	}
	if m.Parallel > 0 {
		s.slots = make(chan struct{}, m.Parallel)
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("mock %s: %w", opts.Name, err)
	}
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.listener, s.stop = listener, stop
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 30 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          errorLog(opts),
	}
	s.group.Go(func() error {
		if err := s.http.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return s, nil
}

func errorLog(opts Options) *log.Logger {
	if opts.Logger == nil {
		return log.New(io.Discard, "", 0)
	}
	return opts.Logger.Named("mock").With("mock", opts.Name).StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})
}

// prepare makes what does not differ between the answers of a route.
func prepare(r scenario.Route) (route, error) {
	if !validStatus(r.Status) || r.Fail != nil && !validStatus(r.Fail.Status) {
		return route{}, fmt.Errorf("answer of %s %s: status must be between 200 and 999", r.Method, r.Path)
	}
	out := route{Route: r, body: []byte(r.Body), header: http.Header{}}
	if r.HasJSON {
		data, err := json.Marshal(r.JSON)
		if err != nil {
			return out, fmt.Errorf("answer of %s %s: %w", r.Method, r.Path, err)
		}
		out.body = data
		out.header.Set("Content-Type", "application/json")
	}
	own := http.Header{}
	for _, f := range r.Headers {
		own.Add(f.Name, f.Value)
	}
	maps.Copy(out.header, own)
	if hasBody(r.Status) {
		out.header.Set("Content-Length", strconv.Itoa(len(out.body)))
	} else {
		out.body = nil
		out.header.Del("Content-Length")
	}
	out.Path, out.prefix = strings.CutSuffix(r.Path, "*")
	return out, nil
}

// validStatus leaves out informational answers: a client would wait for the final one.
func validStatus(code int) bool { return code >= 200 && code <= 999 }

func hasBody(code int) bool { return code != http.StatusNoContent && code != http.StatusNotModified }

// URL is where the mock is served.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Count returns how many requests have arrived.
func (s *Server) Count() int64 { return s.count.Load() }

// ServeHTTP answers by the first route that matches. The request's body is read whole first, as the
// real service would.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := uint64(s.count.Add(1))
	if r.ContentLength != 0 {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
	}
	for i := range s.routes {
		if s.routes[i].matches(r) {
			s.answer(w, r, &s.routes[i], n)
			return
		}
	}
	http.Error(w, "no route of the mock matches "+r.Method+" "+r.URL.Path, http.StatusNotFound)
}

func (m *route) matches(r *http.Request) bool {
	if m.Method != "" && m.Method != r.Method {
		return false
	}
	return m.Path == "" || r.URL.Path == m.Path || m.prefix && strings.HasPrefix(r.URL.Path, m.Path)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, m *route, n uint64) {
	if s.slots != nil {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
			if s.ending.Load() { // those before it were only let go
				panic(http.ErrAbortHandler)
			}
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if m.Latency != nil {
		timer := time.NewTimer(s.draw.Child(n).Duration(*m.Latency))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler) // returning would make an empty answer with status 200
		}
	}
	if m.Fail != nil && s.draw.Child(n).Named("fail").Float64(0) < m.Fail.Ratio {
		http.Error(w, "failed on purpose", m.Fail.Status)
		return
	}
	maps.Copy(w.Header(), m.header)
	w.WriteHeader(m.Status)
	if r.Method != http.MethodHead && len(m.body) > 0 {
		_, _ = w.Write(m.body) // fails only if the client has gone
	}
}

// Close ends the service and waits for it. Answers that are still waiting for their latency are
// dropped with their connection; those being written are finished.
func (s *Server) Close() error {
	s.ending.Store(true)
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil { // a client holds a connection on which it sends nothing
		err = s.http.Close()
	}
	return errors.Join(err, s.group.Wait())
}
