# mxm-secrets: `make` alone builds the program and lists the other targets.

PREFIX  ?= /usr/local
DESTDIR ?=

CARGO   ?= cargo
MACHINE := $(shell uname -m)
# What `static`, `dist` and `deb` build for: also aarch64-unknown-linux-musl on an x86_64 machine.
TARGET  ?= $(MACHINE)-unknown-linux-musl
NATIVE  := target/release/mxm-secrets
STATIC  := target/$(TARGET)/release/mxm-secrets
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# The static build where its target is installed: it starts twice as fast as the native one.
HAS_TARGET := $(wildcard $(shell rustc --print target-libdir --target $(TARGET) 2>/dev/null))
PROGRAM  ?= $(if $(HAS_TARGET),$(STATIC),$(NATIVE))
# What `install` takes: what is built, so that root needs no cargo.
BUILT     = $(firstword $(wildcard $(PROGRAM) $(STATIC) $(NATIVE)))

# Systems that cannot be run here, but type-checked.
FOREIGN  := aarch64-apple-darwin x86_64-unknown-freebsd

# What these cost those who do not use them is measured beside a program without them.
FEATURES := $(shell sed -n 's/^default = \[\(.*\)\]/\1/p' Cargo.toml | tr -d '",')
WITHOUT  := age vault

# The other processor: built here, and run under an emulator.
EMULATED := aarch64-unknown-linux-musl

# The fuzz targets, and how long each runs. The sanitizer wants what only a nightly compiler gives unasked.
FUZZ    := names command_line configuration gopass age vault fields
SECONDS ?= 15
fuzz: export RUSTC_BOOTSTRAP := 1

# C parts of the libraries need a C compiler for musl; gcc makes what they need. It links for another processor, too.
cross = $(if $(filter $(1),$(MACHINE)),gcc,$(1)-linux-gnu-gcc)
export CC_x86_64_unknown_linux_musl ?= $(call cross,x86_64)
export CC_aarch64_unknown_linux_musl ?= $(call cross,aarch64)
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER ?= $(CC_aarch64_unknown_linux_musl)

# The static program is the same, byte for byte, wherever it is built: no path of this machine gets into it, nor into
# the objects that ring's C is compiled to, which have theirs for a debugger.
CARGO_FILES := $(or $(CARGO_HOME),$(HOME)/.cargo)
REMAP   := --remap-path-prefix=$(CURDIR)=mxm-secrets --remap-path-prefix=$(CARGO_FILES)=cargo
REMAP_C := -ffile-prefix-map=$(CURDIR)=mxm-secrets -ffile-prefix-map=$(CARGO_FILES)=cargo
# What runs at every start lies together in it: .ci/order. The names there are those of the newer mangling, which say all
# of a function.
ORDER   := -C symbol-mangling-version=v0 -C link-arg=-Wl,-T,.ci/order.ld
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS ?= $(REMAP) $(ORDER)
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS ?= $(REMAP) $(ORDER)
export CFLAGS_x86_64_unknown_linux_musl ?= $(REMAP_C)
export CFLAGS_aarch64_unknown_linux_musl ?= $(REMAP_C)

.PHONY: all help build static wheel python test fmt lint type deny msrv miri doc check docs bench install uninstall dist deb image reproducible version portable lean shipped emulated fuzz mutants coverage clean
.DEFAULT_GOAL := all

all: $(PROGRAM)
	@echo 'Built $(PROGRAM). Install it with: sudo make install. The other targets:'
	@$(MAKE) --no-print-directory help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

build: ## release build for this machine
	$(CARGO) build --release

static: ## release build, static (musl), for TARGET
	@test -n "$(HAS_TARGET)" || { echo 'make static: rustup target add $(TARGET) is needed first' >&2; exit 1; }
	$(CARGO) build --release --locked --target $(TARGET)

test: ## all tests, or those of TESTS='get:: name::', with the real programs; installs what is missing
	tests/programs/install
	$(CARGO) test --all-features $(if $(TESTS),--lib --test all -- $(TESTS))

# What is found goes to fuzz/target/found, what fails to fuzz/artifacts; the corpus stays as it is.
fuzz: ## every fuzz target for SECONDS (15); needs cargo-fuzz
	@command -v cargo-fuzz >/dev/null || { echo 'make fuzz: cargo install cargo-fuzz is needed first' >&2; exit 1; }
	$(CARGO) fuzz build
	@for target in $(FUZZ); do \
	    found=fuzz/target/found/$$target; log=$$found.log; mkdir -p $$found || exit 1; \
	    $(CARGO) fuzz run $$target $$found fuzz/corpus/$$target -- -max_total_time=$(SECONDS) -timeout=10 \
	        -max_len=4096 -print_final_stats=1 >$$log 2>&1 || { cat $$log; exit 1; }; \
	    echo "$$target: $$(sed -n 's/^stat::number_of_executed_units: *//p' $$log) inputs"; done

# Status 3: some ended by the time limit alone, which is noticed as well; it does not say whether others have survived.
mutants: MUTANTS := $(CARGO) mutants --config .ci/mutants.toml
mutants: ## change what is trusted most, bit by bit: some test must notice; needs cargo-mutants
	$(MUTANTS) -f src/name.rs -f src/chain.rs -f src/report.rs -f src/parallel.rs -f src/secret.rs \
	    -f src/process.rs -f 'src/process/*.rs' -- --lib || [ $$? = 3 ] && [ ! -s mutants.out/missed.txt ]
	$(MUTANTS) -f src/cli.rs -F 'Status::worse|From<&Outcome>|replace (run -> u8|explain -> Status)' \
	    -- --lib --test all -- cli::tests get:: || [ $$? = 3 ] && [ ! -s mutants.out/missed.txt ]

# A program that becomes another one, or ends by a signal, writes no counters at its end; these are written all the time.
coverage: export LLVM_PROFILE_FILE_NAME := mxm-secrets-%p-%m%c.profraw
coverage: export RUSTFLAGS += -C llvm-args=--runtime-counter-relocation
coverage: ## which lines the tests run; needs cargo-llvm-cov
	$(CARGO) llvm-cov --all-features --ignore-run-fail

# What is built for it is kept apart from the program and the tests themselves.
portable: ## tests without the parts that only Linux has, as on other systems
	RUSTC_WORKSPACE_WRAPPER='$(CURDIR)/.ci/portable-rustc' CARGO_BUILD_BUILD_DIR=target CARGO_TARGET_DIR=target/portable \
	    $(CARGO) test --locked --all-features --lib --test all -- \
	    $(or $(TESTS),portable:: process:: sys:: watch:: age::prompt get:: exec:: resolve:: list_backends:: config::own)

lean: ## the tests of the configuration with a program that lacks most backends
	$(CARGO) test --no-default-features --features config --test all -- $(or $(TESTS),config::refs config::own sets::)

shipped: static ## the tests that start the program, with the static one: what is shipped
	MXM_SECRETS_TEST_PROGRAM='$(abspath $(STATIC))' $(CARGO) test --all-features --test all -- $(TESTS)

# Not what traces or limits the program from outside: that would be the emulator, which has no TCGETS2 for a terminal's
# echo either.
emulated: ## the tests that can, with the static program for aarch64 under qemu-user
	$(MAKE) static TARGET=$(EMULATED)
	MXM_SECRETS_TEST_RUNNER=qemu-aarch64 MXM_SECRETS_TEST_PROGRAM='$(abspath target/$(EMULATED)/release/mxm-secrets)' \
	    $(CARGO) test --all-features --test all -- --skip=leaks:: --skip=faults:: --skip=release:: --skip=differential \
	    --skip=age::prompt:: --skip=a_plugin_may_ask_a_person

# rustfmt follows only the modules that it finds; the backends are declared by a macro.
HIDDEN_FROM_FMT := $(wildcard src/backend/*.rs)

fmt: ## format the source
	$(CARGO) fmt
	rustfmt --edition 2024 $(HIDDEN_FROM_FMT)
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

lint: ## clippy, warnings denied; shellcheck on the scripts
	$(CARGO) clippy --all-features --all-targets -- -D warnings
	$(CARGO) clippy --no-default-features --all-targets -- -D warnings
	if command -v shellcheck >/dev/null; then shellcheck tests/programs/build tests/programs/install tests/systemd/boot tests/systemd/stores tests/podman/set-up $(filter-out .ci/mutants.toml .ci/order .ci/order.ld .ci/sbom .ci/wheel .ci/systemd,$(wildcard .ci/*)); \
	else echo 'make lint: shellcheck is not installed: the scripts are not checked' >&2; test -z "$$CI"; fi

type: ## cargo check: all features and targets, and none; the same for macOS and FreeBSD
	$(CARGO) check --all-features --all-targets
	$(CARGO) check --no-default-features
	.ci/foreign $(FOREIGN)

deny: ## licences, duplicates, sources, and advisories from MXM_SECRETS_ADVISORY_DB: cargo-deny
	.ci/deny

msrv: ## cargo check with the oldest Rust that Cargo.toml promises, where rustup has it
	.ci/msrv

miri: ## the tests of memory and signals under Miri, where rustup has it: no data race, no undefined behavior
	.ci/miri

doc: ## the library's documentation, warnings denied
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --all-features --no-deps

check: ## everything that must hold before a change lands
	$(CARGO) fmt --check
	rustfmt --edition 2024 --check $(HIDDEN_FROM_FMT)
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(MAKE) lint type deny msrv doc test
	$(if $(HAS_TARGET),$(MAKE) python,@echo "make check: no target $(TARGET): the Python package is not tested (rustup target add $(TARGET))" >&2)

docs: ## rewrite the man page, the completions, the README's synopsis and tests/api.txt from the source
	MXM_SECRETS_DOCS=write $(CARGO) test --all-features --lib docs
	MXM_SECRETS_DOCS=write $(CARGO) test --all-features --test all house::

bench: $(PROGRAM) $(WITHOUT:%=target/without/%) ## whole processes, side by side, beside their goals
	MXM_SECRETS_BENCH='$(abspath $(PROGRAM))' MXM_SECRETS_BENCH_WITHOUT='$(abspath target/without)' \
	    $(CARGO) bench --all-features --bench processes

# PROGRAM without one feature; cargo knows whether there is anything to do.
.PHONY: $(WITHOUT:%=target/without/%)
$(WITHOUT:%=target/without/%): target/without/%: $(PROGRAM)
	$(CARGO) build --release --locked $(if $(HAS_TARGET),--target $(TARGET)) --target-dir target/without \
	    --no-default-features --features '$(filter-out $*,$(FEATURES))'
	cp '$(PROGRAM:target/%=target/without/%)' '$@'

$(STATIC): static
$(NATIVE): build

# Not enabled: they answer nobody before there is a configuration for them.
UNITS := $(if $(filter Linux,$(shell uname -s)),mxm-secrets-credential.socket mxm-secrets-credential@.service)

install: ## the built program, its man page, completions and systemd units (PREFIX, DESTDIR)
	@test -n '$(BUILT)' || { echo 'make install: run make first, as yourself: it builds the program' >&2; exit 1; }
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1' \
	    '$(DESTDIR)$(PREFIX)/share/bash-completion/completions' \
	    '$(DESTDIR)$(PREFIX)/share/zsh/site-functions' '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d'
	install -m 755 '$(BUILT)' '$(DESTDIR)$(PREFIX)/bin/mxm-secrets'
	install -m 644 man/mxm-secrets.1 '$(DESTDIR)$(PREFIX)/share/man/man1/mxm-secrets.1'
	install -m 644 completions/mxm-secrets.bash '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/mxm-secrets'
	install -m 644 completions/_mxm-secrets '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_mxm-secrets'
	install -m 644 completions/mxm-secrets.fish '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/mxm-secrets.fish'
	$(if $(UNITS),install -d '$(DESTDIR)$(PREFIX)/lib/systemd/system')
	$(if $(UNITS),install -m 644 $(UNITS:%='.ci/systemd/%') '$(DESTDIR)$(PREFIX)/lib/systemd/system')

uninstall: ## take away what install has put there
	rm -f '$(DESTDIR)$(PREFIX)/bin/mxm-secrets' '$(DESTDIR)$(PREFIX)/share/man/man1/mxm-secrets.1' \
	    '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/mxm-secrets' \
	    '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_mxm-secrets' \
	    '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/mxm-secrets.fish' \
	    $(UNITS:%='$(DESTDIR)$(PREFIX)/lib/systemd/system/%')

dist: static ## a tarball with all that a user needs, in target/dist, and the sums of what is there
	.ci/dist '$(TARGET)'
	@test "$$(wc -c <'target/dist/mxm-secrets-$(VERSION)-$(TARGET).tar.gz')" -lt 3145728 || { echo 'make dist: the tarball is not below 3 MiB' >&2; exit 1; }

deb: static ## a Debian package of the same
	.ci/deb '$(TARGET)'

image: static ## an OCI archive of the program and the license alone, for COPY --from
	.ci/image '$(TARGET)'

# One for each processor that this machine builds for.
WHEELS = $(foreach machine,x86_64 aarch64,$(if $(and \
    $(wildcard $(shell rustc --print target-libdir --target $(machine)-unknown-linux-musl 2>/dev/null)), \
    $(shell command -v $(call cross,$(machine)))),$(machine)-unknown-linux-musl))

wheel: ## the Python package: wheels of the static programs, and the source distribution
	rm -f target/dist/mxm_secrets-*
	@test -n '$(WHEELS)' || { echo 'make wheel: rustup target add $(TARGET) is needed first' >&2; exit 1; }
	for target in $(WHEELS); do $(MAKE) static TARGET=$$target && .ci/wheel $$target || exit 1; done
	tools=$$(tests/programs/build wheel) && "$${tools%/*}/maturin" sdist --out target/dist 2>/dev/null || { echo 'make wheel: no maturin, so no source distribution' >&2; test -z "$$CI"; }

python: wheel ## the tests of the Python package, with every Python from 3.11 on
	.ci/python

reproducible: ## build the tarball and the package twice, in different places, and compare
	.ci/reproducible '$(TARGET)'

version: ## the next version in every file that names it: make version NEW=1.2.3
	.ci/version '$(NEW)'
	$(MAKE) docs

clean: ## remove what was built
	$(CARGO) clean
