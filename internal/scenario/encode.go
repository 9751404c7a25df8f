package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// Files returns the files that the plan needs beside itself; one that is named twice may come twice.
func (p *Plan) Files() []FileRef {
	var out []FileRef
	for _, name := range slices.Sorted(maps.Keys(p.Targets)) {
		if t := p.Targets[name].TLS; t != nil {
			for _, f := range []*FileRef{t.CA, t.Cert, t.Key} {
				if f != nil {
					out = append(out, *f)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Data)) {
		if d := p.Data[name]; d.CSV != "" {
			out = append(out, FileRef{d.CSV, d.Digest})
		}
	}
	return out
}
