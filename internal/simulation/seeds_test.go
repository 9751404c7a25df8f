package simulation

import (
	"slices"
	"testing"
)

func TestEach(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want []uint64
	}{
		"as many as usual": {map[string]string{EnvSeeds: "", EnvSeed: ""}, []uint64{0, 1, 2}},
		"as many as asked": {map[string]string{EnvSeeds: "2", EnvSeed: ""}, []uint64{0, 1}},
		"one alone":        {map[string]string{EnvSeeds: "2", EnvSeed: "70"}, []uint64{70}},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range tc.env {
				t.Setenv(key, value)
			}
			var got []uint64
			Each(t, 3, func(_ *testing.T, seed uint64) { got = append(got, seed) })
			if !slices.Equal(got, tc.want) {
				t.Errorf("seeds %v, want %v", got, tc.want)
			}
		})
	}
}
