package main

import (
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	const pass = `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n"
	tests := []struct {
		name, in string
		ok       bool
		want     []string
		absent   string
	}{
		{name: "nothing ran", ok: false, want: []string{"no test ran"}},
		{
			name: "passed", ok: true, absent: "noise",
			in:   `{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}` + "\n" + pass + `{"Action":"pass","Package":"p","Elapsed":0.5}`,
			want: []string{"ok  \tp\t0.500s\t1 tests", "ok: 1 tests, 0 skipped"},
		},
		{
			name: "skipped with its reason", ok: true,
			in: `{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: needs a browser: chromium is not installed\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"skip","Package":"p"}`,
			want: []string{"SKIPPED", "  p TestB: needs a browser: chromium is not installed\n"},
		},
		{
			name: "script skipped with its reason", ok: true,
			in: `{"Action":"output","Package":"p","Test":"TestS/s","Output":"    testscript.go:609: WORK=$WORK\n"}
{"Action":"output","Package":"p","Test":"TestS/s","Output":"        > [root] skip 'runs as root'\n"}
{"Action":"output","Package":"p","Test":"TestS/s","Output":"        \n"}
{"Action":"skip","Package":"p","Test":"TestS/s"}
{"Action":"skip","Package":"p"}`,
			want: []string{"  p TestS/s: runs as root\n"}, absent: "WORK",
		},
		{
			name: "failed", ok: false,
			in: pass + `{"Action":"output","Package":"p","Test":"TestC","Output":"c_test.go:1: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p"}`,
			want: []string{"got 1, want 2", "FAIL\tp", "FAIL: 2 tests"},
		},
		{
			name: "panicked without a result", ok: false,
			in: pass + `{"Action":"output","Package":"p","Test":"TestD","Output":"panic: boom\n"}
{"Action":"fail","Package":"p"}`,
			want: []string{"panic: boom"},
		},
		{
			name: "does not compile", ok: false,
			in: pass + `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: undefined: x\n"}
{"Action":"build-fail","ImportPath":"q"}`,
			want: []string{"undefined: x"},
		},
		{name: "what go says is passed on", in: "go: downloading x\n" + pass, ok: true, want: []string{"go: downloading x\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			s := newSummary(&b)
			if err := s.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if got := s.finish(); got != tt.ok {
				t.Errorf("finish() = %v, want %v", got, tt.ok)
			}
			for _, want := range tt.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("output lacks %q:\n%s", want, b.String())
				}
			}
			if tt.absent != "" && strings.Contains(b.String(), tt.absent) {
				t.Errorf("output has %q:\n%s", tt.absent, b.String())
			}
		})
	}
}
