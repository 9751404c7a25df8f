package flow

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"proofload/internal/load/programload"
	"proofload/internal/load/transport"
	"proofload/internal/scenario"
)

// TestSecretsAreFoundBeforeACut: wherever the end of a quotation falls, no part of a secret is shown.
func TestSecretsAreFoundBeforeACut(t *testing.T) {
	const value = "Hunter2-ABCDEFGHIJKLMNOPQRSTUVWXYZ-9"
	r := newRedactor(map[string]string{"key": value})
	for at := range 120 {
		said := []byte(strings.Repeat(".", at) + value + strings.Repeat(".", 120-at))
		for name, q := range map[string]*transport.Quote{
			"text": transport.QuoteStart(said, 60), "digits": transport.QuoteDigits(said, 60), "end": tailOf(said, 60),
		} {
			err := r.error(fmt.Errorf("step s: %w", &transport.Error{Kind: KindCheck, Op: "expect", Err: fmt.Errorf("it was %w", q)}))
			for n := 3; n <= len(value); n++ {
				for from := 0; from+n <= len(value); from += n {
					part := value[from : from+n]
					if text := err.Error(); strings.Contains(text, part) || strings.Contains(text, hex.EncodeToString([]byte(part))) {
						t.Fatalf("%s at %d shows %q: %v", name, at, part, err)
					}
				}
			}
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				if strings.Contains(cause.Error(), value[:3]) {
					t.Fatalf("a cause of %s at %d shows it: %v", name, at, cause)
				}
			}
		}
	}
}

func tailOf(said []byte, limit int) *transport.Quote {
	tail := &transport.Tail{Limit: limit}
	_, _ = tail.Write(said)
	return tail.Quote()
}

// TestLongSecretIsFoundInPart: of a key that is longer than what is kept, what is shown is hidden all the same.
func TestLongSecretIsFoundInPart(t *testing.T) {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "%d,", i*7919)
	}
	value := b.String()
	r := newRedactor(map[string]string{"key": value})
	for name, q := range map[string]*transport.Quote{
		"start": transport.QuoteStart([]byte("key "+value), 100), "end": tailOf([]byte(value+"key"), 100),
	} {
		if text := r.error(q).Error(); !strings.Contains(text, redacted) || strings.Contains(text, value[:20]) || strings.Contains(text, value[len(value)-20:]) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestWritingsOfSecrets(t *testing.T) {
	const value = "p<w>&\"ö\\ d/+?"
	r := newRedactor(map[string]string{"key": value, "file": "from-a-file\n"})
	for name, text := range map[string]string{
		"plain": value, "hex": hex.EncodeToString([]byte(value)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(value))),
		"HTML": html.EscapeString(value), "query": "p%3Cw%3E%26%22%C3%B6%5C+d%2F%2B%3F", "small query": "p%3cw%3e%26%22%c3%b6%5c+d%2f%2b%3f",
		"JSON": `p\u003cw\u003e\u0026\"ö\\ d/+?`, "plain JSON": `p<w>&\"ö\\ d/+?`, "trimmed": "from-a-file",
	} {
		if got := r.error(errors.New("a " + text + " z")).Error(); got != "a "+redacted+" z" {
			t.Errorf("%s: %s", name, got)
		}
	}
	// In base64 a secret has other digits depending on what stands before it, and shares the first and last with its
	// neighbours.
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
		for _, user := range []string{"", "a:", "ab:", "ann:", "somebody@shop.example:"} {
			whole := alphabet.EncodeToString([]byte(user + value + "!"))
			got := r.error(fmt.Errorf("Basic %s", whole)).Error()
			if !strings.Contains(got, redacted) || len(got)-len(redacted) > len("Basic ")+len(user)*4/3+5 {
				t.Errorf("user %q: %s of %s", user, got, whole)
			}
		}
	}
	plain := errors.New("nothing of the kind")
	if got := r.error(plain); got != plain { //nolint:errorlint // the very same
		t.Errorf("an error without a secret became %v", got)
	}
}

// TestProgramSaysASecret: a program that prints its environment before it fails shows no part of it.
func TestProgramSaysASecret(t *testing.T) {
	const value = "Hunter2-ABCDEFGHIJKLMNOPQRSTUVWXYZ-9"
	// 400 bytes of what it says are shown, and the secret begins before them.
	step := scenario.Step{Name: "s", ImplyStatus: true, Timeout: 30 * time.Second, Program: &scenario.Program{
		Argv: []string{"/bin/sh", "-c", `printf '%s' "$KEY" >&2; printf '%0380d' 0 >&2; exit 3`}, Env: []scenario.Field{{Name: "KEY", Value: "${secret.key}"}},
	}}
	b := newBench("http://127.0.0.1:9", step)
	b.secrets = map[string]string{"key": value}
	_, _, ok, err := b.run(t, t.Context())
	if ok || err == nil || strings.Contains(err.Error(), value[len(value)-5:]) || !strings.Contains(err.Error(), redacted+"000") {
		t.Errorf("run: %v, %v", ok, err)
	}
	// The same of a line that is no sample.
	step.Program.Samples = true
	step.Program.Argv[2] = `printf '%080d' 0; echo "$KEY"`
	_, _, ok, err = b.run(t, t.Context())
	if ok || err == nil || strings.Contains(err.Error(), value[:5]) || !strings.Contains(err.Error(), "0"+redacted) {
		t.Errorf("samples: %v, %v", ok, err)
	}
	if programload.MaxLine < 4<<10 {
		t.Error("a line is cut before it is searched")
	}
}

// TestAnswerEchoesASecret: what a server sends back is cut for a reader after the secret in it was found.
func TestAnswerEchoesASecret(t *testing.T) {
	const value = "Hunter2-ABCDEFGHIJKLMNOPQRSTUVWXYZ-9"
	s := newShopRaw(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 abc 4567890123456 "+r.Header.Get("X-Key")+"\r\n\r\n")
		_ = c.Close()
	})
	step := get("s", "/")
	step.HTTP.Headers = []scenario.Field{{Name: "X-Key", Value: "${secret.key}"}}
	b := newBench(s.URL, step)
	b.secrets = map[string]string{"key": value}
	_, _, ok, err := b.run(t, t.Context())
	if ok || err == nil || strings.Contains(err.Error(), value[:5]) || !strings.Contains(err.Error(), redacted) {
		t.Errorf("run: %v, %v", ok, err)
	}
}
