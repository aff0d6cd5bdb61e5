# One line per target. `make try` and `make test` need nothing but a Debian
# machine: scripts/go.sh finds or fetches the Go toolchain.
GO      = sh scripts/go.sh
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS = -s -w -X main.version=$(VERSION)
BUILD   = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'

RACE    = ./...

.PHONY: help try build test test-32 race fuzz golden e2e oracles test-oracle bench bench-peers bench-collect bench-profiles lint docs dist clean

help:        ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22
try: build   ## collect this machine into a fresh case, verify it, build its timeline, report
	sh scripts/try.sh
build:       ## the programs into bin/
	$(BUILD) -o bin/exhibit ./cmd/exhibit
	$(BUILD) -tags urfave_cli_no_docs,exhibit_no_web -o bin/exhibit-collector ./cmd/exhibit-collector
	$(BUILD) -tags urfave_cli_no_docs -o bin/exhibit-collector-web ./cmd/exhibit-collector
	$(BUILD) -o bin/exhibit-verify ./cmd/exhibit-verify
test:        ## every test but those of the DuckDB oracle
	$(GO) vet ./... && $(GO) test ./...
race:        ## the same under the race detector (needs a C compiler); RACE= chooses packages
	CGO_ENABLED=1 $(GO) test -race $(RACE)
test-32:     ## what counts and indexes in the collector, as a 32-bit program
	GOARCH=386 CGO_ENABLED=0 $(GO) test ./collect ./internal/pkgdb
fuzz:        ## every fuzz target for FUZZTIME (10s) each
	sh scripts/fuzz.sh
golden:      ## rewrite golden files and vectors, then look at git diff
	sh scripts/golden.sh
e2e:         ## the whole chain on this kernel, as root in namespaces of its own
	$(GO) test -count=1 -v ./test/e2e/...
oracles:     ## other projects' validators into .oracles/, for the tests of exports (network)
	sh scripts/oracles.sh
test-oracle: ## the store against DuckDB (needs a C compiler), MFT against go-ntfs: modules of their own
	cd test/duckdb && CGO_ENABLED=1 sh ../../scripts/go.sh test ./...
	cd test/gontfs && sh ../../scripts/go.sh test ./...
bench:       ## throughput and allocations of every benchmark
	$(GO) test -run '^$$' -bench . -benchmem ./...
bench-peers: ## ours beside journalctl, ausearch, last, mactime, tshark; PLASO_DIR= adds plaso
	sh scripts/bench-peers.sh
bench-collect: ## what a collection costs and whether every bar is met; UAC_DIR= runs UAC beside
	sh scripts/bench-collect.sh
bench-profiles: ## what each profile costs on this machine, as a table (root)
	sh scripts/bench-profiles.sh
lint:        ## go vet, gofumpt, staticcheck
	sh scripts/lint.sh
docs: golden ## generated references are golden files: collectors, parsers, schema
dist:        ## stripped static programs for every platform, with checksums, in dist/
	VERSION=$(VERSION) sh scripts/dist.sh
clean:       ## remove what was built
	rm -rf bin dist
