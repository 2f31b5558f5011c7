# `make help` lists what there is. Everything is safe to run again: what is done is not done twice.

CARGO ?= cargo
NPM ?= npm
PYTHON ?= python3
# Handed to the server by `make demo`, as in: make demo ARGS="--listen 127.0.0.1:9000"; to the benchmarks by `make bench`: ARGS=ladder
ARGS ?=

# What is built beside the defaults: SVT-AV1 carries live AV1 above 360p, and needs Debian's library. Everything here is built with the
# same features of the whole workspace, so that nothing is built twice. `make demo FEATURES=` does without.
FEATURES ?= millrace/svt-av1
WORKSPACE := --workspace $(if $(FEATURES),--features $(FEATURES))
BUILT = $(or $(CARGO_TARGET_DIR),target)/debug/millrace

# The plugins are WebAssembly guests, each a workspace of its own, as are the tools: one makes components of modules, the other reads the
# contract. One target directory lets them share what they depend on.
PLUGIN_TOOLS := componentize contract
PLUGINS := $(filter-out $(PLUGIN_TOOLS),$(patsubst plugins/%/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml)))
GUESTS := $(CURDIR)/target/guests
GUEST_TARGET := wasm32-unknown-unknown
GUEST_CARGO := CARGO_TARGET_DIR=$(GUESTS) $(CARGO)
WIT := $(wildcard wit/*.wit)

# One plugin in each language, for authors to copy.
EXAMPLES := plugins/examples
EXAMPLES_DIST := plugins/dist/examples

# Other implementations of Media over QUIC, for the tests to talk to. Those that are measured beside the server are built as their users
# run them, too.
PEERS := moq-cli moq-pub moq-relay moq-relay-ietf moq-sub moq-test-client
RELAYS := moq-relay moq-relay-ietf
DENY := target/peers/debug/cargo-deny --all-features
PEER_CARGO := $(CARGO) build --locked --manifest-path tests/peers/Cargo.toml --target-dir $(CURDIR)/target/peers --bins

WEB_SOURCES := $(shell find web \( -name node_modules -o -name dist \) -prune -o -type f -print)
# Packages with scripts of their own; what npm installed is known by the lock file it leaves.
NODE_PACKAGES := $(patsubst %/package-lock.json,%,$(wildcard web/package-lock.json tests/package-lock.json))
NODE_MODULES := $(addsuffix /node_modules/.package-lock.json,$(NODE_PACKAGES))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup setup-test setup-demo setup-bench setup-examples setup-examples-all peers demo test test-full test-examples
.PHONY: lint deny audit bench
.PHONY: plugins plugins-test plugins-examples plugins-examples-all plugins-examples-rust plugins-examples-c plugins-examples-javascript
.PHONY: plugins-examples-python plugins-examples-test plugins-pages plugins-reference web clean

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-27s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: setup-test peers $(NODE_MODULES) ## Installs what building and testing need: apt curl, ffmpeg, chromium, nasm, cmake, g++, libsvtav1enc-dev; the wasm32 target; npm packages; peers

setup-test:
	@scripts/setup.sh test

setup-demo: ## Installs what the demo needs: apt nasm, cmake, g++, libsvtav1enc-dev; the wasm32 target
	@scripts/setup.sh demo

setup-bench: $(NODE_MODULES) ## Installs what the benchmarks need: as setup, and apt nginx-light, wrk, nghttp2-client; npm packages; relays
	@scripts/setup.sh bench
	$(PEER_CARGO) --release $(addprefix -p ,$(RELAYS))

setup-examples: setup-demo ## Installs what the example plugins in Rust and C need: apt clang-19, lld-19, wasi-libc, libclang-rt-19-dev-wasm32, libjsmn-dev; the wasm32-wasip2 target
	@scripts/setup.sh examples

setup-examples-all: setup-demo
	@scripts/setup.sh examples-all

peers: setup-demo ## Builds other implementations of Media over QUIC from crates.io, for the tests to talk to, into target/peers/
	$(PEER_CARGO) $(addprefix -p ,$(PEERS))

demo: setup-demo plugins web ## Builds, and serves a live test stream on http://127.0.0.1:8080/ (ARGS="--listen ADDR")
	$(CARGO) build $(WORKSPACE) --bin millrace
	$(BUILT) demo $(ARGS)

test: setup plugins plugins-test plugins-examples-test web lint deny ## Runs all the checks and tests
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		echo "$(CARGO) nextest run $(WORKSPACE)"; $(CARGO) nextest run $(WORKSPACE); \
	else \
		echo "$(CARGO) test $(WORKSPACE)"; $(CARGO) test $(WORKSPACE) --lib --bins --tests --examples; \
	fi
	$(CARGO) test $(WORKSPACE) --doc
	$(NPM) --prefix web test
	@echo "make test: all checks and tests have passed"

# Hours of machine time, for before a release.
test-full: export MILLRACE_SEEDS ?= 10000
test-full: test-examples plugins-pages ## Runs the tests with hostile input over many seeds (MILLRACE_SEEDS, 10000 by default), those of every example plugin, and the commands in docs/plugins
	$(CARGO) test $(WORKSPACE) --lib --bins --tests --no-fail-fast hostile
	$(CARGO) test $(WORKSPACE) --test hostile --no-fail-fast

# The server carries the pages and the ladder plugin, so they are built before it is checked.
lint: setup-demo plugins web ## Checks formatting, and runs the linters with warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(WORKSPACE) --all-targets -- -D warnings
	@set -e; for tool in $(PLUGIN_TOOLS); do \
		echo "clippy plugins/$$tool"; \
		$(CARGO) fmt --manifest-path plugins/$$tool/Cargo.toml --check; \
		$(GUEST_CARGO) clippy --manifest-path plugins/$$tool/Cargo.toml --all-targets -- -D warnings; \
	done
	@set -e; for plugin in $(PLUGINS) examples/rust examples/rust-stalls; do \
		echo "clippy plugins/$$plugin"; \
		$(CARGO) fmt --manifest-path plugins/$$plugin/Cargo.toml --check; \
		$(GUEST_CARGO) clippy --manifest-path plugins/$$plugin/Cargo.toml --target $(GUEST_TARGET) --release -- -D warnings; \
	done
	$(GUEST_CARGO) run --quiet --manifest-path plugins/contract/Cargo.toml -- reference wit docs/plugins/reference.md --check
	$(NPM) --prefix web run check
	$(NPM) --prefix web run lint
	web/node_modules/.bin/prettier --config web/.prettierrc.json --check $(EXAMPLES)/javascript

# What stands in deny.toml, for the server and for each plugin.
deny: setup-demo ## Checks the licences and sources of dependencies
	$(PEER_CARGO) -p cargo-deny
	@set -e; for manifest in Cargo.toml plugins/*/Cargo.toml plugins/examples/rust/Cargo.toml plugins/examples/rust-stalls/Cargo.toml; do \
		echo "cargo-deny $$manifest"; $(DENY) --manifest-path $$manifest check licenses sources; \
	done

# Not a part of `make test`, which must not fail because of what was published today.
audit: setup-demo ## Checks dependencies for known vulnerabilities, where the RustSec database can be fetched
	$(PEER_CARGO) -p cargo-deny
	@if $(DENY) fetch db >/dev/null 2>&1; then \
		$(DENY) check advisories; \
	else \
		echo "audit: skipped: https://github.com/RustSec/advisory-db cannot be reached"; \
	fi

# The servers that are measured run as processes of their own.
bench: setup-bench plugins web ## Measures against the goals, in some minutes; also written to target/bench/ (ARGS="ladder beside")
	$(CARGO) build $(WORKSPACE) --bin millrace
	$(CARGO) bench $(WORKSPACE) --profile dev --bench measure -- $(ARGS)

# A guest's library is named after its folder.
plugins: setup-demo ## Builds the plugins into plugins/dist/
	@mkdir -p plugins/dist
	$(GUEST_CARGO) build --manifest-path plugins/componentize/Cargo.toml
	@set -e; for plugin in $(PLUGINS); do \
		echo "plugins/dist/$$plugin.wasm"; \
		$(GUEST_CARGO) build --manifest-path plugins/$$plugin/Cargo.toml --target $(GUEST_TARGET) --release; \
		$(GUESTS)/debug/componentize \
			$(GUESTS)/$(GUEST_TARGET)/release/$$(echo $$plugin | tr - _).wasm plugins/dist/$$plugin.wasm; \
	done

# What a plugin works out without its host, on this machine.
plugins-test: setup-demo
	@set -e; for plugin in $(PLUGINS); do \
		echo "cargo test plugins/$$plugin"; $(GUEST_CARGO) test --quiet --lib --manifest-path plugins/$$plugin/Cargo.toml; \
	done

plugins-examples: plugins-examples-rust plugins-examples-c ## Builds the example plugins in Rust and C into plugins/dist/examples/

plugins-examples-all: plugins-examples plugins-examples-javascript plugins-examples-python ## Builds and tests the example plugins in all languages: JavaScript and Python once they have changed
	$(GUEST_CARGO) test --manifest-path plugins/contract/Cargo.toml -- --include-ignored

test-examples: setup plugins plugins-examples-all web ## Tests the example plugins in all languages in the server
	$(CARGO) test $(WORKSPACE) --test e2e -- --ignored example_plugins

plugins-examples-test: plugins-examples
	$(GUEST_CARGO) test --manifest-path plugins/contract/Cargo.toml

plugins-examples-rust: setup-examples ## Builds the example plugins in Rust, for wasm32-unknown-unknown and wasm32-wasip2
	@mkdir -p $(EXAMPLES_DIST)
	$(GUEST_CARGO) build --manifest-path plugins/componentize/Cargo.toml
	$(GUEST_CARGO) build --manifest-path $(EXAMPLES)/rust/Cargo.toml --release --target $(GUEST_TARGET) --target wasm32-wasip2
	$(GUESTS)/debug/componentize $(GUESTS)/$(GUEST_TARGET)/release/gop_stats.wasm $(EXAMPLES_DIST)/gop-stats-rust.wasm
	install -C -m 644 $(GUESTS)/wasm32-wasip2/release/gop_stats.wasm $(EXAMPLES_DIST)/gop-stats-wasip2.wasm
	$(GUEST_CARGO) build --manifest-path $(EXAMPLES)/rust-stalls/Cargo.toml --release --target $(GUEST_TARGET)
	$(GUESTS)/debug/componentize $(GUESTS)/$(GUEST_TARGET)/release/stalls.wasm $(EXAMPLES_DIST)/stalls-rust.wasm

plugins-examples-c: setup-examples ## Builds the example plugins in C
	@mkdir -p $(EXAMPLES_DIST)
	CARGO_TARGET_DIR=$(GUESTS) $(MAKE) -C $(EXAMPLES)/c
	install -C -m 644 $(EXAMPLES)/c/build/gop-stats.wasm $(EXAMPLES_DIST)/gop-stats-c.wasm
	CARGO_TARGET_DIR=$(GUESTS) $(MAKE) -C $(EXAMPLES)/c-strip
	install -C -m 644 $(EXAMPLES)/c-strip/build/strip.wasm $(EXAMPLES_DIST)/strip-c.wasm

plugins-examples-javascript: setup-examples-all $(EXAMPLES_DIST)/gop-stats-javascript.wasm ## Builds the example plugin in JavaScript (installs its node_modules, 390 MB)

$(EXAMPLES_DIST)/gop-stats-javascript.wasm: $(WIT) $(wildcard $(EXAMPLES)/javascript/*.js* $(EXAMPLES)/javascript/src/*.js $(EXAMPLES)/javascript/addresses/*.js)
	@mkdir -p $(EXAMPLES_DIST)
	$(NPM) --prefix $(EXAMPLES)/javascript ci --no-audit --no-fund
	$(NPM) --prefix $(EXAMPLES)/javascript run build:bare
	$(NPM) --prefix $(EXAMPLES)/javascript run build
	cp $(EXAMPLES)/javascript/build/gop-stats-bare.wasm $(EXAMPLES_DIST)/gop-stats-javascript-bare.wasm
	cp $(EXAMPLES)/javascript/build/addresses.wasm $(EXAMPLES_DIST)/addresses-javascript.wasm
	cp $(EXAMPLES)/javascript/build/gop-stats.wasm $@

plugins-examples-python: setup-examples-all $(EXAMPLES_DIST)/gop-stats-python.wasm ## Builds the example plugins in Python (installs componentize-py into its venv)

$(EXAMPLES_DIST)/gop-stats-python.wasm: $(WIT) $(wildcard $(EXAMPLES)/python/*.py $(EXAMPLES)/python/requirements.txt $(EXAMPLES)/python/stalls/*.py $(EXAMPLES)/python/stalls/wit/*.wit)
	@mkdir -p $(EXAMPLES_DIST)
	$(PYTHON) -m venv $(EXAMPLES)/python/venv
	$(EXAMPLES)/python/venv/bin/pip install --quiet --requirement $(EXAMPLES)/python/requirements.txt
	$(EXAMPLES)/python/venv/bin/componentize-py --wit-path wit --wit-path $(EXAMPLES)/python/stalls/wit --world example:stalls/stalls \
		componentize --python-path $(EXAMPLES)/python/stalls app --output $(EXAMPLES_DIST)/stalls-python.wasm
	$(EXAMPLES)/python/venv/bin/componentize-py --wit-path wit --world transcoder-plugin componentize --python-path $(EXAMPLES)/python app --output $@

plugins-pages: setup-examples-all
	@scripts/plugin-pages.sh

plugins-reference: setup-demo ## Writes docs/plugins/reference.md, as wit/ gives it
	$(GUEST_CARGO) run --quiet --manifest-path plugins/contract/Cargo.toml -- reference wit docs/plugins/reference.md

web: setup-demo web/dist/index.html ## Builds the player's pages into web/dist/ (installs web/node_modules)

web/dist/index.html: $(WEB_SOURCES) web/node_modules/.package-lock.json
	$(NPM) --prefix web run build
	@touch $@

%/node_modules/.package-lock.json: %/package-lock.json
	$(NPM) --prefix $* ci --no-audit --no-fund
	@touch $@

clean: ## Removes all that was built here, and the npm packages
	$(CARGO) clean
	rm -rf plugins/dist web/dist web/node_modules tests/node_modules
	rm -rf $(addprefix $(EXAMPLES)/,c/build c-strip/build javascript/build javascript/node_modules python/venv)
