package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Encode returns the plan as canonical JSON: equal plans have equal bytes.
func (p *Plan) Encode() ([]byte, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode plan %s: %w", p.Name, err)
	}
	return data, nil
}

// DecodePlan reads what Encode wrote. A plan of another format, or with parts that this version does
// not know, is refused: half of a plan would be another plan.
func DecodePlan(data []byte) (*Plan, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("decode plan: %w", err)
	}
	if head.Format != PlanFormat {
		return nil, fmt.Errorf("decode plan: it is of format %d, this version reads %d: use the same version everywhere", head.Format, PlanFormat)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	p := &Plan{}
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("decode plan: %w", err)
	}
	return p, nil
}

// FileRef names a file of a scenario: as the scenario does, and in the blob store, by its SHA-256 in hex.
type FileRef struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// Files returns the files that the plan needs beside itself, each content once.
func (p *Plan) Files() []FileRef {
	var out []FileRef
	seen := map[string]bool{}
	add := func(f FileRef) {
		if !seen[f.Digest] {
			seen[f.Digest], out = true, append(out, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Data)) {
		if d := p.Data[name]; d.File() != "" {
			add(FileRef{d.File(), d.Digest})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Targets)) {
		for _, f := range p.Targets[name].TLS.files() {
			add(f)
		}
	}
	for s := range p.Steps() {
		for _, f := range s.files() {
			add(f)
		}
	}
	return out
}

// Steps yields every step of the plan: of the flows in the order of their names, of setup and of teardown.
func (p *Plan) Steps() iter.Seq[*Step] {
	return func(yield func(*Step) bool) {
		lists := [][]Step{p.Setup, p.Teardown}
		for _, name := range slices.Sorted(maps.Keys(p.Flows)) {
			lists = append(lists, p.Flows[name].Steps)
		}
		for _, steps := range lists {
			for i := range steps {
				if !yield(&steps[i]) {
					return
				}
			}
		}
	}
}
