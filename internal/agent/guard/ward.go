package guard

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Ward is what a guard knows of the process that it watches over. It is sent whole, as one line of JSON,
// whenever it changes. It holds no secret: of TLS it has the paths.
type Ward struct {
	PID  int      `json:"pid"`
	Name string   `json:"name"`
	Join []string `json:"join"` // addresses of coordinators
	TLS  TLS      `json:"tls"`
	Life Life     `json:"life"`
	// Dismissed ends the guard: the worker ends in order.
	Dismissed bool `json:"dismissed,omitempty"`
}

// TLS says how a coordinator is trusted, and what the worker shows of itself.
type TLS struct {
	Enabled  bool   `json:"enabled,omitempty"`
	CAFile   string `json:"ca_file,omitempty"`
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
}

// Life is the life of the worker as its last welcome gave it; the zero value: it was never welcomed.
type Life struct {
	Instance    string `json:"instance"`
	Nonce       string `json:"nonce"`
	Incarnation int64  `json:"incarnation"`
	Cluster     uint64 `json:"cluster"`
	Leader      string `json:"leader"` // address of the leader that welcomed it
}

// ErrNoWard says that what stands at the other end of the pipe is no worker.
var ErrNoWard = errors.New("a guard is started by its worker: `worker --join ADDR` does so")

// follow reads what the worker tells until the pipe ends, and returns the last of it. A line that the
// worker did not finish counts for nothing.
func follow(pipe io.Reader) (Ward, error) {
	var last Ward
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if last.PID == 0 {
				return last, ErrNoWard
			}
			return last, nil
		}
		if err != nil {
			return last, fmt.Errorf("read from the worker: %w", err)
		}
		var next Ward
		if err := json.Unmarshal(line, &next); err != nil {
			return last, fmt.Errorf("%w: %w", ErrNoWard, err)
		}
		if last = next; last.Dismissed {
			return last, nil
		}
	}
}
