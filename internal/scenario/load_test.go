package scenario

import (
	"os"
	"strings"
	"testing"
)

func TestQuickstartLoads(t *testing.T) {
	plan, err := Load(os.DirFS("../../examples"), "quickstart.yaml", Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodePlan(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(data) {
		t.Error("plan changed on the way")
	}
	var b strings.Builder
	if err := plan.Render(&b, RenderOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Log(b.String())
}
