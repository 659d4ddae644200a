# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Everything is built under build/. `make V=1` shows the commands.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
CLANG ?= $(firstword $(foreach c,clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14,$(if $(shell command -v $(c)),$(c))) clang)
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
B := build
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

LIBS := libbpf libxdp libelf zlib yaml-0.1 jansson libmicrohttpd libpcap
WARNINGS := -Wall -Wextra $(if $(CI),-Werror)
CFLAGS ?= -O2 -g
DEFINES ?=
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(DEFINES) -Iinclude -Iuser -I$(B)/gen -DSIPDAM_VERSION='"$(VERSION)"' $(CFLAGS)
ARCH_INCLUDE := /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-function $(DEFINES) -Iinclude -I$(ARCH_INCLUDE)

USER_SOURCES := $(wildcard user/*.c)
USER_OBJECTS := $(USER_SOURCES:user/%.c=$(B)/user/%.o)
HEADERS := $(wildcard include/sipdam/*.h user/*.h)
SKELETONS := $(B)/gen/sipdam.skel.h $(B)/gen/egress.skel.h $(B)/gen/entry.skel.h
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*_test.c))
PROG_TESTS := $(patsubst tests/prog/%.c,$(B)/tests/prog/%,$(wildcard tests/prog/*_test.c))
LAB := $(patsubst tests/lab/%.c,$(B)/lab/%,$(filter-out %.bpf.c,$(wildcard tests/lab/*.c)))

.PHONY: all deps-check lab run check check-unit check-prog check-e2e bench bench-peers install uninstall clean format

all: $(B)/sipdam

# A build without its dependencies names them and the command that installs them, once, before any compiler does.
deps-check: $(B)/.deps
$(B)/.deps: scripts/install-deps
	$(Q)scripts/install-deps --check build
	$(Q)mkdir -p $(B) && touch $@

# The same for the tests that `make check-unit` and `make check-prog` build on their own.
$(B)/.deps-unit: scripts/install-deps
	$(Q)scripts/install-deps --check unit
	$(Q)mkdir -p $(B) && touch $@

$(B)/gen/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) $(HEADERS) | $(B)/.deps
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(B)/gen/%.skel.h: $(B)/gen/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@

$(B)/user/%.o: user/%.c $(HEADERS) Makefile | $(B)/.deps $(SKELETONS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(B)/user/filter.o $(B)/user/egress.o: $(SKELETONS)

# explain tells what the program would do by the arithmetic of the program.
$(B)/user/explain.o: $(wildcard bpf/*.h)

$(B)/sipdam: $(USER_OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $$($(PKG_CONFIG) --libs $(LIBS))

# tests: a unit test names its sources in a line "// uses: FILE...", and any test more libraries in "// libs: NAME..."
UNIT_FLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all -Iinclude -Iuser -Ibpf -I. -DSIPDAM_VERSION='"$(VERSION)"'
$(B)/tests/unit/%: tests/unit/%.c $(USER_SOURCES) $(HEADERS) $(wildcard bpf/*.h tests/unit/*.h) | $(B)/.deps-unit
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_FLAGS) -o $@ $< $$(sed -n 's|^// uses:||p' $<) \
		$$($(PKG_CONFIG) --libs cmocka yaml-0.1 jansson libpcap $$(sed -n 's|^// libs:||p' $<))

$(B)/tests/prog/%: tests/prog/%.c $(wildcard tests/prog/*.h tests/unit/*.h) $(filter-out $(B)/user/main.o,$(USER_OBJECTS)) \
		| $(B)/.deps-unit
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Werror -Itests -o $@ $< $(filter-out $(B)/user/main.o,$(USER_OBJECTS)) \
		$$($(PKG_CONFIG) --libs cmocka $(LIBS) $$(sed -n 's|^// libs:||p' $<))

lab: $(LAB)
LAB_LIBS := jansson
$(B)/lab/tls_caller: LAB_LIBS := openssl
$(B)/lab/flood: LAB_LIBS := libbpf
$(B)/lab/flood: $(B)/lab/live.skel.h
$(B)/lab/%: tests/lab/%.c $(wildcard tests/lab/*.h) | $(B)/.deps
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) -I$(B)/lab -o $@ $< $$($(PKG_CONFIG) --libs $(LAB_LIBS))

# `sudo make run` shows the filter at work between two private namespaces; IFACE=eth0 attaches it for real.
run:
	$(Q)scripts/install-deps run
	$(Q)$(MAKE) --no-print-directory all $(if $(IFACE),,lab)
ifdef IFACE
	$(Q)$(B)/sipdam attach $(IFACE) && scripts/next-steps $(IFACE)
else
	$(Q)scripts/demo
endif

E2E_TESTS := $(wildcard tests/e2e/*.bats)

# As many compilers at once as there are CPUs, unless make was told how many.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

# `sudo make check` installs what tests need, builds and runs them all; TESTS=... runs some of them.
check:
	$(Q)scripts/install-deps check
	$(Q)$(MAKE) --no-print-directory $(JOBS) check-build
	$(Q)tests/run $(or $(TESTS),$(UNIT_TESTS) $(PROG_TESTS) $(E2E_TESTS))

.PHONY: check-build
check-build: all lab $(UNIT_TESTS) $(PROG_TESTS) $(B)/tests/sibling/sipdam $(B)/tests/newer/sipdam

# What upgrades are tested with: this tool as another version of the same layout, and as one of a later layout whose
# counters have another shape.
SOURCES := $(USER_SOURCES) $(HEADERS) $(wildcard bpf/*.[ch]) Makefile
VERSIONED := $(shell grep -l SIPDAM_VERSION $(USER_SOURCES))
SIBLING_OBJECTS := $(VERSIONED:user/%.c=$(B)/tests/sibling/%.o)
$(B)/tests/sibling/%.o: user/%.c $(HEADERS) Makefile | $(B)/.deps $(SKELETONS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(subst "$(VERSION)","$(VERSION)-sibling",$(ALL_CFLAGS)) -c $< -o $@
$(B)/tests/sibling/filter.o: $(SKELETONS)
$(B)/tests/sibling/sipdam: $(SIBLING_OBJECTS) $(filter-out $(VERSIONED:user/%.c=$(B)/user/%.o),$(USER_OBJECTS))
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $$($(PKG_CONFIG) --libs $(LIBS))
$(B)/tests/newer/sipdam: $(SOURCES) | $(B)/.deps
	$(call say,BUILD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(MAKE) --no-print-directory B=$(@D) VERSION=99.0.0 DEFINES='-DSIPDAM_LAYOUT=99 -DSIPDAM_WORK_WORDS=112' $@ \
		>$(@D).log || { cat $(@D).log; exit 1; }

check-unit: $(UNIT_TESTS)
	$(Q)tests/run $^

check-prog: $(PROG_TESTS)
	$(Q)tests/run $^

check-e2e: check-build
	$(Q)tests/run $(E2E_TESTS)

# What becomes of a real platform's calls under each flood, without and with the filter: seven minutes, or half of
# it with RATE=10000 or RATE=100000.
.PHONY: platform
platform:
	$(Q)scripts/install-deps check
	$(Q)$(MAKE) --no-print-directory all lab
	$(Q)tests/e2e/platform/table $(RATE)

# Nanoseconds a packet of the program: ROUNDS=31 PACKETS=100000.
bench:
	$(Q)scripts/install-deps bench
	$(Q)$(MAKE) --no-print-directory $(B)/bench/bench $(B)/bench/egress
	$(Q)$(B)/bench/bench $(ROUNDS) $(PACKETS)
	$(Q)$(B)/bench/egress $(ROUNDS) $(PACKETS)

# The same flood at other filters too: ROUNDS=15 PACKETS=200000.
bench-peers:
	$(Q)scripts/install-deps peers
	$(Q)$(MAKE) --no-print-directory all lab $(B)/bench/sender
	$(Q)tests/bench/peers $(ROUNDS) $(PACKETS)

# Programs that send or vary packets, as skeletons beside the tools that run them.
define skeleton
$(call say,BPF,$<)
$(Q)mkdir -p $(@D)
$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $(@:.skel.h=.bpf.o)
$(Q)$(BPFTOOL) gen skeleton $(@:.skel.h=.bpf.o) name $*_bpf > $@.tmp && mv $@.tmp $@
endef
$(B)/bench/%.skel.h: tests/bench/%.bpf.c | $(B)/.deps
	$(skeleton)
$(B)/lab/%.skel.h: tests/lab/%.bpf.c tests/lab/live.h | $(B)/.deps
	$(skeleton)

$(B)/bench/bench: $(B)/bench/vary.skel.h
$(B)/bench/sender: $(B)/bench/sender.skel.h
$(B)/bench/%: tests/bench/%.c $(filter-out $(B)/user/main.o,$(USER_OBJECTS)) | $(B)/.deps
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -I$(B)/bench -o $@ $(filter %.c %.o,$^) $$($(PKG_CONFIG) --libs $(LIBS))

install: all
	$(Q)install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(Q)install -m 0755 $(B)/sipdam $(DESTDIR)$(PREFIX)/sbin/sipdam
	$(Q)install -m 0644 user/sipdam.8 $(DESTDIR)$(PREFIX)/share/man/man8/sipdam.8
	$(Q)install -m 0644 scripts/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sipdam
	@echo "installed $(DESTDIR)$(PREFIX)/sbin/sipdam, its manual page and bash completion"

uninstall:
	$(Q)rm -f $(DESTDIR)$(PREFIX)/sbin/sipdam $(DESTDIR)$(PREFIX)/share/man/man8/sipdam.8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sipdam

.SECONDARY:

clean:
	$(Q)rm -rf $(B)

format:
	$(Q)clang-format -i $(wildcard include/sipdam/*.h bpf/*.[ch] user/*.[ch] tests/*/*.[ch])

# The tool and the program on the oldest kernel supported, in QEMU. KERNELS='PACKAGE|FILE.deb|VMLINUZ...' names
# others; KEEP=1 keeps what the verifier counts in tests/kernel/verified.txt.
KERNEL_CLANGS := $(or $(foreach c,clang-14 clang-19,$(if $(shell command -v $(c)),$(c))),$(CLANG))
KERNEL_OBJECTS := $(foreach c,$(KERNEL_CLANGS),$(patsubst bpf/%.bpf.c,$(B)/kernel/$(c)/%.bpf.o,$(wildcard bpf/*.bpf.c)))

.PHONY: check-kernels check-kernels-build
check-kernels:
	$(Q)scripts/install-deps kernels
	$(Q)$(MAKE) --no-print-directory check-kernels-build
	$(Q)tests/kernel/run $(if $(KEEP),--keep) $(KERNELS)

check-kernels-build: all lab $(PROG_TESTS) $(B)/tests/newer/sipdam $(B)/kernel/load $(B)/kernel/neighbour.o $(KERNEL_OBJECTS)

# build/kernel/clang-14/sipdam.bpf.o is bpf/sipdam.bpf.c by clang-14.
$(B)/kernel/%.bpf.o: $(wildcard bpf/*.c bpf/*.h) $(HEADERS) | $(B)/.deps
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(notdir $(patsubst %/,%,$(dir $*))) $(BPF_CFLAGS) -c bpf/$(notdir $*).bpf.c -o $@

$(B)/kernel/neighbour.o: tests/kernel/neighbour.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(B)/kernel/load: tests/kernel/load.c | $(B)/.deps
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Werror -o $@ $< $$($(PKG_CONFIG) --libs libbpf)

# The model on fresh seeds and every fuzzer, an equal share of TIME each: make fuzz TIME=10m
TIME ?= 4m
FUZZERS := $(patsubst tests/fuzz/%_fuzz.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_FLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-function -Wno-missing-field-initializers \
	-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	-Iinclude -Iuser -Ibpf -I. -DSIPDAM_VERSION='"$(VERSION)"'

.PHONY: fuzz fuzz-build
fuzz:
	$(Q)scripts/install-deps fuzz
	$(Q)$(MAKE) --no-print-directory fuzz-build
	$(Q)tests/fuzz/run $(TIME) $(B)

fuzz-build: $(B)/tests/prog/model_test $(FUZZERS)

$(B)/fuzz/%: tests/fuzz/%_fuzz.c $(wildcard tests/fuzz/*.h) $(USER_SOURCES) $(HEADERS) $(wildcard bpf/*.h tests/*/*.h)
	$(call say,FUZZ,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -o $@ $< $$(sed -n 's|^// uses:||p' $<) $$($(PKG_CONFIG) --libs yaml-0.1 jansson libpcap)
