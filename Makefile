# Every way to work with p4alg. `make help` lists the targets.
PYTHON ?= python3
VENV    = .venv
PTFENV  = .venv-ptf
OVS     = $(VENV)/openvswitch
PY      = $(VENV)/bin/python
PIP     = 26.3
TARGET ?= embedded
TOPO   ?= nat
MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: help demo mininet setup unit check test test-all coverage lint ptf bench attack fuzz p4 tofino man completion deb clean

# Tests that need neither root nor a network, on all processors.
UNIT    = $(PY) -m pytest tests/unit tests/attack tests/fuzz tests/softswitch tests/dataplane -n auto \
          -m "not slow and not lab and not bmv2 and not p4c"
# Kept with the name of each test, for the report.
COVERED = --cov --cov-context=test --cov-report= --cov-fail-under=0
REPORT  = $(PY) tests/coverage_report.py

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: setup ## real daemons through the gateway (TARGET=embedded|bmv2)
	@$(PY) demo/run.py --target $(TARGET)

mininet: setup ## a lab in Mininet, its prompt (TOPO=office ..., TARGET, TEST=1)
ifdef TEST
	@$(PY) demo/run.py --mininet --topology $(TOPO) --target $(TARGET)
else
	@$(PY) -m p4alg lab mininet $(TOPO) --target $(TARGET) $(OPTIONS)
endif

setup: $(VENV)/.ready $(PTFENV)/.ready ## Debian packages, virtual environments, Python packages

unit: $(VENV)/.ready ## what needs neither root nor a network, in half a minute
	HYPOTHESIS_PROFILE=quick $(UNIT)

check: lint unit ## what to run before a commit

test: setup ## the whole test suite, and what of each module its tests cover
	$(UNIT) $(COVERED)
	$(PY) -m pytest tests/unit tests/softswitch tests/dataplane -m "not slow and (lab or bmv2 or p4c)"
	$(PY) -m pytest tests/integration
	@$(MAKE) --no-print-directory ptf
	@$(REPORT)

coverage: $(VENV)/.ready ## what of each module its own unit tests cover
	$(UNIT) $(COVERED)
	@$(REPORT)

test-all: test ## and what takes long: every scenario on BMv2 and in Mininet
	$(PY) -m pytest -m slow
	$(PTFENV)/bin/python ptf-tests/run.py --target embedded --workers 2

lint: $(VENV)/.ready ## style, types, and which package may import which
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

ptf: setup ## data-plane tests on the embedded switch, and on BMv2 where it is
	$(PTFENV)/bin/python ptf-tests/run.py --target embedded
	$(PTFENV)/bin/python ptf-tests/run.py --target bmv2

bench: setup $(OVS)/.ready ## figures of every target present, beside the kernel's NAT and OVS
	@$(PY) benchmarks/run.py

attack: setup ## every known attack on the running gateway, and what got through (TARGET=...)
	@$(PY) -m attacks.run $(if $(filter command line,$(origin TARGET)),--target $(TARGET)) $(OPTIONS)

fuzz: setup ## coverage-guided fuzzing of ALGs, stream and engine (MINUTES=10)
	@$(PY) -m tests.fuzz.run --minutes $(MINUTES) $(OPTIONS)

p4: ## compile the P4 program (needs p4c-bm2-ss on PATH)
	$(PYTHON) p4src/build.py

tofino: ## fit the program into Tofino, and renew the report (needs p4c-barefoot and bfas)
	$(PYTHON) p4src/tofino.py

man: $(VENV)/.ready ## manual pages, in build/man
	@$(PY) -m distribution.manpages build/man/man1

completion: $(VENV)/.ready ## completion of bash, zsh and fish, in build/completion
	@$(PY) -m distribution.completion build/completion

deb: $(VENV)/.ready ## a Debian package, in build/deb
	@$(PY) -m distribution.deb build/deb

clean: ## remove environments and caches
	rm -rf $(VENV) $(PTFENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage* ptf-tests/out build

# netifaces, which ptf needs, has no wheel for Python 3.11: gcc and the headers
# compile it.
PACKAGES = python3-venv python3-dev gcc iproute2 ethtool tcpdump vsftpd lftp curl openssl nftables netsniff-ng \
  tftpd-hpa tftp-hpa atftp pptpd pptp-linux coturn \
  sip-tester kamailio baresip-core \
  gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good ffmpeg \
  charon-systemd strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins \
  mininet python3-yaml iputils-ping xterm \
  chromium chromium-driver nfdump
# What Debian does not let us install beside one of those is unpacked only.
UNPACKED = atftpd proftpd-core libmemcached11 libmemcachedutil2 libhashkit2 libpcre2-posix3

# Open vSwitch is for the benchmarks only, which run its programs from where they are unpacked.
OVS_PACKAGES = openvswitch-switch openvswitch-common libxdp1 libbpf1 libunbound8 libevent-2.1-7 \
  libnuma1 libcap-ng0

# Debian's Mininet is a package of the system's Python, and of Python only: a link shows it,
# and nothing else of that Python, to ours.
MININET = /usr/lib/python3/dist-packages/mininet

.debian-ready: Makefile
	@missing=""; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then echo "setup: installing$$missing"; \
	  apt-get -qq update && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	  apt-get -qq install -y --no-install-recommends $$missing >/dev/null; fi
	@touch $@

$(VENV)/.ready: pyproject.toml | .debian-ready
	@echo "setup: $(VENV) (p4alg and its tools)"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check pip==$(PIP)
	@$(PY) -m pip install -q --disable-pip-version-check -e '.[console,export]' --group dev
	@ln -sfn $(MININET) $$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/mininet
	@cd $(VENV) && for p in $(UNPACKED); do \
	  apt-get -qq download $$p 2>/dev/null && dpkg-deb -x $${p}_*.deb debian && rm $${p}_*.deb; done
	@touch $@

$(OVS)/.ready: | $(VENV)/.ready
	@echo "setup: $(OVS) (Open vSwitch, for figures beside ours)"
	@mkdir -p $(OVS) && cd $(OVS) && for p in $(OVS_PACKAGES); do \
	  apt-get -qq download $$p 2>/dev/null && dpkg-deb -x $${p}_*.deb . && rm $${p}_*.deb; done; \
	  test -x usr/lib/openvswitch-switch/ovs-vswitchd && touch .ready || \
	  { cd .. && rm -rf openvswitch && echo "setup: Debian's Open vSwitch cannot be had, its column is left out"; }

$(PTFENV)/.ready: pyproject.toml | .debian-ready
	@echo "setup: $(PTFENV) (PTF and p4runtime-shell)"
	@$(PYTHON) -m venv $(PTFENV)
	@$(PTFENV)/bin/python -m pip install -q --disable-pip-version-check pip==$(PIP)
	@$(PTFENV)/bin/python -m pip install -q --disable-pip-version-check --group ptf
	@touch $@
