# The C samples: `make samples-c` leaves each at build/samples/KIND/NAME, with debug information, and
# a stripped copy beside it at NAME.stripped. Samples of libraries that are not installed are left out.

# Every function in one piece: lldb before 21 does not get out of one whose cold part gcc has put
# elsewhere (docs/debuggers.md).
SAMPLE_CFLAGS := -std=gnu11 -O2 -g -fno-reorder-blocks-and-partition -Wall -Wextra -Werror -I. \
	-Isamples/c
SAMPLE_CXXFLAGS := -std=gnu++17 -O2 -g -fno-reorder-blocks-and-partition -Wall -Wextra -Werror \
	-I. -Isamples/c
SAMPLE_OUT := build/samples

# Runtime and what the samples share; everything else in samples/c is one program a file.
SAMPLE_CORO_SHARED := account coro coro_describe coro_wait sample
SAMPLE_CORO_OBJS := $(SAMPLE_CORO_SHARED:%=$(SAMPLE_OUT)/c/obj/%.o) $(SAMPLE_OUT)/c/obj/coro_switch.o
SAMPLE_CORO_NAMES := $(filter-out $(SAMPLE_CORO_SHARED),$(basename $(notdir $(wildcard samples/c/*.c))))
SAMPLE_C := $(SAMPLE_CORO_NAMES:%=$(SAMPLE_OUT)/c/%)

$(SAMPLE_OUT)/c/obj/%.o: samples/c/%.c $(wildcard samples/c/*.h) coreanalyze/describe.h samples/samples.mk
	@mkdir -p $(@D)
	$(CC) $(SAMPLE_CFLAGS) -c -o $@ $<

$(SAMPLE_OUT)/c/obj/%.o: samples/c/%.S samples/samples.mk
	@mkdir -p $(@D)
	$(CC) $(SAMPLE_CFLAGS) -c -o $@ $<

$(SAMPLE_OUT)/c/%: $(SAMPLE_OUT)/c/obj/%.o $(SAMPLE_CORO_OBJS)
	$(CC) $(SAMPLE_CFLAGS) -o $@ $(filter-out %.h,$^) -lpthread

$(SAMPLE_OUT)/%.stripped: $(SAMPLE_OUT)/%
	strip -o $@ $<

# On the libraries of others: one program a file, where the header is there.
sample_has = $(if $(wildcard $(addprefix /usr/include/,$(1)) $(addprefix /usr/local/include/,$(1))),yes)

ifneq ($(call sample_has,st.h),)
SAMPLE_ST := $(patsubst samples/state-threads/%.c,$(SAMPLE_OUT)/state-threads/%,$(wildcard samples/state-threads/*.c))
endif
ifneq ($(call sample_has,pth.h),)
SAMPLE_PTH := $(patsubst samples/pth/%.c,$(SAMPLE_OUT)/pth/%,$(wildcard samples/pth/*.c))
endif
ifneq ($(call sample_has,boost/fiber/all.hpp),)
SAMPLE_FIBER := $(patsubst samples/boost-fiber/%.cpp,$(SAMPLE_OUT)/boost-fiber/%,$(wildcard samples/boost-fiber/*.cpp))
endif

$(SAMPLE_OUT)/state-threads/%: samples/state-threads/%.c $(SAMPLE_OUT)/c/obj/account.o
	@mkdir -p $(@D)
	$(CC) $(SAMPLE_CFLAGS) -o $@ $(filter-out %.h,$^) -lst -lpthread

$(SAMPLE_OUT)/pth/%: samples/pth/%.c $(SAMPLE_OUT)/c/obj/account.o
	@mkdir -p $(@D)
	$(CC) $(SAMPLE_CFLAGS) -o $@ $(filter-out %.h,$^) -lpth -lpthread

$(SAMPLE_OUT)/boost-fiber/%: samples/boost-fiber/%.cpp $(SAMPLE_OUT)/c/obj/account.o
	@mkdir -p $(@D)
	$(CXX) $(SAMPLE_CXXFLAGS) -o $@ $(filter-out %.h,$^) -lboost_fiber -lboost_context -lpthread

SAMPLE_ALL := $(SAMPLE_C) $(SAMPLE_ST) $(SAMPLE_PTH) $(SAMPLE_FIBER)

.SECONDARY:
.PHONY: samples-c
samples-c: $(SAMPLE_ALL) $(SAMPLE_ALL:%=%.stripped)
