# The commands of the repository; see the README.
.SUFFIXES:
.PHONY: build schema demo test gstreamer wheels arm64 guest docs bench bench-loopback bench-python bench-waits bench-output bench-view bench-coverage soak compare lab fuzz lint clean

PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md $(shell find src python -name '*.rs' -o -name '*.py*')

build: .venv/built

# After a change of what a report has.
schema: build
	$(PYTHON) -m tools.schema

.venv/tools: pyproject.toml tools/setup
	tools/setup build
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --upgrade 'pip>=25.1'
	$(PYTHON) -m pip install --quiet --group dev
	touch $@

.venv/built: .venv/tools $(SOURCES)
	$(PYTHON) -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Guests are an addition: what can't have them says so and goes on without.
.PHONY: guests
guests:
	@tools/setup guests || echo "no guests here, for the reason above" >&2

.PHONY: browser
browser:
	@tools/setup browser || echo "no browser here, for the reason above" >&2

.PHONY: lava
lava:
	@tools/setup lava || echo "no LAVA schema here, for the reason above" >&2

.PHONY: rack
rack:
	@tools/setup lab || echo "no boards here to test labs with, for the reason above" >&2

demo: build guests
	$(PYTHON) -m guests.demo

test: build guests browser lava rack
	cargo test --no-default-features --quiet
	$(PYTHON) -m pytest -m 'not vivid and not gstreamer'
	$(PYTHON) -m guests.guest --or-here -- python -m pytest -p no:cacheprovider -m vivid

# The real unixfdsrc at a receiver's socket: here, and in a guest, where there are DMABUFs.
gstreamer: build guests
	tools/setup gstreamer
	$(PYTHON) -m pytest -m gstreamer
	$(PYTHON) -m guests.guest -- python -m pytest -p no:cacheprovider -m gstreamer

# Wheels for x86-64 and arm64 into dist/; five minutes.
wheels:
	tools/wheels

# The arm64 wheel, tried under emulation; five minutes after `make wheels`.
arm64: build
	tools/arm64
	tools/arm64-guest

guest: build guests
	@$(if $(value RUN),,$(error say what to run: make guest RUN='v4l2-ctl --all'))
	@$(PYTHON) -m guests.guest --vivid '$(value VIVID)' -- '$(subst ','\'',$(value RUN))'

# An hour. PEERS=FILE adds peers, BENCH=OPTIONS are options of `python -m bench.between_guests`.
bench: bench-loopback guests
	$(PYTHON) -m guests.guest -- python -m bench.overrun
	$(PYTHON) -m bench.between_guests $(if $(PEERS),--peers '$(PEERS)') $(BENCH)

compare: build guests
	tools/setup xen
	$(PYTHON) -m bench.xen

# Two guests as a lab's boards, behind ssh: three minutes.
lab: build guests
	tools/setup lab
	$(PYTHON) -m guests.lab

# Five minutes; WAITS=OPTIONS are options of `python -m bench.waits`.
bench-waits: build
	$(PYTHON) -m bench.waits $(WAITS)

# A minute or two; SOAK='--seconds 3600' is an hour of 1080p instead of a million small frames.
soak: build
	$(PYTHON) -m bench.soak $(SOAK)

bench-view: build
	$(PYTHON) -m bench.view

bench-output: build guests
	$(PYTHON) -m guests.guest -- python -m bench.output_device

# Twelve minutes; REPETITIONS=N for fewer or more than 2000.
bench-coverage: build
	OPENBLAS_NUM_THREADS=1 $(PYTHON) bench/coverage.py $(REPETITIONS)

# A quarter of an hour; the instructions need valgrind.
bench-python: build guests
	$(PYTHON) -m bench.frames
	$(PYTHON) -m guests.guest -- python -m bench.frames --device /dev/video0

bench-loopback: build
	tools/setup bench
	$(PYTHON) -m bench.loopback

# Needs a nightly Rust and cargo-fuzz (cargo install cargo-fuzz). FUZZ_SECONDS=N runs each target
# for as long.
FUZZ_SECONDS := 300
FUZZ_TARGETS := wire control
fuzz:
	for target in $(FUZZ_TARGETS); do \
	    (cd fuzz && cargo +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096) || exit; \
	done

# The Python API's reference, from its docstrings and stubs, into target/docs.
docs: build
	PYTHONPATH= pdoc --template-directory tools/reference --output-directory target/docs v4l_dmabuf v4l_dmabuf.errors v4l_dmabuf.probe

lint: build
	cargo fmt --check
	cargo clippy --all-targets --quiet -- --deny warnings
	cargo clippy --all-targets --no-default-features --quiet -- --deny warnings
	ruff check .
	ruff format --check .
	mypy
	basedpyright
	$(PYTHON) -m mypy.stubtest --allowlist tools/stubtest.allow --ignore-unused-allowlist v4l_dmabuf

clean:
	rm -rf .venv target demo
