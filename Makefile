# Every verb of the project; `make help` lists them. Set PYTHON to choose the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
ENGINE := build/engine
SOURCES := $(shell find csrc -type f 2>/dev/null) CMakeLists.txt pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-python test-native check covered lint sanitize sanitize-address sanitize-thread soak bench coverage-models fuzz fuzz-corpus proto reference format clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed $(VENV)/.triton $(VENV)/.protobuf7 ## Create the virtual environment, build the engine, install everything

$(VENV)/.dependencies: requirements.lock
	@$(PYTHON) tools/check_machine.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.dependencies $(SOURCES)
	PATH="$(CURDIR)/$(BIN):$$PATH" CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) $(BIN)/pip install --quiet --no-build-isolation --no-deps --config-settings build-dir=$(ENGINE) --config-settings cmake.define.SMIDGEN_BUILD_TESTS=OFF --editable .
	@touch $@

# Packages for some processes of the tests, in front of those that all others share.
$(VENV)/.triton $(VENV)/.protobuf7: $(VENV)/.%: $(VENV)/.dependencies requirements-%.lock
	$(BIN)/pip install --quiet --no-deps --upgrade --target $(VENV)/$* --requirement requirements-$*.lock
	@touch $@

demo: setup ## Train, calibrate, quantize and serve a real model, and show what it brought
	$(BIN)/python -m examples.digits

test: test-native test-python ## Run all tests

test-python: setup
	$(BIN)/python $(COVERAGE) -m pytest --numprocesses $(JOBS) --dist loadfile $(PYTEST_FLAGS)

# The tests join the build that the engine was installed from, so that nothing is compiled a second time.
test-native: setup
	$(BIN)/cmake -S . -B $(ENGINE) -DSMIDGEN_BUILD_TESTS=ON
	$(BIN)/cmake --build $(ENGINE) --parallel $(JOBS)
	$(BIN)/ctest --test-dir $(ENGINE) --output-on-failure --parallel $(JOBS)

SANITIZED = $(BIN)/cmake -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DSMIDGEN_BUILD_TESTS=ON -DSMIDGEN_BUILD_PYTHON=OFF -DSMIDGEN_WERROR=ON

sanitize: setup sanitize-address sanitize-thread

sanitize-address: setup
	$(SANITIZED) -B build/sanitize -DSMIDGEN_SANITIZE=address
	$(BIN)/cmake --build build/sanitize --parallel $(JOBS)
	$(BIN)/ctest --test-dir build/sanitize --output-on-failure --parallel $(JOBS)

# Only these tests have several threads.
sanitize-thread: setup
	$(SANITIZED) -B build/sanitize-thread -DSMIDGEN_SANITIZE=thread
	$(BIN)/cmake --build build/sanitize-thread --parallel $(JOBS) --target test_base test_engine test_sample_nets
	$(BIN)/ctest --test-dir build/sanitize-thread --output-on-failure --tests-regex '^(base|engine|sample_nets)$$'

soak: setup ## Run engine and server for minutes with flat memory, kill the server at 200 points, fail every call of its disk
	$(BIN)/python -m pytest -m soak tests/python/test_engine_soak.py tests/service/durability tests/service/test_flat_resources.py

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/python tools/generate_stubs.py --check
	$(BIN)/python tools/generate_cli_reference.py --check
	$(BIN)/python tools/generate_service_reference.py --check
	$(BIN)/python tools/generate_operator_reference.py --check
	$(BIN)/python tools/check_includes.py
	find csrc tests/csrc \( -name '*.cc' -o -name '*.h' -o -name '*.inc' \) -print0 | xargs -0 $(BIN)/clang-format --dry-run --Werror

check: setup $(VENV)/.fuzz ## Run all that CI runs: lint, types, fuzzing, sanitizers, all tests with coverage
	$(MAKE) --jobs $(JOBS) --output-sync=target lint fuzz
	$(MAKE) --jobs $(JOBS) --output-sync=target covered sanitize

# Tests wait for servers and disks about as long as the sanitized engine takes to compile beside them.
covered: setup
	$(BIN)/python -m coverage erase
	$(MAKE) test COVERAGE="-m coverage run"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered
	$(BIN)/python tools/check_coverage.py

$(VENV)/.bench: $(VENV)/.dependencies requirements-bench.lock
	$(BIN)/pip install --quiet --no-deps --requirement requirements-bench.lock
	@touch $@

bench: setup $(VENV)/.bench ## Measure the engine against other runtimes on this machine
	$(BIN)/python -m benchmarks.engine $(BENCH_FLAGS)

# Not every interpreter has a wheel of atheris; without it, `python -m fuzz` says so and draws random recipes.
$(VENV)/.fuzz: $(VENV)/.dependencies requirements-fuzz.lock
	-$(BIN)/pip install --quiet --no-deps --requirement requirements-fuzz.lock
	@touch $@

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= pt2 onnx artifact shard folders
FUZZ_RUNS := $(addprefix fuzz-,$(FUZZ_TARGETS))
.PHONY: $(FUZZ_RUNS) fuzz-calls

fuzz: $(FUZZ_RUNS) fuzz-calls ## Feed every reader mutated files, and every method of a server hostile calls, FUZZ_SECONDS each

$(FUZZ_RUNS): fuzz-%: setup $(VENV)/.fuzz
	$(BIN)/python -m fuzz $* --seconds $(FUZZ_SECONDS)

fuzz-calls: setup
	$(BIN)/python -m fuzz.calls --seconds $(FUZZ_SECONDS)

fuzz-corpus: $(FUZZ_RUNS) ## Fuzz, and keep the smallest inputs that reach all that was reached
	for target in $(FUZZ_TARGETS); do $(BIN)/python -m fuzz $$target --keep || exit 1; done

$(VENV)/.coverage-models: $(VENV)/.dependencies requirements-coverage.lock
	$(BIN)/pip install --quiet --no-deps --requirement requirements-coverage.lock
	@touch $@

coverage-models: setup $(VENV)/.coverage-models ## Install the architectures that python -m benchmarks.coverage takes

proto: setup ## Generate the Python stubs from proto/
	$(BIN)/python tools/generate_stubs.py

reference: setup ## Generate the pages about commands, settings, metrics and operators
	$(BIN)/python tools/generate_cli_reference.py
	$(BIN)/python tools/generate_service_reference.py
	$(BIN)/python tools/generate_operator_reference.py

format: setup ## Format Python, C++ and proto files
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format
	$(BIN)/buf format --write
	find csrc tests/csrc \( -name '*.cc' -o -name '*.h' -o -name '*.inc' \) -print0 | xargs -0 $(BIN)/clang-format -i

clean: ## Remove the virtual environment and everything built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find python service -name '_engine*.so' -delete
