# Each command is enough on a fresh machine with Python >= 3.11 and a C++ compiler: it makes the
# virtual environment .venv when none is active, and installs into it what it needs.
#
#   make demo    cluster real data beside scikit-learn: a table here, a page in demo_output/
#   make test    all tests but the slow ones
#   make oldest  tests of every floor with the oldest versions of what clusterlib uses
#   make bench   the short bench, under five minutes
#   make papers  one trend of each paper reproduced, under fifteen minutes, in docs/papers
#   make docs    the documentation, in docs/_build/html; its code is run
#   make lint    ruff, as a check and for the format
#   make sanitize   build the kernels with sanitizers, twice, and test them: bad memory, races
#   make coverage   which lines of the kernels the tests run
#   make fuzz       ten minutes each of broken files and of wrong arguments
#   make clean   remove what the commands above have made

RUFF := ruff>=0.17,<0.18

ifdef VIRTUAL_ENV
VENV := $(VIRTUAL_ENV)
else
VENV := $(CURDIR)/.venv
endif
PY := $(VENV)/bin/python
# A second environment; the extension module is that of the first, so that nothing is compiled.
OLDEST := $(CURDIR)/.venv-oldest
PIP := $(PY) -m pip --disable-pip-version-check
# One folder per clone: several may share an environment.
STAMPS := $(VENV)/.clusterlib$(subst /,-,$(CURDIR))

# The install is editable: what runs is this source tree, with the extension module built into
# it, so an edited Python file needs no command, and edited C++ or metadata renews the install.
# Device sources are read as they are when they are used.
BUILD_INPUTS := pyproject.toml setup.py \
	$(shell find csrc -path csrc/cuda -prune -o -type f -not -name '.*' -print)

# What the oldest versions do not do: Parquet refuses nulls in fixed lists by itself, in other words;
# scikit-learn 1.6 wants weights of GridSearchCV requested by score as well.
LATER_VERSIONS := test_block_arrow.py::test_nulls_are_refused_with_their_row \
	estimators/test_known_label_shift.py::test_metadata_is_routed_to_the_classifier
TESTS_OF_EVERY_FLOOR := tests/metrics tests/datasets tests/plotting tests/test_blocks.py \
	$(patsubst %,tests/test_block_%.py,arrow csr dask) \
	$(patsubst %,tests/kernels/test_%.py,backends centers moments pairwise) \
	$(patsubst %,tests/estimators/test_%.py,dask_workers kmeans known_label_shift ot_prototypes \
	persistence safe_persistence sdp_clustering simplex_nmf sinkhorn_transport \
	subclass_classifier) \
	$(patsubst %,--deselect tests/%,$(LATER_VERSIONS))

.PHONY: demo test oldest bench papers docs lint sanitize coverage fuzz clean
.DELETE_ON_ERROR:

demo: $(STAMPS)/demo
	$(PY) -m clusterlib.demo

# On all cores; tests of one file stay mostly together, because they share what was prepared.
test: $(STAMPS)/test
	$(PY) -m pytest -q -n auto --dist worksteal

oldest: $(STAMPS)/test $(OLDEST)/installed
	$(OLDEST)/bin/python -m pytest -q -n auto --dist worksteal $(TESTS_OF_EVERY_FLOOR)

bench: $(STAMPS)/bench
	$(PY) -m bench.run --short

papers: $(STAMPS)/papers
	$(PY) -m bench.papers

docs: $(STAMPS)/docs
	$(PY) -m sphinx -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html
	$(PY) -m sphinx -W --keep-going -q -b doctest -d docs/_build/doctrees docs docs/_build/doctest

lint: $(STAMPS)/lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# Builds of their own, in build/instrumented, with GCC on Linux.
sanitize: $(STAMPS)/test
	$(PY) -m tests.instrumented address
	$(PY) -m tests.instrumented thread

coverage: $(STAMPS)/test
	@$(PIP) install --quiet "gcovr>=8"
	$(PY) -m tests.instrumented coverage

fuzz: $(STAMPS)/test
	-@$(PIP) install --quiet atheris
	$(PY) -m tests.fuzz.files -max_total_time=600
	$(PY) -m tests.fuzz.bindings -max_total_time=600

$(STAMPS)/demo: EXTRAS := numba,cvx,plot
$(STAMPS)/test: EXTRAS := test,numba,cvx,plot
$(STAMPS)/bench: EXTRAS := bench,numba
$(STAMPS)/papers: EXTRAS := numba
$(STAMPS)/docs: EXTRAS := docs,numba

$(STAMPS)/demo $(STAMPS)/test $(STAMPS)/bench $(STAMPS)/papers $(STAMPS)/docs: $(BUILD_INPUTS) | $(PY)
	@echo "Building and installing clusterlib[$(EXTRAS)] into $(VENV) ..."
	@$(PIP) install --quiet --editable ".[$(EXTRAS)]"
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/lint: Makefile | $(PY)
	@$(PIP) install --quiet "$(RUFF)"
	@mkdir -p $(STAMPS) && touch $@

$(OLDEST)/installed: pyproject.toml tests/oldest.py | $(PY)
	@$(PY) -m venv --clear $(OLDEST)
	$(PY) -m tests.oldest > $(OLDEST)/requirements.txt
	@$(OLDEST)/bin/pip --disable-pip-version-check install --quiet -r $(OLDEST)/requirements.txt
	@touch $@

# The first Python on the path that is new enough.
$(PY):
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$($$python --version)"; exec $$python -m venv $(VENV); \
	  fi; \
	done; echo "clusterlib needs Python >= 3.11, and none was found on the path" >&2; exit 1

clean:
	rm -rf $(STAMPS) .venv $(OLDEST) build dist demo_output docs/_build *.egg-info clusterlib/kernels/_native*.so
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
