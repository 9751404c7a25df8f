package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// lines is a server of lines over TCP and an echo over UDP that loses every fourth datagram.
type lines struct {
	tcp, udp                     string
	connections, asked, received atomic.Int64
}

func startLines(t *testing.T) *lines {
	t.Helper()
	s := &lines{}
	var wg sync.WaitGroup
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.tcp, s.udp = l.Addr().String(), p.LocalAddr().String()
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					s.asked.Add(1)
					_, _ = fmt.Fprintf(c, "+%s\r\n", strings.TrimSpace(line))
				}
			})
		}
	})
	wg.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			if s.received.Add(1)%4 != 0 {
				_, _ = p.WriteTo(buf[:n], from)
			}
		}
	})
	t.Cleanup(func() {
		_, _ = l.Close(), p.Close()
		wg.Wait()
	})
	return s
}

// TestSockets: conversations in bytes are counted as the server counts them, connections are kept where that is
// wanted, and datagrams that are lost are timeouts.
func TestSockets(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("run", func(t *testing.T) {
		s := startLines(t)
		f := startFleet(t, 1)
		script := `
        script:
          - send: "a ${user.id ?? 7}\r\n"
          - expect: {until: "\r\n"}
          - send: "b\r\nc\r\n"
          - expect: {text: "+b\r\n"}
          - expect: {pattern: "^\\+c\\r\\n"}
      expect: ['message == "+c\r\n"', 'hasPrefix(messages[0], "+a ")', len(messages) == 3]`
		d := f.report(t, f.create(t, fmt.Sprintf(`version: 1
name: sockets
seed: 7
targets:
  each: tcp://%[1]s
  kept: {url: 'tcp://%[1]s', connections: {reuse: user}}
  echo: udp://%[2]s
flows:
  each:
    - step: each
      target: each
      tcp:%[3]s
  kept:
    - step: kept
      target: kept
      tcp:%[3]s
    - think: 20ms
  echo:
    - step: echo
      target: echo
      udp: {script: [{send: {hex: 00ff}}, {expect: {hex: 00ff}, timeout: 300ms}]}
  wrong:
    - step: wrong
      target: each
      tcp: {script: [{send: "a\r\n"}, {expect: {text: "+b\r\n"}}]}
phases:
  - {name: each, flow: each, late: 10s, rate: [{hold: {at: 20/s, for: 1s}}]}
  - {name: kept, flow: kept, users: [{hold: {at: 3, for: 1s}}]}
  - {name: echo, flow: echo, late: 10s, rate: [{hold: {at: 40/s, for: 1s}}]}
  - {name: wrong, flow: wrong, late: 10s, rate: [{hold: {at: 5/s, for: 1s}}]}
criteria:
  - check: count(requests) > 0
`, s.tcp, s.udp, script)))
		rows := map[string]int64{}
		for _, row := range d.Series[1:] {
			step := row.Labels["step"]
			rows[step] = row.Requests
			want := map[string]int64{}
			switch step {
			case "echo":
				want["timeout"] = 10
			case "wrong":
				want["check"] = 5
			}
			if fmt.Sprint(row.ByKind) != fmt.Sprint(want) {
				t.Errorf("%s: errors %v, want %v", step, row.ByKind, want)
			}
		}
		if rows["each"] != 20 || rows["echo"] != 40 || rows["wrong"] != 5 || rows["kept"] < 6 {
			t.Errorf("requests %v", rows)
		}
		if got, want := s.connections.Load(), int64(20+5+3); got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
		if got, want := s.asked.Load(), 3*(rows["each"]+rows["kept"])+rows["wrong"]; got != want {
			t.Errorf("the server counted %d lines, want %d", got, want)
		}
		if got := s.received.Load(); got != 40 {
			t.Errorf("%d datagrams", got)
		}
	})
}
