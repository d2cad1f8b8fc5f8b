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

# Its name says what is in it: another lock file or another Python makes another environment.
VENV := $(CACHE)/venv-$(shell { cat tests/requirements.txt; $(PYTHON3) -VV || :; } 2>/dev/null | sha256sum | cut -c1-12)
# Envoy and other programs of the environment are found on PATH.
PY := PATH="$(VENV)/bin:$$PATH" PYTHONPATH=operator/src:runtime/agent/src:. $(VENV)/bin/python
PYTEST := $(PY) -m pytest
# One process more than cores, for a third of the time is waiting for real agents and Envoys: 49 s instead of 66 on two cores.
# Neighbours stay together, so that a file starts its Envoy once, and a process that is done takes over from another. More
# than 8 cost more to start (3 s of CPU each) than they save. Byte code is kept even where the environment is set up to write
# none, as in many containers: each process would compile all tests again, which is another 3 s.
UNIT := PYTHONDONTWRITEBYTECODE= $(PYTEST) tests/unit -n $(shell echo $$(( $$(nproc) + 1 ))) --maxprocesses 8 --dist worksteal
CLUSTER := $(PYTHON3) -m tests.cluster
FLAGS := operator/src/fairlead/resources/engine_flags
SOURCES := operator/src runtime/agent/src tests
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
	@printf '\nCache: %s (set FAIRLEAD_CACHE to move it)\nMore arguments for pytest: make unit T="-k name -x"\n' '$(CACHE)'

demo: ## From nothing to a streamed answer: local cluster, operator, real vLLM (root; first time about half an hour)
	@$(PYTHON3) -m tests.cluster.demo

test: ## Every lane, with all it needs; the cluster is down afterwards unless it was up before
	@$(PYTHON3) -m tests.cluster.lanes

# The quick ones beside the unit tests, which leave the processor alone while they start; all of them, whichever fails.
check: venv helm ## What needs no cluster: lint, types, layers, unit tests, drift (under a minute)
	@$(MAKE) -j2 --keep-going unit lint types layers drift

##@ Lanes
.PHONY: lint types layers unit drift control-plane e2e e2e-unproven
lint: venv ## ruff, rules and format (helm lint --strict is one of the unit tests)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: venv ## mypy --strict
	$(VENV)/bin/mypy --strict $(SOURCES)

layers: venv ## Imports point one way
	@PYTHONPATH=operator/src:runtime/agent/src $(VENV)/bin/lint-imports

unit: venv helm ## Unit tests, the chart's among them
	$(UNIT) $(T)

drift: venv ## Is what is generated (CRD, reference docs) up to date?
	$(PY) -m fairlead.api.crd --check
	$(PY) -m fairlead.api.docs --check

control-plane: venv tools ## The operator against a real API server, no kubelet
	$(PYTEST) tests/control_plane $(T)

e2e: venv images ## Real kubelet, real Envoy, real vLLM on the local cluster
	$(PYTEST) tests/e2e -m "not unproven" --timeout 600 $(T)

e2e-unproven: venv images ## The end-to-end tests that have not been seen to pass yet
	$(PYTEST) tests/e2e -m unproven --timeout 900 $(T)

##@ The local cluster
.PHONY: debian tools helm cluster-up cluster-down cluster-status images
debian: ## Install the Debian packages that the cluster needs
	@$(CLUSTER) debian

tools: ## Build Kubernetes, etcd, containerd and Helm from source (once; about ten minutes on two cores)
	@$(CLUSTER) tools

helm:
	@$(CLUSTER) tools helm

cluster-up: ## Start a single-node Kubernetes in a network namespace of its own
	@$(CLUSTER) up

cluster-down: ## Stop it; no process, mount, network namespace or link stays
	@$(CLUSTER) down

cluster-status: ## What runs, and how to point kubectl at it
	@$(CLUSTER) status

images: cluster-up ## Build the operator, sidecar and engine images and import them
	@$(CLUSTER) images

##@ Measurements
.PHONY: bench-warmup bench-agent bench-sidecar bench-reconcile
bench-warmup: venv images ## First-token times after Ready, with warm-up and without
	$(PY) -m tests.bench.bench_warmup

bench-agent: venv ## What the agent takes of memory and CPU, and how fast its probes answer
	$(PY) -m tests.bench.bench_agent

bench-sidecar: venv ## What the sidecar costs per request and per streamed chunk
	$(PY) -m tests.bench.bench_sidecar

bench-reconcile: venv ## What a visit of the operator costs that finds nothing to do
	$(PY) -m tests.bench.bench_reconcile

##@ Generated files
.PHONY: crds docs flags golden format locks
crds: venv ## crds/ and the chart's CRD, from operator/src/fairlead/api
	$(PY) -m fairlead.api.crd --write

docs: venv ## docs/reference, from the same
	$(PY) -m fairlead.api.docs --write

flags: venv ## The table of an engine's flags: make flags HELP=FILE (its --help=all) TABLE=vllm-0.32
	@test -n '$(HELP)' -a -n '$(TABLE)' || { echo 'Which help, and which table? make flags HELP=help.txt TABLE=vllm-0.32' >&2; exit 1; }
	$(PY) -m fairlead.resources.engine_flags.generate '$(HELP)' > '$(FLAGS)/$(TABLE).json.new'
	mv '$(FLAGS)/$(TABLE).json.new' '$(FLAGS)/$(TABLE).json'

golden: venv helm ## Rewrite the golden files of the unit tests; read the diff before you commit it
	FAIRLEAD_UPDATE_GOLDEN=1 $(UNIT) $(T)

format: venv ## Let ruff format and mend what it can
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

locks: venv ## Lock files with hashes, from the requirements.in beside each
	$(foreach d,operator runtime/agent tests,(cd $(d) && $(PIP_COMPILE) requirements.in);)

##@ House
.PHONY: venv clean
venv: $(VENV)/.complete ## The Python environment of the tests, from the locked requirements

$(VENV)/.complete:
	@test -s tests/requirements.txt || { echo 'tests/requirements.txt is missing: make locks writes it.' >&2; exit 1; }
	@mkdir -p $(CACHE)
	@exec 9>$(VENV).lock; flock 9; test -e $@ && exit 0; \
	  echo 'Python environment $(VENV) (once; about a minute)'; \
	  $(PYTHON3) -m venv --clear $(VENV) || { \
	    echo '$(PYTHON3) cannot make virtual environments. Debian: apt-get install python3-venv' >&2; exit 1; }; \
	  $(VENV)/bin/pip install --disable-pip-version-check --require-hashes --only-binary=:all: -r tests/requirements.txt && \
	  touch $@

clean: ## Remove what the tools left in the work tree (the cache stays; remove it with: rm -r CACHE)
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -r {} +
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
