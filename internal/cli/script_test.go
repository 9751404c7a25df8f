package cli

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds what a script waits for. It is for tests that hang; none of them measures time.
const patience = time.Minute

// token is the secret of the scripts; the target lets in who shows it.
const token = "zq7-the-secret-k42"

// TestScripts runs the commands as programs, one script for each thing that they promise.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes; not with -short")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition:           condition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"port":     port,
			"until":    until,
			"await":    await,
			"received": received,
			"tmpfs":    tmpfs,
			"fill":     fillDisk,
			"secret":   noSecret,
			"guards":   guards,
			"shells":   shells,
			"account":  account,
			"readme":   readme,
		},
	})
}

// target is an HTTP server that a script's load may go to. It counts requests; below /private it
// wants the token.
type target struct {
	received atomic.Int64
}

// ServeHTTP implements http.Handler.
func (s *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.received.Add(1)
	if r.URL.Path == "/private" && r.Header.Get("Authorization") != "Bearer "+token {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

type targetKey struct{}

// setup gives every script a target of its own, which has an address of each family.
func setup(env *testscript.Env) error {
	s := &target{}
	server := httptest.NewServer(s)
	env.Defer(server.Close)
	env.Values[targetKey{}] = s
	env.Setenv("TARGET", server.URL)
	env.Setenv("TOKEN", token)
	env.Setenv("UNIQUE", strings.ToLower(rand.Text())) // on this machine, for what is seen outside of the script
	env.Setenv("LATIN1", "zone=\xfc")                  // what a script file, which is UTF-8, cannot hold
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		six := httptest.NewUnstartedServer(s)
		_ = six.Listener.Close() // its own, which is not needed
		six.Listener = l
		six.Start()
		env.Defer(six.Close)
		env.Setenv("TARGET6", six.URL)
	}
	return nil
}

func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "tmpfs":
		return canMount(), nil
	case "ipv6":
		l, err := net.Listen("tcp", "[::1]:0")
		if err == nil {
			err = l.Close()
		}
		return err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// port is `port NAME [HOST]`: it puts a free address of this machine into the variable.
func port(ts *testscript.TestScript, _ bool, args []string) {
	host := "127.0.0.1"
	if len(args) > 1 {
		host = args[1]
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// until is `until PATTERN COMMAND...`: it repeats a command until it succeeds and prints a match.
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Since(began) > patience {
			ts.Fatalf("%v printed no %q within %s", args[1:], args[0], patience)
		}
	}
}

// await is `await N`: it waits until the target has received so many requests.
func await(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	s := ts.Value(targetKey{}).(*target)
	for began := time.Now(); s.received.Load() < n; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			ts.Fatalf("the target received %d requests within %s, not %d", s.received.Load(), patience, n)
		}
	}
}

// received is `received N`: the target has received so many requests, and not one more.
func received(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	if got := ts.Value(targetKey{}).(*target).received.Load(); got != n {
		ts.Fatalf("the target received %d requests, not %d", got, n)
	}
}

// tmpfs is `tmpfs DIR SIZE`: it mounts a small disk.
func tmpfs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(mount(dir, args[1]))
	ts.Defer(func() {
		if err := unmount(dir); err != nil {
			ts.Logf("unmount %s: %v", dir, err)
		}
	})
}

// readme is `readme SECTION FILE`: it writes the commands of a section of the README into a file, beside
// which it puts the examples. They ask the coordinator at $AT.
func readme(ts *testscript.TestScript, _ bool, args []string) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	ts.Check(err)
	_, section, found := strings.Cut(string(text), "\n## "+args[0]+"\n")
	if !found {
		ts.Fatalf("the README has no section %q", args[0])
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var commands strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		commands.WriteString(strings.ReplaceAll(block[1], "127.0.0.1:7470", "$AT"))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(commands.String()), 0o600))
	ts.Check(os.CopyFS(ts.MkAbs("examples"), os.DirFS(filepath.Join(root, "examples"))))
}

// fillDisk is `fill FILE`: it takes all the room that is left on the file's disk.
func fillDisk(ts *testscript.TestScript, _ bool, args []string) {
	file, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	for block := make([]byte, 4096); err == nil; {
		_, err = file.Write(block)
	}
	ts.Check(file.Close())
}

// noSecret is `! secret PATH...`: no file at or below the paths holds the token.
func noSecret(ts *testscript.TestScript, neg bool, args []string) {
	if !neg {
		ts.Fatalf("usage: ! secret PATH...")
	}
	files := 0
	for _, root := range args {
		ts.Check(filepath.Walk(ts.MkAbs(root), func(path string, info os.FileInfo, err error) error {
			if err != nil || !info.Mode().IsRegular() {
				return err
			}
			files++
			data, err := os.ReadFile(path)
			if err == nil && regexp.MustCompile(regexp.QuoteMeta(token)).Match(data) {
				err = fmt.Errorf("%s holds the secret", path)
			}
			return err
		}))
	}
	if files == 0 {
		ts.Fatalf("there is no file in %v to look into", args)
	}
}
