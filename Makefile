# make demo       install, then a search of a minute on synthetic images with two DDP workers
# make test       the test suite;  make test-slow: the tests that train, kill and restart;  make check: ruff and mypy
# make test-all   the two of them and test-cluster, tests without Ray in the time that those on hosts leave
# make test-faults    of everything that can be killed, stopped, filled up or torn, one of each kind, and how long it took
# make test-nightly   what the others leave out: all other faults, long repetitions of what shorter tests show
# make test-gpu   families, toolbox, memory, ranks and broken devices on one CUDA GPU; CIFARRAY_TEST_DEVICE=cpu without
# make test-cluster   `ray up`, a search and the death of a host, on hosts in network namespaces; needs root
# make ui         MLflow's pages for the results in STORAGE
# make cluster    a local Ray head that jobs can be submitted to;  make stop-cluster ends it
# make cluster-check [FILE=cluster.yaml] [PRICES='m7i.xlarge=0.2 …']   what `ray up` would launch, and what it costs
# make constraints                                                     the versions of this .venv, for all nodes
# make pictures STUDY=FOLDER                                           README's pictures, of the study in that folder
.PHONY: demo install test test-slow test-all test-faults test-nightly test-gpu test-cluster check ui
.PHONY: cluster stop-cluster cluster-check constraints pictures install-head start-mlflow stop-mlflow stop-machines

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STORAGE ?= $(or $(CIFARRAY_STORAGE),$(HOME)/cifarray-results)
MLFLOW_TRACKING_URI ?= sqlite:///$(STORAGE)/mlflow.db
PORT ?= 5000
FILE ?= cluster.yaml
STUDY ?= $(STORAGE)/wrn
CLOUD ?= aws
# A node that does not answer three times for 5 s is dead (Ray's own: five times for 10 s, more than a minute).
HEALTH := RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=5000 RAY_health_check_failure_threshold=3
SUPERVISOR := cifarray/cluster_file/mlflow.conf

install: $(VENV)/.installed
# pip itself reads PIP_CONSTRAINT: cluster nodes set it. EXTRAS='test head-aws' installs with it what `make test` and
# `make install-head` would find missing.
COMMA := ,
SPACE := $(subst $(COMMA),,$(COMMA) $(COMMA))
WITH := $(if $(EXTRAS),[$(subst $(SPACE),$(COMMA),$(subst -,$(COMMA),$(strip $(EXTRAS))))])
$(VENV)/.installed: pyproject.toml $(wildcard $(PIP_CONSTRAINT))
	$(PYTHON) -m venv $(VENV)
	@echo "installing (torch, Ray and MLflow: some minutes the first time)"
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.$(WITH)'
	@touch $@ $(patsubst %,$(VENV)/.installed-%,$(EXTRAS))

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

$(VENV)/.installed-check: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[check]'
	@touch $@

# What a cluster's head has beside the others: MLflow's keeper, and what Ray asks the CLOUD for nodes with.
install-head: $(VENV)/.installed-head-$(CLOUD)
$(VENV)/.installed-head-$(CLOUD): $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[head,$(CLOUD)]'
	@touch $@

$(VENV)/.installed-cluster: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[cluster]'
	@touch $@

demo: install
	$(BIN)/python jobs/tune_wrn.py --smoke --workers 2 --storage '$(STORAGE)'
	@echo "before these commands: source $(VENV)/bin/activate; MLflow's pages without it: make ui"

# Tests that start no Ray run on all cores, a thread each, those of one file in one process, since they share what takes
# long to make; those that start one run one after the other.
PYTEST := $(BIN)/python -m pytest
ON_ALL_CORES := --numprocesses logical --dist loadfile

test: $(VENV)/.installed-test
	$(PYTEST) $(ON_ALL_CORES) -m "not ray and not slow and not nightly and not cluster and not gpu"
	$(PYTEST) -m "ray and not slow and not nightly and not cluster"

test-slow: $(VENV)/.installed-test
	$(PYTEST) $(ON_ALL_CORES) -m "not ray and slow and not nightly and not cluster"
	$(PYTEST) -m "ray and slow and not nightly and not cluster"

# Those with Ray want the machine for themselves: anything beside them costs them more than it gains. Those on hosts wait
# for much, and the rest takes that time.
test-all: $(VENV)/.installed-test install-head
	$(PYTEST) -m "ray and not nightly and not cluster"
	@nice -n 10 $(PYTEST) $(ON_ALL_CORES) -m "not ray and not nightly and not cluster and not gpu" > $(VENV)/test.log 2>&1 & \
		others=$$!; trap "kill $$others" INT TERM; \
		$(PYTEST) -m "cluster and not nightly" -rs tests/cluster; cluster=$$?; \
		wait $$others; others=$$?; cat $(VENV)/test.log; [ $$cluster = 0 ] && [ $$others = 0 ]

test-nightly: $(VENV)/.installed-test install-head
	$(PYTEST) $(ON_ALL_CORES) -m "not ray and nightly and not cluster"
	$(PYTEST) -m "ray and nightly and not cluster"
	$(PYTEST) -m "nightly and cluster" -rs
	CIFARRAY_TEST_DEVICE=cpu $(PYTEST) $(ON_ALL_CORES) tests/gpu

test-faults: $(VENV)/.installed-test
	$(PYTEST) -m "faults and not nightly" -s

test-gpu: $(VENV)/.installed-test
	$(PYTEST) -rs tests/gpu

test-cluster: $(VENV)/.installed-test install-head
	$(PYTEST) -m "cluster and not nightly" -rs tests/cluster

check: $(VENV)/.installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# For one pair of eyes: one process, which is there sooner than four, and no agents' jobs; it says only what goes wrong.
ui: install
	@echo "MLflow: http://127.0.0.1:$(PORT)/#/experiments/1/runs?workflowType=machine_learning (Ctrl-C ends it)"
	@PYTHONWARNINGS=ignore MLFLOW_LOGGING_LEVEL=WARNING MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
		$(BIN)/mlflow ui --host 127.0.0.1 --port $(PORT) --workers 1 --uvicorn-opts '--log-level warning' \
		--backend-store-uri '$(MLFLOW_TRACKING_URI)'

# The token is made once, for the user's eyes alone. Jobs without a working dir start where `ray start` was run, and find
# the `python` that was on its PATH.
cluster: install
	@umask 077; $(BIN)/ray get-auth-token --generate > /dev/null 2> $(VENV)/cluster.log || { cat $(VENV)/cluster.log; exit 1; }
	@$(HEALTH) RAY_AUTH_MODE=token PATH="$(CURDIR)/$(BIN):$$PATH" \
		$(BIN)/python -m cifarray.cluster_file head $(VENV)/cluster.log

stop-cluster:
	@RAY_AUTH_MODE=token $(BIN)/ray stop

cluster-check: $(VENV)/.installed-cluster
	@$(BIN)/python -m cifarray.cluster_file check $(FILE) $(PRICES)

# The versions that are installed here, of what a cluster's nodes need; what is not installed here, as pip would choose.
constraints: install
	$(BIN)/pip freeze --exclude-editable > $(VENV)/tested.txt
	$(BIN)/pip install --quiet --dry-run --ignore-installed --constraint $(VENV)/tested.txt --report $(VENV)/report.json \
		--editable '.[head,aws,gcp]'
	$(BIN)/python -m cifarray.cluster_file pins $(VENV)/report.json > $(VENV)/pins.txt && mv $(VENV)/pins.txt constraints.txt

pictures: install
	@$(BIN)/python docs/pictures.py $(STUDY)

# Ended first if it runs, so that it has the variables of now. On a new head, what the head before it had copied to the
# storage comes first; a storage that cannot be used ends it here, since supervisord would try for ever.
start-mlflow: stop-mlflow
	@$(BIN)/python -m cifarray.cluster_file restore
	@$(BIN)/supervisord --configuration $(SUPERVISOR)

# The last thing that supervisord does is to remove its pid.
stop-mlflow:
	@if $(BIN)/supervisorctl --configuration $(SUPERVISOR) shutdown > /dev/null 2>&1; then \
		while [ -e ~/mlflow-supervisor.pid ]; do sleep 0.1; done; fi

# On the head of own machines, before `ray down`, which would leave the workers and MLflow's server running.
stop-machines: stop-mlflow
	@$(BIN)/python -m cifarray.cluster_file stop
