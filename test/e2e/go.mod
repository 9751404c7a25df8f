module proofload/test/e2e

go 1.26.0

require (
	github.com/mccutchen/go-httpbin/v2 v2.26.0
	proofload v0.0.0
)

require (
	github.com/expr-lang/expr v1.17.8 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace proofload => ../..
