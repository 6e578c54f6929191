# coreanalyze: `make help` lists the targets.
#
# Sources are found by wildcard, so a new file or a room that is still empty needs no line here.
# SANITIZE=1 builds the same things under build/asan with AddressSanitizer and UBSan.

# The version of the library, of `coreanalyze --version` and of the newest node in the symbol map.
# This is the only place where it is written by hand; tools/check-version compares the rest.
VERSION := 0.1.0
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

CC ?= gcc
AR ?= ar
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Werror
prefix ?= /usr/local
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
datadir ?= $(prefix)/share

ifdef SANITIZE
BUILD := build/asan
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
BUILD := build
SANITIZERS :=
endif

GENERATED := $(BUILD)/gen
# What the library exports is said in one place, its symbol map; nothing is interposed.
ALL_CFLAGS = -std=gnu11 $(WARNINGS) -D_GNU_SOURCE -DCA_VERSION='"$(VERSION)"' \
	-DCA_DATADIR='"$(datadir)/coreanalyze"' -Icoreanalyze -I$(GENERATED) -fPIC \
	-fno-semantic-interposition $(SANITIZERS) $(CFLAGS) -MMD -MP
LIBS := -ldw -lelf -lyaml

ROOMS := base target symbols unwind runtimes runtimes/go runtimes/described analysis output
LIB_SOURCES := $(sort $(wildcard coreanalyze/*.c $(ROOMS:%=coreanalyze/%/*.c)))
CLI_SOURCES := $(sort $(wildcard coreanalyze/cli/*.c))
DESCRIPTIONS := $(sort $(wildcard coreanalyze/runtimes/descriptions/*.yaml))
MAP := $(wildcard coreanalyze/libcoreanalyze.map)

# The header that declares the embedded descriptions. Without it nothing could read them.
EMBEDDED_HEADER := $(firstword $(shell grep -ls ca_embedded_descriptions \
	coreanalyze/runtimes/described/*.h))

LIB_OBJECTS := $(LIB_SOURCES:coreanalyze/%.c=$(BUILD)/obj/%.o)
BASE_OBJECTS := $(filter-out %/error.o,$(filter $(BUILD)/obj/base/%,$(LIB_OBJECTS)))
CLI_OBJECTS := $(CLI_SOURCES:coreanalyze/%.c=$(BUILD)/obj/%.o)
ifneq ($(EMBEDDED_HEADER),)
LIB_OBJECTS += $(BUILD)/obj/descriptions.o
endif

UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/*.c)))
ORACLES := $(patsubst tests/oracle/%.c,$(BUILD)/oracle/%,$(sort $(wildcard tests/oracle/*.c)))
# Files in tests/unit that are no test themselves are shared by all of them.
UNIT_SHARED := $(patsubst tests/unit/%.c,$(BUILD)/obj/unit/%.o,\
	$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))

SHARED := $(BUILD)/libcoreanalyze.so
ARCHIVE := $(BUILD)/libcoreanalyze.a
PROGRAM := $(BUILD)/coreanalyze

# One short line for each step; V=1 shows the commands.
ifdef V
Q :=
say = @:
else
Q := @
say = @printf '  %-5s %s\n'
endif

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all demo check check-full check-asan run-check unit unit-programs bench lint layouts \
	install uninstall help clean

all: $(if $(LIB_SOURCES),$(SHARED) $(ARCHIVE)) $(if $(CLI_SOURCES),$(PROGRAM))

help:
	@echo 'make            build $(PROGRAM) and $(SHARED)'
	@echo 'make demo       build leaking programs, let them crash, show what coreanalyze says'
	@echo 'make check      unit and integration tests (installs from Debian what is missing)'
	@echo 'make check-full the same, with the long ones'
	@echo 'make check-asan the same as check, everything built with ASan and UBSan'
	@echo 'make bench      time and memory beside other tools'
	@echo 'make lint       format, include directions, file lengths'
	@echo 'make layouts    write the built-in layout rows again'
	@echo 'make install    to $(prefix); set prefix or DESTDIR to change it'
	@echo 'make uninstall  takes away what install put there'
	@echo 'make clean      removes build/'
	@echo
	@echo 'SANITIZE=1 builds into build/asan with the sanitizers.'

# The library

$(BUILD)/obj/%.o: coreanalyze/%.c Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/obj/descriptions.o: $(GENERATED)/descriptions.c Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(GENERATED)/descriptions.c: $(DESCRIPTIONS) $(EMBEDDED_HEADER) tools/embed-descriptions
	@mkdir -p $(@D)
	$(Q)tools/embed-descriptions $(EMBEDDED_HEADER:coreanalyze/%=%) $(DESCRIPTIONS) >$@

# Lists that change when a file comes or goes, so that what is linked from them is linked again.
$(BUILD)/%.list: FORCE
	@mkdir -p $(@D)
	@echo '$($*)' | cmp -s - $@ || echo '$($*)' >$@
.PHONY: FORCE
FORCE:
$(GENERATED)/descriptions.c: $(BUILD)/DESCRIPTIONS.list

$(SHARED): $(LIB_OBJECTS) $(MAP) $(BUILD)/LIB_OBJECTS.list tools/check-version
	$(Q)tools/check-version sources $(VERSION) $(MAP)
	$(say) LD $@
	$(Q)$(CC) -shared -o $@.$(VERSION) $(SANITIZERS) $(CFLAGS) $(LDFLAGS) $(LIB_OBJECTS) \
		-Wl,-soname,libcoreanalyze.so.$(SOVERSION) $(MAP:%=-Wl,--version-script=%) \
		-Wl,--no-undefined -Wl,--as-needed $(LIBS)
	$(Q)ln -sf libcoreanalyze.so.$(VERSION) $@.$(SOVERSION)
	$(Q)ln -sf libcoreanalyze.so.$(VERSION) $@

$(ARCHIVE): $(LIB_OBJECTS) $(BUILD)/LIB_OBJECTS.list
	$(say) AR $@
	@rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJECTS)

# base/ is not exported, but the command may use it: it gets its own copy, but for errors:
# whoever frees an error must be the library that made it.
$(BUILD)/libbase.a: $(BASE_OBJECTS) $(BUILD)/LIB_OBJECTS.list
	$(say) AR $@
	@rm -f $@
	$(Q)$(AR) rcs $@ $(BASE_OBJECTS)

$(PROGRAM): $(CLI_OBJECTS) $(SHARED) $(BUILD)/libbase.a $(BUILD)/CLI_OBJECTS.list
	$(say) LD $@
	$(Q)$(CC) -o $@ $(SANITIZERS) $(CFLAGS) $(LDFLAGS) $(CLI_OBJECTS) $(SHARED) $(BUILD)/libbase.a \
		-Wl,-rpath,'$$ORIGIN:$$ORIGIN/../lib' -Wl,--as-needed $(LIBS)
	$(Q)tools/check-version program $(VERSION) $@

# Tests

$(BUILD)/obj/unit/%.o: tests/unit/%.c Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(ALL_CFLAGS) -Itests/unit -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/obj/unit/%.o $(UNIT_SHARED) $(ARCHIVE)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) -o $@ $(SANITIZERS) $(CFLAGS) $(LDFLAGS) $< $(UNIT_SHARED) $(ARCHIVE) \
		$(WRAPPED:%=-Wl,--wrap=%) $(LIBS) -lcmocka

# Programs that damage what they read, in a loop; tests/integration runs them.
$(BUILD)/fuzz/%: tests/fuzz/%.c $(wildcard tests/fuzz/*.h) $(ARCHIVE) Makefile
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(ARCHIVE) $(LIBS)

$(BUILD)/oracle/%: tests/oracle/%.c $(ARCHIVE) Makefile
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(ARCHIVE) $(LIBS)

# See tests/unit/fail_alloc.h.
WRAPPED := malloc calloc realloc

unit-programs: $(UNIT_TESTS) $(FUZZERS) $(ORACLES)

unit: $(UNIT_TESTS)
	tests/run-unit $(UNIT_TESTS)

# Packages first: only then can anything be built. Without -j all processors are used.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

check:
	tools/install-deps check
	$(MAKE) $(JOBS) run-check

# In parts, and on from where it was ended: FULL='--for 60' or FULL=truth runs some of them.
check-full:
	tools/install-deps check
	tests/check-full --asan $(FULL)

check-asan:
	tools/install-deps check
	$(MAKE) $(JOBS) SANITIZE=1 run-check

run-check: all unit-programs
	tests/run-unit $(UNIT_TESTS)
	tests/run-integration $(PROGRAM) $(SHARED)

lint:
	tools/install-deps lint
	$(MAKE) $(JOBS) all
	tests/lint/run $(ARCHIVE)

bench:
	@test -x tests/bench/run || { echo 'make bench: tests/bench/run does not exist yet' >&2; exit 2; }
	tools/install-deps bench
	$(MAKE) $(JOBS) all
	tests/bench/run $(PROGRAM) $(if $(HEAP),--heap $(HEAP))

layouts:
	@test -x tools/layouts || { echo 'make layouts: tools/layouts does not exist yet' >&2; exit 2; }
	tools/layouts

demo:
	tools/install-deps demo
	$(MAKE) $(JOBS) all
	samples/demo $(PROGRAM)

# Installing

PUBLIC_HEADERS := coreanalyze.h base/error.h describe.h
PYTHON_ROOMS := gdb lldb coreanalyze/python
# gdb reads this folder when it starts. lldb has none of the kind, only ~/.lldbinit.
gdbinitdir ?= $(if $(filter /usr /usr/local,$(prefix)),/etc,$(prefix)/etc)/gdb/gdbinit.d

# The header is used as <coreanalyze/coreanalyze.h>; it finds base/error.h beside itself.
install: all
	@test -x $(PROGRAM) || { echo 'make install: there is no command to install yet' >&2; exit 2; }
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)
	install -m 755 $(PROGRAM) $(DESTDIR)$(bindir)/coreanalyze
	install -m 755 $(SHARED).$(VERSION) $(DESTDIR)$(libdir)/
	ln -sf libcoreanalyze.so.$(VERSION) $(DESTDIR)$(libdir)/libcoreanalyze.so.$(SOVERSION)
	ln -sf libcoreanalyze.so.$(VERSION) $(DESTDIR)$(libdir)/libcoreanalyze.so
	for f in $(PUBLIC_HEADERS); do \
		install -D -m 644 coreanalyze/$$f $(DESTDIR)$(includedir)/coreanalyze/$$f || exit 1; done
	install -d $(DESTDIR)$(datadir)/coreanalyze/runtimes
	for f in $(DESCRIPTIONS); do \
		install -m 644 $$f $(DESTDIR)$(datadir)/coreanalyze/runtimes/ || exit 1; done
	for r in $(PYTHON_ROOMS); do for f in $$r/*.py; do test -e $$f || continue; \
		install -D -m 644 $$f $(DESTDIR)$(datadir)/coreanalyze/$${r##*/}/$${f##*/} || exit 1; \
		done; done
	install -d $(DESTDIR)$(datadir)/doc/coreanalyze
	install -m 644 docs/*.md $(DESTDIR)$(datadir)/doc/coreanalyze/
	install -d $(DESTDIR)$(gdbinitdir)
	echo 'source $(datadir)/coreanalyze/gdb/leaks.py' >$(DESTDIR)$(gdbinitdir)/coreanalyze.gdb
	@echo 'for lldb, put into ~/.lldbinit: command script import $(datadir)/coreanalyze/lldb/leaks.py'

uninstall:
	rm -f $(DESTDIR)$(gdbinitdir)/coreanalyze.gdb
	rm -f $(DESTDIR)$(bindir)/coreanalyze $(DESTDIR)$(libdir)/libcoreanalyze.so \
		$(DESTDIR)$(libdir)/libcoreanalyze.so.$(SOVERSION) \
		$(DESTDIR)$(libdir)/libcoreanalyze.so.$(VERSION)
	rm -rf $(DESTDIR)$(datadir)/coreanalyze $(DESTDIR)$(datadir)/doc/coreanalyze \
		$(DESTDIR)$(includedir)/coreanalyze

clean:
	rm -rf build

-include samples/samples.mk

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
