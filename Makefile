# Everything here works as root and as a plain user, from a clean clone. See CONTRIBUTING.md.

PKGS      ?= ./...
TESTFLAGS ?=
ARGS      ?=

# The linters have a module file of their own, so that the product's go.mod stays the product's.
TOOL := go tool -modfile=internal/tools/go.mod

# Go stamps the commit into the binary, and fails where git cannot tell it: in an archive, or in somebody else's clone.
VCS := $(shell git rev-parse -q --verify HEAD >/dev/null 2>&1 || echo -buildvcs=false)

.NOTPARALLEL:
.PHONY: help deps servers build demo dev chaos test vet lint gofmt gofix staticcheck depguard revive clean spec

help: ## list the targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install Postgres, Valkey, a C compiler, SPIN and Chromium, where they are missing
	@sh internal/tools/deps.sh

servers:
	@sh internal/tools/deps.sh servers

build: ## build bin/tidelock
	@mkdir -p bin
	go build $(VCS) -o bin/tidelock ./cmd/tidelock

demo: servers build ## run the demo, with ARGS="..."
	bin/tidelock demo $(ARGS)

dev: servers build ## start Postgres, Valkey and NATS to develop against, and open the dashboard, with ARGS="..."
	bin/tidelock dev --open $(ARGS)

chaos: servers build ## attack Tidelock for a quarter of an hour and judge every operation, with ARGS="--minutes 60"
	bin/tidelock chaos --mutants $(ARGS)

.PHONY: bench bench-quick bench-plots
bench: servers ## measure Tidelock beside what people use instead, with ARGS="--only writes"
	@mkdir -p bin
	cd bench && go build $(VCS) -o ../bin/bench . && ../bin/bench --commit "$$(git rev-parse -q --verify --short HEAD || echo unknown)" $(ARGS)

bench-quick: servers # its own tests, and a little of it in two minutes, beside the ratios of the last release; what is slow fails nothing
	cd bench && go vet ./... && go test -count=1 ./...
	@$(MAKE) bench ARGS="--quick $(ARGS)"

bench-plots: # the last run's pictures into the documentation
	@mkdir -p docs/img
	cp bench/out/*.svg docs/img/

test: deps vet lint spec ## vet, lint, check the models and test, with PKGS=./cache and TESTFLAGS="-run TestX -v"
	go test -race -count=1 $(TESTFLAGS) $(PKGS)
	@[ "$(PKGS)" != ./... ] || [ -n "$(TESTFLAGS)" ] || $(MAKE) check-deployments bench-quick ARGS=

.PHONY: check-deployments
check-deployments: ## hold the chart, the compose file, the alerts and the units against what they are for
	cd deployments/check && go test -count=1 ./...

spec: ## check the protocol's models with SPIN
	@SIZE=$(SIZE) sh spec/check.sh $(ARGS)

vet:
	go vet $(PKGS)

lint: gofmt gofix staticcheck depguard revive ## check format, imports and comments; make -k lint shows all at once

gofmt:
	@files=$$("$$(go env GOROOT)/bin/gofmt" -l .); [ -z "$$files" ] || { echo "run gofmt -w on:" $$files; exit 1; }

gofix:
	go fix -diff $(PKGS)

staticcheck: # settings in staticcheck.conf
	$(TOOL) staticcheck $(PKGS)

depguard: # settings in .depguard.yaml
	$(TOOL) depguard $(PKGS)

revive:
	$(TOOL) revive -config internal/tools/revive.toml $(PKGS)

clean: ## remove what was built
	rm -rf bin
