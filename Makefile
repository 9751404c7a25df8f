# Everything that a developer or a pipeline does here is a target of this file; `make` lists them.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO       ?= go
CACHE    := .cache
TOOL     := $(GO) tool -modfile=$(CURDIR)/internal/tools/go.mod
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMANDS := coordinator worker
PLATFORMS := linux/amd64 linux/arm64 darwin/arm64
LDFLAGS  := -s -w -X main.version=$(VERSION)
# Packages built or tested at once; empty lets Go decide.
JOBS     ?=
PARALLEL := $(if $(JOBS),-p $(JOBS))
# Modules with tests: the product, its tools, and those of tests that need servers of others.
MODULES  := . internal/tools $(patsubst %/go.mod,%,$(wildcard test/*/go.mod))
# What has code that is not built with the race detector: the tests run once more without it.
NO_RACE  := ./internal/load/httpload ./internal/load/transport
# The module whose validate.proto the API's .proto files import; keep it at the commit of
# buf.build/gen/go/bufbuild/protovalidate in go.mod.
VALIDATE := github.com/bufbuild/protovalidate@v1.2.2
# The branch that the API must stay compatible with.
BASE     ?= main
FUZZTIME ?= 10s
# How many seeds each simulation runs in a soak.
SEEDS    ?= 3000
BENCH    ?= .
# Seeds of the cluster tests, and how long etcd's majority or the store is away in them. ENGINE=none: processes
# also where there is a container engine.
ENGINE   ?=
FROM     ?= 1
TO       ?=
OUTAGE   ?=
# How long the run of soak-hour is; leaders are killed in its last five minutes.
LENGTH   ?= 65m

.DEFAULT_GOAL := help
.PHONY: help build cross generate proto-deps check-generate fmt check-fmt lint lint-go lint-proto test test-deps fuzz bench bench-deps bench-peers bench-peers-deps bench-fleet soak soak-sim images cluster-test soak-failover soak-hour clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## static binaries bin/coordinator and bin/worker
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build $(PARALLEL) -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(COMMANDS:%=./cmd/%)

cross: ## build both binaries for every supported platform, keeping none
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	for platform in $(PLATFORMS); do \
		echo "build $$platform"; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} \
			$(GO) build $(PARALLEL) -trimpath -o "$$out" $(COMMANDS:%=./cmd/%); \
	done

# Programs for the engine's machine, built here and copied into images FROM scratch: nothing is pulled, and
# no program runs while an image is built. Those of others are what the test modules pin.
IMAGES    := coordinator worker etcd s3 target
IMAGE_DIR := $(CACHE)/images
TAG       ?= latest

images: ## images for docker-compose.yml, FROM scratch, nothing pulled (TAG=latest)
	@rm -rf $(IMAGE_DIR); mkdir -p $(IMAGES:%=$(IMAGE_DIR)/%/bin) $(IMAGES:%=$(IMAGE_DIR)/%/data)
	@mkdir -p $(IMAGE_DIR)/s3/data/buckets/results $(IMAGE_DIR)/s3/data/meta
	@arch=$$(docker version --format '{{.Server.Arch}}'); \
	build() { CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) -C $$1 build $(PARALLEL) -trimpath -ldflags "$$4" -o $(CURDIR)/$(IMAGE_DIR)/$$2/bin/ $$3; }; \
	build . coordinator ./cmd/coordinator '$(LDFLAGS)'; \
	build . worker ./cmd/worker '$(LDFLAGS)'; \
	build test/e2e etcd go.etcd.io/etcd/server/v3 '-s -w'; mv $(IMAGE_DIR)/etcd/bin/server $(IMAGE_DIR)/etcd/bin/etcd; \
	build test/e2e etcd go.etcd.io/etcd/etcdctl/v3 '-s -w'; \
	build test/stores s3 github.com/versity/versitygw/cmd/versitygw '-s -w'; \
	build test/e2e target ./cluster/target '-s -w'
	@for image in $(IMAGES); do \
		docker build --quiet --file deploy/images/$$image.Dockerfile --tag proofload/$$image:$(TAG) $(IMAGE_DIR)/$$image >/dev/null; \
		docker image inspect --format "proofload/$$image:$(TAG) {{.Size}} bytes" proofload/$$image:$(TAG); \
	done

generate: proto-deps ## regenerate the proto code and everything under a go:generate line
	$(TOOL) buf generate
	$(GO) generate ./...

# Offline once the module is in the module cache.
proto-deps:
	@dir=$$(GOWORK=off $(GO) mod download -json $(VALIDATE) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p') && \
	mkdir -p $(CACHE)/protovalidate/buf/validate && \
	install -m 644 "$$dir/proto/protovalidate/buf/validate/validate.proto" $(CACHE)/protovalidate/buf/validate/

check-generate: ## fail when generated code is not what `make generate` makes (works on a copy)
	@copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
	git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null | tar -cf "$$copy/tree.tar" -T - && \
	mkdir "$$copy/before" "$$copy/after" && \
	tar -xf "$$copy/tree.tar" -C "$$copy/before" && tar -xf "$$copy/tree.tar" -C "$$copy/after" && \
	rm -f "$$copy"/after/proto/proofload/v1/*.pb.go && \
	$(MAKE) --no-print-directory -C "$$copy/after" generate && \
	diff -ru --exclude=.cache "$$copy/before" "$$copy/after" || \
		{ echo 'generated code is stale: run make generate and commit the result' >&2; exit 1; }

fmt: ## format with gofumpt and modernise with go fix
	$(TOOL) gofumpt -w $$(git ls-files '*.go' ':!*.pb.go')
	@for module in $(MODULES); do $(GO) -C $$module fix ./...; done

check-fmt:
	@out=$$($(TOOL) gofumpt -l $$(git ls-files --cached --others --exclude-standard '*.go' ':!*.pb.go')) && \
	[ -z "$$out" ] || { echo "not formatted, run make fmt:"; echo "$$out"; exit 1; }
	@out=$$(for module in $(MODULES); do $(GO) -C $$module fix -diff ./... ; done); \
	[ -z "$$out" ] || { echo "go fix would change this, run make fmt:"; echo "$$out"; exit 1; }

lint: check-fmt lint-proto lint-go ## every static check: format, go vet, golangci-lint, buf lint, buf breaking

lint-go:
	@for module in $(MODULES); do \
		echo "lint $$module"; \
		$(GO) -C $$module vet $(PARALLEL) ./...; \
		$(GO) -C $$module vet $(PARALLEL) -tags soak ./...; \
		(cd $$module && $(TOOL) golangci-lint run --config $(CURDIR)/.golangci.yml ./...); \
	done

lint-proto: proto-deps
	$(TOOL) buf lint proto
	@if git rev-parse --verify --quiet $(BASE):buf.yaml >/dev/null; then \
		base=$(CACHE)/breaking; rm -rf $$base; mkdir -p $$base && \
		git archive $(BASE) buf.yaml proto | tar -xf - -C $$base && \
		mkdir -p $$base/$(CACHE) && cp -r $(CACHE)/protovalidate $$base/$(CACHE)/ && \
		$(TOOL) buf build $$base/proto -o $(CACHE)/breaking.binpb && \
		$(TOOL) buf breaking proto --against $(CACHE)/breaking.binpb; \
	else echo "buf breaking: no API on branch $(BASE) to compare with"; fi

test: test-deps ## every test that this machine can run, with the race detector; lists what was skipped
	@race=-race; command -v "$$($(GO) env CC)" >/dev/null || \
		{ race=; echo 'no C compiler: the tests run WITHOUT the race detector'; }; \
	{ for module in $(MODULES); do \
		$(GO) -C $$module test $$race $(PARALLEL) -timeout 10m -json $(TESTFLAGS) ./... || echo '{"Action":"fail","Package":"'$$module'"}'; \
	done; [ -z "$$race" ] || $(GO) test $(PARALLEL) -timeout 10m -json $(TESTFLAGS) $(NO_RACE) || echo '{"Action":"fail","Package":"without -race"}'; } | $(GO) run -C internal/tools ./testsummary

test-deps:
	@scripts/test-deps

fuzz: ## run every fuzz test for a short while (FUZZTIME=10s)
	@grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | while read -r name; do \
			echo "fuzz $$(dirname "$$file") $$name"; \
			$(GO) -C "$$(dirname "$$file")" test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s . </dev/null; \
		done; \
	done

bench: bench-deps ## the load engine beside wrk on one server, then every benchmark (BENCH=regexp)
	$(GO) test ./internal/load -run '^$$' -bench BesideWrk -benchtime 5x
	@for module in $(MODULES); do $(GO) -C $$module test -run '^$$' -bench '$(BENCH)' -skip BesideWrk -benchmem -count 1 ./...; done

bench-deps:
	@scripts/test-deps bench

# Peers that Debian does not have, at the versions that the figures in docs/benchmarks.md are of.
PEERS := $(CACHE)/peers
FORTIO := fortio.org/fortio@v1.68.0
GHZ    := github.com/bojand/ghz/cmd/ghz@v0.121.0

bench-peers: build bench-peers-deps ## processor time per request beside wrk, fortio, h2load, ab and ghz, on two cores by one, and what a held WebSocket takes (PEER_ROUNDS=5 PEER_LENGTH=6s)
	PATH="$(CURDIR)/$(PEERS):$$PATH" $(GO) -C test/e2e test -tags soak -run '^TestPeers$$' -count 1 -v -timeout 60m . \
		-peer-rounds $(or $(PEER_ROUNDS),5) -peer-length $(or $(PEER_LENGTH),6s)
	$(GO) -C test/e2e test -run '^$$' -bench '^BenchmarkHeldWebSockets$$' -benchtime 1x -timeout 10m .

bench-peers-deps:
	@scripts/test-deps peers
	@for peer in $(FORTIO) $(GHZ); do \
		[ -x "$(PEERS)/$$(basename "$${peer%@*}")" ] || GOBIN=$(CURDIR)/$(PEERS) $(GO) install "$$peer" || echo "missing: $$peer" >&2; \
	done

bench-fleet: build ## what a coordinator needs for 1,000 workers, and how long it takes to take them over (BENCH_LENGTH=30s)
	$(GO) -C test/e2e test -tags soak -run FleetBench -count 1 -v -timeout 30m .

soak: build ## minutes of load with the built programs: rate, start, idle (figures for docs/benchmarks.md)
	$(GO) -C test/e2e test -tags soak -run Soak -count 1 -v -timeout 30m .

CLUSTER := $(GO) -C test/e2e test -tags soak -count 1 -v -timeout 0

# docker-compose.yml in containers where an engine and Compose are there, and otherwise etcd, coordinators and
# workers as processes on loopback.
cluster-test: ## a whole cluster while parts of it are killed, frozen and cut off (FROM=1 TO=1 OUTAGE=30s ENGINE=none)
	@if [ "$(ENGINE)" != none ] && docker version >/dev/null 2>&1 && { docker compose version || docker-compose version; } >/dev/null 2>&1; then \
		echo 'cluster-test: in containers'; \
		$(MAKE) --no-print-directory images TAG=cluster-test; \
		$(CLUSTER) -run '^TestContainers$$' ./cluster -images cluster-test -from $(FROM) -to $(or $(TO),1) -outage $(or $(OUTAGE),30s); \
	else \
		echo 'cluster-test: no container engine with Compose is asked for or there: as processes on loopback'; \
		$(CLUSTER) ./cluster -from $(FROM) -to $(or $(TO),2) -outage $(or $(OUTAGE),30s); \
	fi

soak-failover: ## the leader killed at a random instant of each of 100 runs, seeds printed (FROM=1 TO=100)
	$(CLUSTER) -run '^TestFailoverSeries$$' ./cluster -from $(FROM) -to $(or $(TO),100)

soak-hour: ## a run of more than an hour with 1,000 series, three leaders killed at its end (LENGTH=65m FROM=1)
	$(CLUSTER) -run '^TestSoakHour$$' ./cluster -from $(FROM) -length $(LENGTH)

soak-sim: ## the simulations with thousands of seeds (SEEDS=3000); those that fail are printed with what runs them again
	PROOFLOAD_SIM_SEEDS=$(SEEDS) $(GO) test ./internal/result ./internal/agent ./internal/supervisor -count 1 -timeout 2h -v \
		-run '^(TestSimulationLosesAndDoublesNothing|TestLeasesNeverOverlap|TestFleetInTrouble)$$' | grep -vE '^( +--- PASS|=== )'

clean: ## remove what the other targets made
	rm -rf bin $(CACHE)
