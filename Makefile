# Byre's commands. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help up down status logs clean install test test-slow debian-image faults lint format bench compose-test

PYTHON := .venv/bin/python
STACK := $(PYTHON) -m deploy.stack
SHELL_SCRIPTS := deploy/install deploy/libvirtd deploy/compose-secrets deploy/console-pages \
	deploy/container/compute \
	guest/build guest/build-debian tests/compose/run tests/compose/stand-ins/postgres/entrypoint .ci/run

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

up: ## Install what is missing, start everything, boot a first server
	@deploy/install
	@$(STACK) up

down: ## Stop everything; leave no process, domain, network or bridge
	@[ ! -x $(PYTHON) ] || $(STACK) down

status: ## Show each part, and how many servers there are
	@[ -x $(PYTHON) ] || { echo 'Byre is not installed here yet: make up.'; exit 1; }
	@$(STACK) status

logs: ## Follow the logs; make logs PART=api for one
	@[ -x $(PYTHON) ] || { echo 'Byre is not installed here yet: make up.'; exit 1; }
	@$(STACK) logs $(PART)

clean: ## make down, and remove the stack's data
	@[ ! -x $(PYTHON) ] || $(STACK) clean

install: ## Install what is missing, for the tests too
	@deploy/install --test

# The crash test asserts times and keeps both cores busy: nothing runs beside it.
NONE_SELECTED := 5
# Much of a test is waiting: one more than the two cores that it is meant for.
WORKERS := 3

test: install ## Run every test, real boots included; ARGS='-k word' for some
	@$(PYTHON) -m pytest tests/crash $(ARGS) || [ $$? -eq $(NONE_SELECTED) ]
	@$(PYTHON) -m pytest --ignore tests/crash --numprocesses $(WORKERS) --dist loadgroup \
		--no-loadscope-reorder $(ARGS)

DEBIAN_IMAGE := .byre/images/debian-12.qcow2

debian-image: install ## Build a Debian 12 cloud image, unless it is there (root; 5 minutes)
	@[ -e $(DEBIAN_IMAGE) ] || guest/build-debian $(DEBIAN_IMAGE)

test-slow: install debian-image ## Run the tests that take minutes: a Debian guest, by BIOS and UEFI
	@$(PYTHON) -m pytest -m slow $(ARGS)

faults: install ## Kill, empty, repeat and delay everything at every stage; print what became of it
	@$(PYTHON) -m tests.crash

lint: install ## Check style, types and who may import whom
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports --no-cache
	shellcheck $(SHELL_SCRIPTS)

format: install ## Put the code into its form
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

bench: install ## Measure POST to ACTIVE; ARGS for its options
	@$(PYTHON) -m bench $(ARGS)

compose-test: install ## Take a server through its life in docker-compose (root; not part of make test)
	@tests/compose/run
