# Fairlead's front door. `make help` lists what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Built once and shared by all clones of one user: Python environments, the cluster's programs, images.
CACHE := $(or $(FAIRLEAD_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fairlead)

# The first Python >= 3.11 that really runs (a version manager's shim of a Python that is not selected does not).
ifndef PYTHON3
PYTHON3 := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
endif
ifeq ($(strip $(PYTHON3)),)
  ifneq ($(or $(MAKECMDGOALS),help),help)
    $(error No Python 3.11 or newer found. Install one (Debian 12: apt-get install python3 python3-venv) or name it: make PYTHON3=/path/to/python3.11 …)
  endif
endif

# A Python environment's folder. Its name says what is in it: another lock file or another Python makes another environment.
environment = $(CACHE)/$(1)-$(shell { cat $(2)/requirements.txt; $(PYTHON3) -VV || :; } 2>/dev/null | sha256sum | cut -c1-12)
VENV := $(call environment,venv,tests)
LINTERS := $(call environment,linters,tests/supply_chain)
CHECKOV := $(call environment,checkov,tests/supply_chain/checkov)
# Envoy and other programs of the environment are found on PATH.
PY := PATH="$(VENV)/bin:$$PATH" PYTHONPATH=operator/src:runtime/agent/src:. $(VENV)/bin/python
PYTEST := $(PY) -m pytest
# One process more than cores, for a third of the time is waiting for real agents and Envoys: 49 s instead of 66 on two cores.
# Neighbours stay together, so that a file starts its Envoy once, and a process that is done takes over from another. More
# than 8 cost more to start (3 s of CPU each) than they save. Byte code is kept even where the environment is set up to write
# none, as in many containers: each process would compile all tests again, which is another 3 s.
UNIT := PYTHONDONTWRITEBYTECODE= $(PYTEST) tests/unit -n $(shell echo $$(( $$(nproc) + 1 ))) --maxprocesses 8 --dist worksteal
# As many processes as cores, each with an API server, controllers and operators of its own: most of this lane waits for these, and
# one process left two thirds of two cores idle. Each takes about 1 GB. Who is done takes over from another, as above.
CONTROL_PLANE := PYTHONDONTWRITEBYTECODE= $(PYTEST) tests/control_plane -n $(shell nproc) --maxprocesses 4 --dist worksteal --timeout 400 --durations 20
# CLUSTER=kind: a cluster of Docker's containers (docs/development.md). Empty: the one that is there, or else processes of our own.
CLUSTER := $(FAIRLEAD_CLUSTER)
export FAIRLEAD_CLUSTER = $(CLUSTER)
# DRY_RUN=1: show the commands of CLUSTER=kind instead of running them.
export DRY_RUN
SHOWN := $(if $(filter-out 0,$(DRY_RUN)),@echo '$$',)
LOCAL := $(PYTHON3) -m tests.cluster
FLAGS := operator/src/fairlead/resources/engine_flags
SOURCES := operator/src runtime/agent/src tests
DOCKERFILES = $(shell git ls-files '*Dockerfile')
# bandit tells of each line of a statement that the `nosec` at its end is not needed there.
NO_NOSEC_NOISE := 2>&1 | { grep -v 'nosec encountered' || :; }
# Where this machine gets its packages from is left out of the files.
PIP_COMPILE := $(VENV)/bin/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file=requirements.txt
# Extra arguments for pytest: make unit T="-k warmup -x"
T ?=

##@ Start here
.PHONY: help demo test check
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nWith Docker: make demo CLUSTER=kind (so for test, e2e, images and cluster-…); DRY_RUN=1 beside it shows the commands'
	@printf '\nCache: %s (set FAIRLEAD_CACHE to move it)\nMore arguments for pytest: make unit T="-k name -x"\n' '$(CACHE)'

demo: ## From nothing to a streamed answer: local cluster, operator, real vLLM (root; first time about half an hour)
	@$(PYTHON3) -m tests.cluster.demo

test: ## Every lane, with all it needs; the cluster is down afterwards unless it was up before
	@$(PYTHON3) -m tests.cluster.lanes

# The quick ones beside the unit tests, which leave the processor alone while they start; all of them, whichever fails.
check: venv helm ## What needs no cluster: lint, types, layers, unit tests, drift (a minute or a little more)
	@$(MAKE) -j2 --keep-going unit lint types layers drift

##@ Lanes
.PHONY: lint types layers unit drift supply-chain control-plane soak e2e e2e-heavy
lint: venv linters ## ruff, bandit, hadolint, shellcheck, actionlint, zizmor, gitleaks (helm lint is one of the unit tests)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(LINTERS)/bin/bandit --quiet --configfile pyproject.toml --recursive operator/src runtime/agent/src $(NO_NOSEC_NOISE)
	$(LINTERS)/bin/hadolint $(DOCKERFILES)
	$(LINTERS)/bin/shellcheck .ci/run
	PATH="$(LINTERS)/bin:$$PATH" "$$($(LOCAL) program actionlint)"
	$(LINTERS)/bin/zizmor --offline --quiet --persona=pedantic .github
	$(LINTERS)/bin/gitleaks git --no-banner --log-level=warn --redact --verbose

types: venv ## mypy --strict
	$(VENV)/bin/mypy --strict $(SOURCES)

layers: venv ## Imports point one way
	@PYTHONPATH=operator/src:runtime/agent/src $(VENV)/bin/lint-imports

unit: venv helm ## Unit tests, the chart's among them
	$(UNIT) $(T)

drift: venv ## Is what is generated (CRD, reference docs) up to date?
	$(PY) -m fairlead.api.crd --check
	$(PY) -m fairlead.api.docs --check
	$(PY) -m tests.metrics_reference --check
	$(PY) -m tests.cli_reference --check

# On golden files, which the unit tests hold to what chart and operator make.
supply-chain: linters checkov sbom ## checkov over what the chart and the operator make, and a bill of materials
	LOG_LEVEL=WARNING $(CHECKOV)/bin/checkov --config-file tests/supply_chain/checkov/chart.yaml --file tests/unit/chart/golden/*.yaml
	LOG_LEVEL=WARNING $(CHECKOV)/bin/checkov --config-file tests/supply_chain/checkov/models.yaml \
	  --file tests/unit/resources/golden/*.yaml examples/*.yaml

control-plane: venv tools ## The operator against a real API server, no kubelet
	@$(PY) -m tests.gitops.crds
	$(CONTROL_PLANE) $(T)

e2e: venv images ## Real kubelet, real Envoy, real vLLM on the local cluster
	$(SHOWN) $(PYTEST) tests/e2e -m "not heavy" --timeout 600 --durations 20 $(T)

e2e-heavy: venv images ## Those of them that wait for minutes, and are not part of make test: a hub, rotated keys, autoscaling
	$(SHOWN) $(PYTEST) tests/e2e -m heavy --timeout 900 --durations 20 $(T)

soak: venv tools ## The operator's random life, as in control-plane, for an hour and other each time
	$(PYTEST) tests/control_plane/test_state_machine.py --hypothesis-profile soak --hypothesis-show-statistics -s $(T)

##@ The local cluster
.PHONY: debian tools helm cluster-up cluster-down cluster-status images
debian: ## Install the Debian packages that the cluster needs
	@$(LOCAL) debian

tools: ## Build Kubernetes, etcd, containerd and Helm from source (once; about ten minutes on two cores)
	@$(LOCAL) tools

helm: # and what else unit tests ask
	@$(LOCAL) tools helm kind verdict

cluster-up: ## Start a single-node Kubernetes in a network namespace of its own
	@$(LOCAL) up

cluster-down: ## Stop it; no process, mount, network namespace or link stays
	@$(LOCAL) down

cluster-status: ## What runs, and how to point kubectl at it
	@$(LOCAL) status

images: cluster-up ## Build the operator, sidecar and engine images and import them
	@$(LOCAL) images

##@ Measurements
.PHONY: bench-warmup bench-cold-start bench-agent bench-sidecar bench-reconcile bench-scale bench-autoscaler bench-autoscaler-loop bench-simulator
bench-warmup: venv images ## First-token times after Ready, with warm-up and without
	$(PY) -m tests.bench.bench_warmup

bench-cold-start: venv images ## How long an engine starts, with what it compiles kept on a volume and without
	$(PY) -m tests.bench.bench_cold_start

bench-agent: venv ## What the agent takes of memory and CPU, and how fast its probes answer
	$(PY) -m tests.bench.bench_agent

bench-sidecar: venv ## What the sidecar costs per request and per streamed chunk
	$(PY) -m tests.bench.bench_sidecar

bench-reconcile: venv ## What a visit of the operator costs that finds nothing to do
	$(PY) -m tests.bench.bench_reconcile

# A="--objects 200": fewer. KWOK and whatever else is missing is built first.
bench-scale: venv ## A thousand ModelDeployments, ten new ones a second, on nodes without machines (about a quarter of an hour; A=…)
	$(PY) -m tests.bench.bench_scale $(A)

# QUICK=1: six hours and half of the settings. TRACES=FOLDER: recorded traces as well. A=…: more arguments.
bench-autoscaler: venv ## The autoscaler and its peers' on a simulated day: users' waits, GPU-hours, reversals (QUICK=1 TRACES=…)
	$(PY) -m tests.bench.autoscaler $(if $(QUICK),--quick) $(if $(TRACES),--traces '$(TRACES)') $(A)

bench-autoscaler-loop: venv ## What the autoscaler's loop costs with a thousand models: reading, deciding, writes
	$(PY) -m tests.bench.bench_autoscaler_loop $(A)

bench-simulator: venv ## The simulator against vLLM on the cluster that is up (about ten minutes; A=…)
	$(PY) -m tests.bench.bench_simulator $(A)

##@ Generated files
.PHONY: crds docs flags golden record release-fixture format locks sbom
crds: venv ## crds/ and the chart's CRD, from operator/src/fairlead/api
	$(PY) -m fairlead.api.crd --write

docs: venv ## docs/reference, from the same
	$(PY) -m fairlead.api.docs --write
	$(PY) -m tests.metrics_reference --write
	$(PY) -m tests.cli_reference --write

flags: venv ## The table of an engine's flags: make flags HELP=FILE (its --help=all) TABLE=vllm-0.32
	@test -n '$(HELP)' -a -n '$(TABLE)' || { echo 'Which help, and which table? make flags HELP=help.txt TABLE=vllm-0.32' >&2; exit 1; }
	$(PY) -m fairlead.resources.engine_flags.generate '$(HELP)' > '$(FLAGS)/$(TABLE).json.new'
	mv '$(FLAGS)/$(TABLE).json.new' '$(FLAGS)/$(TABLE).json'

golden: venv helm ## Rewrite the golden files of the unit tests; read the diff before you commit it
	FAIRLEAD_UPDATE_GOLDEN=1 $(UNIT) $(T)

record: venv tools ## ModelDeployments of every phase, as the operator leaves them on a real API server; read the diff
	FAIRLEAD_RECORD=1 $(PYTEST) tests/control_plane/test_phases.py $(T)

release-fixture: venv helm ## The last step of a release: what the next one must be able to upgrade from
	$(PY) -m tests.control_plane.released

format: venv ## Let ruff format and mend what it can
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

locks: venv ## Lock files with hashes, from the requirements.in beside each
	$(foreach d,operator runtime/agent tests tests/supply_chain tests/supply_chain/checkov,(cd $(d) && $(PIP_COMPILE) requirements.in);)

# What the images hold of Python; their bases bring their own (docker buildx build --sbom=true lists both).
sbom: linters ## Bills of materials (CycloneDX) of the operator's and the agent's packages, in build/sbom
	@mkdir -p build/sbom
	@for each in operator runtime/agent; do \
	  PYTHONWARNINGS=ignore $(LINTERS)/bin/cyclonedx-py requirements --output-reproducible --validate \
	    --pyproject $$each/pyproject.toml --output-file build/sbom/$${each##*/}.cdx.json $$each/requirements.txt; done
	@ls build/sbom/*

##@ House
.PHONY: venv linters checkov clean
venv: $(VENV)/.complete ## The Python environment of the tests, from the locked requirements

linters: $(LINTERS)/.complete

checkov: $(CHECKOV)/.complete

$(VENV)/.complete: LOCK := tests/requirements.txt
$(LINTERS)/.complete: LOCK := tests/supply_chain/requirements.txt
$(CHECKOV)/.complete: LOCK := tests/supply_chain/checkov/requirements.txt

$(VENV)/.complete $(LINTERS)/.complete $(CHECKOV)/.complete:
	@test -s $(LOCK) || { echo '$(LOCK) is missing: make locks writes it.' >&2; exit 1; }
	@mkdir -p $(CACHE)
	@exec 9>$(@D).lock; flock 9; test -e $@ && exit 0; \
	  echo 'Python environment $(@D) (once; about a minute)'; \
	  $(PYTHON3) -m venv --clear $(@D) || { \
	    echo '$(PYTHON3) cannot make virtual environments. Debian: apt-get install python3-venv' >&2; exit 1; }; \
	  $(@D)/bin/pip install --disable-pip-version-check --require-hashes --only-binary=:all: -r $(LOCK) && \
	  touch $@

clean: ## Remove what the tools left in the work tree (the cache stays; remove it with: rm -r CACHE)
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -r {} +
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
