package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"proofload/test/e2e/cluster/counter"
)

// compose is the cluster of docker-compose.yml, in containers.
type compose struct {
	project string
	command []string // Compose, as the engine's plugin or as the program that it was before
	ports   map[string]string
	apart   map[string][]string // networks that a service was cut off from
}

// newCompose returns a project of its own, so that neither containers nor ports are those of somebody who has
// brought the cluster up beside.
func newCompose(t *testing.T) *compose {
	t.Helper()
	d := &compose{project: fmt.Sprintf("proofload-test-%d", os.Getpid()), command: composeCommand(), ports: map[string]string{}, apart: map[string][]string{}}
	names := []string{
		"E1_PORT", "E2_PORT", "E3_PORT", "C1_PORT", "C2_PORT", "C3_PORT", "TARGET_PORT",
		"C1_HTTP_PORT", "C2_HTTP_PORT", "C3_HTTP_PORT", "W1_HTTP_PORT", "W2_HTTP_PORT", "W3_HTTP_PORT", "W4_HTTP_PORT",
	}
	for i, address := range freeAddresses(t, len(names)) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		d.ports[names[i]] = port
	}
	t.Cleanup(func() {
		if _, err := d.call("down", "--volumes", "--timeout", "1"); err != nil {
			t.Errorf("containers may be left of the project %s: %v", d.project, err)
		}
	})
	return d
}

// composeCommand returns how Compose is called here; empty: not at all.
func composeCommand() []string {
	for _, command := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		if exec.Command(command[0], append(command[1:], "version")...).Run() == nil {
			return command
		}
	}
	return nil
}

// address returns where a published port is on this machine.
func (d *compose) address(port string) string { return "127.0.0.1:" + d.ports[port] }

// call runs a command of Compose.
func (d *compose) call(args ...string) (string, error) {
	cmd := exec.Command(d.command[0], append(append(d.command[1:len(d.command):len(d.command)], "--project-name", d.project), args...)...)
	cmd.Dir = filepath.Join("..", "..", "..")
	cmd.Env = append(os.Environ(), "PROOFLOAD_TAG="+*images)
	for name, port := range d.ports {
		cmd.Env = append(cmd.Env, name+"="+port)
	}
	return output(cmd)
}

// engine runs a command of the engine, on a container's name or on something else.
func (d *compose) engine(t *testing.T, args ...string) string {
	t.Helper()
	out, err := output(exec.Command("docker", args...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func output(cmd *exec.Cmd) (string, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// container returns the identity of a service's container.
func (d *compose) container(t *testing.T, service string) string {
	t.Helper()
	return d.engine(t, "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+d.project, "--filter", "label=com.docker.compose.service="+service)
}

// do is an action of the engine on a service: kill, start, stop, pause or unpause.
func (d *compose) do(t *testing.T, action, service string) {
	t.Helper()
	d.engine(t, action, d.container(t, service))
}

// networks returns the networks of a service, as the file names them.
func (d *compose) networks(t *testing.T, service string) (out []string) {
	t.Helper()
	all := d.engine(t, "inspect", "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", d.container(t, service))
	for name := range strings.FieldsSeq(all) {
		out = append(out, strings.TrimPrefix(name, d.project+"_"))
	}
	return out
}

// cut takes a container out of networks: what it sends there is lost, and so is what is sent to it.
func (d *compose) cut(t *testing.T, service string, networks ...string) {
	t.Helper()
	for _, network := range networks {
		d.engine(t, "network", "disconnect", d.project+"_"+network, d.container(t, service))
		d.apart[service] = append(d.apart[service], network)
	}
}

// mend puts a container back into the networks that it was cut off from. It may get other addresses there, and
// is found by its name.
func (d *compose) mend(t *testing.T, service string) {
	t.Helper()
	for _, network := range d.apart[service] {
		d.engine(t, "network", "connect", "--alias", service, d.project+"_"+network, d.container(t, service))
	}
	delete(d.apart, service)
}

// outboxOf copies the outbox of a worker out of its container, and returns where it is then.
func (d *compose) outboxOf(t *testing.T, worker string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "outbox")
	d.engine(t, "cp", d.container(t, worker)+":/data/outbox", dir)
	return dir
}

// logs shows the end of what every container wrote.
func (d *compose) logs(t *testing.T) {
	t.Helper()
	if out, err := d.call("logs", "--no-color", "--tail", "80"); err != nil {
		t.Log(err)
	} else {
		t.Log(out)
	}
}

// witness returns a target whose arrivals the container of that name counts.
func (d *compose) witness(t *testing.T) *target {
	t.Helper()
	name := fmt.Sprintf("run-%d", time.Now().UnixNano())
	from := "http://" + d.address("TARGET_PORT") + "/-/" + name
	first := make(chan struct{})
	go func() {
		defer close(first)
		for t.Context().Err() == nil {
			if seen, err := look(t.Context(), from); err == nil && len(seen.Came) > 0 {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return &target{URL: "http://target:8080", under: "/" + name, first: first, clock: startMetronome(t), look: func(fn func(counter.Seen)) {
		seen, err := look(t.Context(), from)
		if err != nil {
			t.Error(err)
		}
		fn(seen)
	}}
}

// look asks the target what came.
func look(ctx context.Context, url string) (seen counter.Seen, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return seen, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return seen, err
	}
	err = json.NewDecoder(resp.Body).Decode(&seen)
	return seen, errors.Join(err, resp.Body.Close())
}
