# Every verb of the project; `make help` lists them. Set PYTHON to choose the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
# Recipes at the same time: one more than there are cores, as tests and downloads wait for others.
LANES = $(shell expr $(JOBS) + 1)
ENGINE := build/engine
BUILD_TOOLS := cmake ninja pybind11 scikit-build-core
SOURCES := $(shell find csrc -type f 2>/dev/null) CMakeLists.txt pyproject.toml
INSTALLED := $(VENV)/.dependencies $(VENV)/.installed $(VENV)/.triton $(VENV)/.protobuf7 $(VENV)/.deploy

.DEFAULT_GOAL := help
.PHONY: help setup setup-checks demo test test-python test-native check covered lint sanitize sanitize-address sanitize-thread soak image image-test bench coverage-models fuzz fuzz-corpus proto reference format clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Create the virtual environment, build the engine, install everything
	@$(MAKE) --no-print-directory --jobs $(LANES) $(INSTALLED)

$(VENV)/.build-tools: requirements.lock
	@$(PYTHON) tools/check_machine.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint requirements.lock $(BUILD_TOOLS)
	@touch $@

# The engine is compiled meanwhile; neither writes what the other does.
$(VENV)/.dependencies: $(VENV)/.build-tools
	$(BIN)/pip install --quiet --no-warn-conflicts --requirement requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.build-tools $(SOURCES)
	PATH="$(CURDIR)/$(BIN):$$PATH" CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) $(BIN)/pip install --quiet --no-build-isolation --no-deps --config-settings build-dir=$(ENGINE) --config-settings cmake.define.SMIDGEN_BUILD_TESTS=OFF --editable .
	@touch $@

# Packages for some processes of the tests, in front of those that all others share, and some of which only files are read.
$(VENV)/.triton $(VENV)/.protobuf7 $(VENV)/.deploy: $(VENV)/.%: $(VENV)/.build-tools requirements-%.lock
	$(BIN)/pip install --quiet --no-deps --upgrade --target $(VENV)/$* --requirement requirements-$*.lock
	@touch $@

# Few of its modules are imported, and compiling all of them takes longer than installing them.
$(VENV)/.transformers: $(VENV)/.build-tools requirements-transformers.lock
	$(BIN)/pip install --quiet --no-deps --no-compile --upgrade --target $(VENV)/transformers --requirement requirements-transformers.lock
	@touch $@

demo: $(INSTALLED) ## Train, calibrate, quantize and serve a real model, and show what it brought
	$(BIN)/python -m examples.digits

test: test-native test-python ## Run all tests

test-python: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile $(PYTEST_FLAGS)

# The tests join the build that the engine was installed from, so that nothing is compiled a second time.
test-native: $(INSTALLED)
	$(BIN)/cmake -S . -B $(ENGINE) -DSMIDGEN_BUILD_TESTS=ON
	$(BIN)/cmake --build $(ENGINE) --parallel $(JOBS)
	$(BIN)/ctest --test-dir $(ENGINE) --output-on-failure --parallel $(JOBS)

# Where this CPU does not run a kernel, there is nothing to check in it, and the engine's own copy is linked.
SANITIZED = $(BIN)/cmake -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DSMIDGEN_BUILD_TESTS=ON -DSMIDGEN_BUILD_PYTHON=OFF -DSMIDGEN_WERROR=ON -DSMIDGEN_PLAIN_BUILD=$(CURDIR)/$(ENGINE)

sanitize: sanitize-address sanitize-thread

# These only compute, and leave the cores to the tests, which mostly wait.
sanitize-address: $(INSTALLED)
	$(SANITIZED) -B build/sanitize -DSMIDGEN_SANITIZE=address
	nice $(BIN)/cmake --build build/sanitize --parallel $(JOBS)
	nice $(BIN)/ctest --test-dir build/sanitize --output-on-failure --parallel $(JOBS)

# Only these tests have several threads.
sanitize-thread: $(INSTALLED)
	$(SANITIZED) -B build/sanitize-thread -DSMIDGEN_SANITIZE=thread
	nice $(BIN)/cmake --build build/sanitize-thread --parallel $(JOBS) --target test_base test_engine test_run_queue test_sample_nets
	nice $(BIN)/ctest --test-dir build/sanitize-thread --output-on-failure --tests-regex '^(base|engine|run_queue|sample_nets)$$'

soak: $(INSTALLED) ## Run engine and server for half an hour with flat memory, kill the server at 200 points, fail every call of its disk, restart it under load
	$(BIN)/python -m pytest -m soak tests/python/test_engine_soak.py tests/service/durability tests/service/test_flat_resources.py tests/service/test_rolling_restart.py tests/service/test_soak.py

image: $(INSTALLED) ## Build the image `infer`, or with IMAGE_FLAGS="--target full" that one, without a Docker engine, as root, with Debian's debootstrap and buildah
	$(BIN)/python -m tools.images $(IMAGE_FLAGS)

IMAGE_TARGETS ?= infer full
image-test: $(INSTALLED) ## Build both, or those of IMAGE_TARGETS, run them as strictly as a cluster would, and ask them; also wants runc
	$(BIN)/python -m pytest -m image $(IMAGE_TARGETS:%=tests/deploy/test_%_image.py)

lint: $(INSTALLED)
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
	$(BIN)/python tools/generate_api_reference.py --check
	$(BIN)/python tools/check_includes.py
	find csrc tests/csrc \( -name '*.cc' -o -name '*.h' -o -name '*.inc' \) -print0 | xargs -0 $(BIN)/clang-format --dry-run --Werror

REACH := build/reach
CHECKS := test-native covered lint fuzz sanitize demo
# Together, so that the checks do not wait for a last package.
setup-checks:
	@$(MAKE) --no-print-directory --jobs $(LANES) $(INSTALLED) $(VENV)/.fuzz $(VENV)/.transformers

check: setup-checks ## Run all that CI runs: lint, types, fuzzing, sanitizers, all tests with coverage, the demo
	$(MAKE) --jobs $(LANES) --output-sync=target $(CHECKS)

# After the native tests, as one of these tests builds a wheel from the same objects.
covered: test-native
	$(BIN)/python -m tools.reach prepare $(REACH) python/smidgen service/smidgen_service
	REACH_FOLDER=$(CURDIR)/$(REACH) $(MAKE) test-python
	$(BIN)/python -m tools.reach report $(REACH)
	$(BIN)/python -m coverage report --skip-covered
	$(BIN)/python tools/check_coverage.py

$(VENV)/.bench: $(VENV)/.dependencies requirements-bench.lock
	$(BIN)/pip install --quiet --no-deps --requirement requirements-bench.lock
	@touch $@

bench: $(INSTALLED) $(VENV)/.bench ## Measure the engine against other runtimes on this machine
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

$(FUZZ_RUNS): fuzz-%: $(INSTALLED) $(VENV)/.fuzz
	$(BIN)/python -m fuzz $* --seconds $(FUZZ_SECONDS)

fuzz-calls: $(INSTALLED)
	$(BIN)/python -m fuzz.calls --seconds $(FUZZ_SECONDS)

fuzz-corpus: $(FUZZ_RUNS) ## Fuzz, and keep the smallest inputs that reach all that was reached
	for target in $(FUZZ_TARGETS); do $(BIN)/python -m fuzz $$target --keep || exit 1; done

$(VENV)/.coverage-models: $(VENV)/.dependencies requirements-coverage.lock
	$(BIN)/pip install --quiet --no-deps --requirement requirements-coverage.lock
	@touch $@

coverage-models: $(INSTALLED) $(VENV)/.coverage-models ## Install the architectures that python -m benchmarks.coverage takes

proto: $(INSTALLED) ## Generate the Python stubs from proto/
	$(BIN)/python tools/generate_stubs.py

reference: $(INSTALLED) ## Generate the pages about commands, settings, metrics, operators and the API
	$(BIN)/python tools/generate_cli_reference.py
	$(BIN)/python tools/generate_service_reference.py
	$(BIN)/python tools/generate_operator_reference.py
	$(BIN)/python tools/generate_api_reference.py

format: $(INSTALLED) ## Format Python, C++ and proto files
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format
	$(BIN)/buf format --write
	find csrc tests/csrc \( -name '*.cc' -o -name '*.h' -o -name '*.inc' \) -print0 | xargs -0 $(BIN)/clang-format -i

clean: ## Remove the virtual environment and everything built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find python service -name '_engine*.so' -delete
