# Holdfast. `make help` prints every target.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The toolchain and CGO are part of the result: the same source gives the same programs everywhere.
export CGO_ENABLED ?= 0
GO      ?= go
VERSION ?= $(shell cat VERSION)
LDFLAGS := -s -w -X github.com/holdfast-backup/holdfast/wire/proto.Version=$(VERSION)
BUILD   := $(GO) build -trimpath -ldflags '$(LDFLAGS)'
PKGS    := ./...
FUZZTIME ?= 20s
TARGETS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.PHONY: help
help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what a fresh Debian lacks (elsewhere: say what to install)
	@scripts/setup

# npm notes what it installed; a newer list of dependencies makes it look again.
node_modules/.package-lock.json: package.json package-lock.json | setup
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: web
web: node_modules/.package-lock.json ## compile and compress the web app that holdfast serves
	$(GO) run ./app/build -version $(VERSION) $(WEBFLAGS)

.PHONY: agents
agents: ## cross-compile the agents that holdfast hands out, into bin/agents
	@mkdir -p bin/agents
	@for t in $(TARGETS); do \
	  os=$${t%/*}; arch=$${t#*/}; ext=; [ $$os = windows ] && ext=.exe; \
	  GOOS=$$os GOARCH=$$arch $(BUILD) -o bin/agents/holdfast-agent-$$os-$$arch$$ext ./cmd/holdfast-agent; \
	done

.PHONY: build
build: web ## write bin/holdfast, with the web app inside, and bin/holdfast-agent
	@mkdir -p bin
	$(BUILD) -o bin/holdfast ./cmd/holdfast
	$(BUILD) -o bin/holdfast-agent ./cmd/holdfast-agent

.PHONY: run
run: setup build ## run the whole service on this machine, data in .cache/run
	bin/holdfast up --data .cache/run --listen 127.0.0.1:8440

.PHONY: demo
demo: setup build ## the main job on real files, end to end; leaves nothing running
	$(GO) run ./e2e/demo -bin bin

.PHONY: screenshots
screenshots: setup build ## pictures of every page of the web app, in three widths, bright and dark, into .cache/screenshots
	$(GO) run ./e2e/web/screenshots -bin bin -out .cache/screenshots

.PHONY: test
test: setup node_modules/.package-lock.json ## every test, on real PostgreSQL, Redis, S3, Chromium and the real programs (about 10 minutes on 2 cores)
	$(GO) test -timeout 15m $(PKGS)

.PHONY: test-chaos
test-chaos: setup build ## kill agent, server, PostgreSQL and Redis at random moments, 50 times
	HOLDFAST_CHAOS_KILLS=50 $(GO) test -count=1 -timeout 60m -v -run 'TestChaos' ./e2e

.PHONY: test-sim
test-sim: setup ## live through four hundred days of backups, with kills, outages and sleeping devices
	HOLDFAST_SIM_DAYS=400 $(GO) test -count=1 -timeout 60m -v -run 'TestNinetyDays' ./e2e/sim

.PHONY: check
check: setup node_modules/.package-lock.json ## vet, staticcheck, formatting, import rules, fresh generated code, cross builds, race detector
	@scripts/check

.PHONY: generate
generate: ## write the generated code again: gqlgen and genqlient
	$(GO) tool gqlgen generate
	cd vault/remote && $(GO) tool genqlient
	cd app/api && $(GO) tool genqlient

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 20s) each
	@scripts/fuzz $(FUZZTIME)

.PHONY: bench
bench: setup build ## measure against restic and kopia, side by side, then with 2,000 devices, and write docs/benchmarks
	$(GO) run ./e2e/bench -bin bin -out docs/benchmarks
	$(GO) run ./e2e/load -bin bin -out docs/benchmarks

.PHONY: release
release: web ## cross-compile both programs into dist/ with checksums
	@mkdir -p dist
	@for t in $(TARGETS); do \
	  os=$${t%/*}; arch=$${t#*/}; ext=; [ $$os = windows ] && ext=.exe; \
	  echo "holdfast-agent $$t"; GOOS=$$os GOARCH=$$arch $(BUILD) -o dist/holdfast-agent-$(VERSION)-$$os-$$arch$$ext ./cmd/holdfast-agent; \
	done
	@for arch in amd64 arm64; do \
	  echo "holdfast linux/$$arch"; GOOS=linux GOARCH=$$arch $(BUILD) -o dist/holdfast-$(VERSION)-linux-$$arch ./cmd/holdfast; \
	done
	@cd dist && sha256sum holdfast-* > SHA256SUMS && cat SHA256SUMS

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf bin dist .cache node_modules
	find server/web/dist -type f ! -name .keep -delete
