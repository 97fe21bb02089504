# What is done with this project. Everything it needs lands in .venv and in uv's cache.
#
#   make demo   the main job on this machine: a ZIP of photos in, a trained LoRA out
#   make test   the checks and the fast tests: before each commit
#   make proof  the long proofs: whole sweeps, fault schedules, model check, IAM mutations, containers
#   make check  format, lint, types, layers, template, and that the docs are current
#   make canary the functions and the pipeline, with secrets and names in all data: none gets out
#   make chaos  the pipeline under every fault, SEEDS=2000 schedules of them; one table
#   make bench-faces  how faces are found and told apart on free photos, and what that costs; tables
#   make bench  time, memory, calls and dollars beside what people would use instead; TOPICS='copy check …' for some
#   make iam    what each function may and uses, and what breaks without it; one table
#   make venv   just .venv, with the `lora-drop` command and uv in it
#   make deploy the stack into your AWS account: ENV=dev|prod PARAMETERS='NAME=VALUE …'
#               KEY_FILE=FILE or FAL_KEY for the fal key, REPLACE_KEY=1 for another one,
#               DELETE_FAILED=1 to delete what is left of a first deployment that failed
#   make pins   compile the pinned requirements from pyproject.toml

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
FUNCTIONS := submit webhook store reconcile jobs forget notify fetch
# Any Python from 3.10 on can start; uv then finds or fetches 3.13.
STARTER = $(firstword $(foreach name,python3.13 python3 python,$(shell \
	$(name) -c 'import sys, pip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 && echo $(name))))
STARTED := .lora-drop/uv-$(UV_VERSION)
UV := $(STARTED)/bin/uv
VENV := .venv/.complete
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"

.PHONY: help venv demo test proof check canary chaos bench bench-faces iam deploy pins
help:
	@sed -n 's/^#   //p' Makefile

venv: $(VENV)

$(UV):
	@[ -n "$(STARTER)" ] || { echo "missing: Python 3.10 or newer with pip (python3 -m pip)" >&2; exit 1; }
	@mkdir -p .lora-drop
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt > "$(STARTED).txt" # with its hashes
	PIP_ROOT_USER_ACTION=ignore $(STARTER) -m pip install --quiet --disable-pip-version-check --upgrade \
	  --require-hashes --target "$(STARTED)" --requirement "$(STARTED).txt"

$(VENV): $(UV) requirements-dev.txt pyproject.toml hatch_build.py
	"$(UV)" venv --quiet --clear --python 3.13 .venv
	"$(UV)" pip sync --quiet --require-hashes requirements-dev.txt # Python compiles what is imported, when it is
	"$(UV)" pip install --quiet --no-deps --editable .
	@touch $@

demo: venv
	@$(RUN) lora-drop demo

# A file in one worker; a third one, since the tests of the deployed stack mostly wait. The tests come last,
# so that the last line is pytest's.
PYTEST := pytest -n 3 --dist loadfile --no-loadscope-reorder

test: check
	@$(RUN) $(PYTEST) -m "not proof and not containers"

SCHEDULES ?= 500
proof: venv
	@$(RUN) python -m tests.resilience.faults --seeds "$(SCHEDULES)" --only crash --only schedules --only model
	@$(RUN) $(PYTEST) -m "proof and not stack"
	@$(RUN) pytest -m "(proof and stack) or containers" # one after the other: each needs the machine

canary: venv
	@$(RUN) python -m tests.security.canary

SEEDS ?= 200
chaos: venv
	@$(RUN) python -m tests.resilience.faults --seeds "$(SEEDS)"

PEERS := .lora-drop/bench/.complete
$(PEERS): requirements-bench.txt | $(VENV)
	@$(RUN) uv venv --quiet --clear --python 3.13 .lora-drop/bench
	@$(RUN) uv pip sync --quiet --require-hashes --python .lora-drop/bench requirements-bench.txt
	@touch $@

bench: venv $(PEERS)
	@$(RUN) python -m benchmarks $(TOPICS)
	@$(RUN) python -m lora_drop.dev.docs # the pages that have these figures

bench-faces: venv
	@$(RUN) python -m benchmarks.faces

iam: venv
	@$(RUN) python -m tests.security.iam

# Which environment is said each time, and never by what a shell has exported. PARAMETERS, KEY_FILE, REPLACE_KEY
# and DELETE_FAILED come as variables: no shell reads them once more, and the key is on no command line.
deploy: venv
	@$(RUN) lora-drop deploy '$(if $(filter command%,$(origin ENV)),$(filter dev prod,$(ENV)),)'

# What takes longest is checked again only where it has changed.
TEMPLATE := .lora-drop/template-checked
$(TEMPLATE): template.yaml docs/deploying-role.yaml .checkov.yaml samconfig.toml requirements-dev.txt \
		shared/lora_drop/local/tools.py | $(VENV)
	@$(RUN) python -m lora_drop.local.tools sam validate --lint --region us-east-1
	@$(RUN) cfn-lint --include-checks I --regions us-east-1 -- template.yaml docs/deploying-role.yaml
	@$(RUN) python -m lora_drop.local.tools checkov --config-file .checkov.yaml
	@touch $@

check: venv $(TEMPLATE)
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) lint-imports
	@$(RUN) python -m lora_drop.dev.docs --check

COMPILE := uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate \
	--python-version 3.13

pins: venv
	@$(RUN) $(COMPILE) --universal --group dev --extra local --extra ui --output-file requirements-dev.txt pyproject.toml
	@$(RUN) $(COMPILE) --universal --group bench --output-file requirements-bench.txt
	@for name in $(FUNCTIONS); do \
	  $(RUN) $(COMPILE) --python-platform aarch64-manylinux_2_28 --constraint requirements-dev.txt \
	    --group "$$name" \
	    --output-file "functions/$$name/requirements.txt"; \
	done
