package metric

// Origin says with whom the cause of a failed request lies.
type Origin uint8

const (
	// OriginTarget is the target or the way to it, and what the target's answer does not hold.
	OriginTarget Origin = iota
	// OriginGenerator is this side: a request that it could not make, or that it cut off.
	OriginGenerator
	// OriginScenario is a request that the scenario made impossible, so that nothing was sent.
	OriginScenario
)

// origins has the kinds of errors (label error) that are not the target's. It is the only such list.
var origins = map[string]Origin{
	"too_many_files": OriginGenerator,
	"no_ports":       OriginGenerator,
	"no_source":      OriginGenerator,
	"no_buffers":     OriginGenerator,
	"resolver":       OriginGenerator,
	"cancelled":      OriginGenerator,
	"not_started":    OriginGenerator,
	"internal":       OriginGenerator,
	"template":       OriginScenario,
	"data":           OriginScenario,
	"request":        OriginScenario,
}

// OriginOf returns the origin of a kind of error. A kind that is not known is the target's, so that
// no failure is excused by its name.
func OriginOf(kind string) Origin { return origins[kind] }
