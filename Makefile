# make demo   hear the whole path run (sets everything up at first use)
# make test   lint and tests
# make bench  measure how fast it is, into build/bench/; MINUTES=10 for ten minutes of each graph
# make data   fetch the sounds, simulate the rooms, store the mixtures, into data/ (25 GB)
# make setup  only set up
# make robot  set up what a robot needs: no torch, nothing to train or test with
# make clean  delete what set-up, demo and tests made; data/ stays
SHELL := /bin/bash
PYTHON := $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python3.10,$(shell command -v $(name))))

.PHONY: demo test bench data setup robot clean

demo: setup
	@source ./env.sh && seld-overlap demo

test: setup
	@source ./env.sh && ruff check . && python -m pytest

MINUTES := 1
bench: setup
	@source ./env.sh && python tools/bench.py --minutes $(MINUTES)

data: setup
	@source ./env.sh && seld-overlap data sounds && seld-overlap data rooms && seld-overlap data mix

setup robot:
	@$(if $(PYTHON),,echo "set-up: no Python found; install it with: sudo apt-get install python3 python3-dev python3-venv" >&2; exit 1)
	@$(PYTHON) tools/bootstrap.py $(if $(filter robot,$@),--robot)

clean:
	rm -rf .venv build install .pytest_cache .hypothesis .ruff_cache
