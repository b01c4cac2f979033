# Two commands matter: `make demo` and `make test`. `make tables` measures the paper's tables anew,
# which takes hours; `make figures` renews what README and docs show of measured rows. `make
# test-next` runs what depends on NumPy and CompressAI with the next version of both; it compiles
# CompressAI, so `make test` does without.
# All create the environment first.
# The environment lives outside the checkout and is keyed by what it installs, so a second run,
# or a second checkout, finds it ready.
PYTHON ?= python3
CACHE  ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/latentopt
KEY    := $(shell (cat pyproject.toml; $(PYTHON) -V) | cksum | cut -d' ' -f1)
VENV   ?= $(CACHE)/venv-$(KEY)
PY     := $(VENV)/bin/python
JOBS   ?= $(shell getconf _NPROCESSORS_ONLN)
READY  := $(VENV)/.ready
# CompressAI's next latent codecs on NumPy 2; all else is the first environment's.
NEXT   ?= $(CACHE)/next-$(KEY)

# The checkout's code runs, not an installed copy: several checkouts can share one environment.
export PYTHONPATH := $(CURDIR)
# Tests start dozens of processes, each of which would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE
# PyTorch's types are read once, whichever the checkout.
export MYPY_CACHE_DIR := $(VENV)/mypy

.PHONY: demo test pytest test-next lint bench tables figures clean-env
demo: $(READY)
	$(PY) scripts/demo.py

# mypy runs in one process: beside the tests it takes time that they leave.
test: $(READY)
	$(MAKE) --no-print-directory --jobs 2 lint pytest

# A process that has done its share takes half of what is left of another's. Those that tests start
# have one thread, too: several would wait for each other, as all cores are taken.
pytest: export OMP_NUM_THREADS := 1
pytest: $(READY)
	$(PY) -m pytest --numprocesses $(JOBS) --dist worksteal

test-next: $(NEXT)/.ready
	$(NEXT)/bin/python -m pytest tests/adapters tests/bitstream tests/codec tests/latents tests/zoo

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(READY)
	$(PY) scripts/timing.py

tables: $(READY)
	$(PY) -m tables all --jobs $(JOBS)
	$(PY) -m tables table1 figure4 --data clic --jobs $(JOBS)

figures: $(READY)
	$(PY) -m tables figures

# Its name says what is in it: a newer file of the same content is no reason to install again.
$(READY):
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --editable '.[dev]'
	touch $@

$(NEXT)/.ready: $(READY)
	$(PYTHON) -m venv $(NEXT)
	$(NEXT)/bin/python -m pip install --quiet --upgrade pip setuptools wheel pybind11
	$(NEXT)/bin/python -m pip install --quiet --no-deps 'numpy>=2'
	$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	  `$(NEXT)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'`/first.pth
	$(NEXT)/bin/python -m pip install --quiet --no-deps --no-build-isolation compressai-temp==1.2.9.dev0
	touch $@

clean-env:
	rm -rf $(VENV) $(NEXT)
