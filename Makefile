# ClipBERT as Unix filters.  GNU make, no configure step.
#
#	make		build everything under build/
#	make demo	the whole thing on data that it makes itself
#	make check	every test, under prove	(TESTS='t/1*.t' for some)
#	make bench	the model against PyTorch and the peak; FULL=1
#	make bench-media	time to get frames, against peers from PyPI
#	make bench-clips	what --clip-memory costs and saves
#	make check-bert	our encoder against PyTorch on a BERT from PyPI
#	make bench-stream	what the link between two programs saves
#	make bench-cuda	the same on a GPU, or what can be said without one
#	make budget	cuda/budget.txt again, of the kernels as they are now
#	make cuda	the CUDA engine, cb_cuda.so, by nvcc of $(CUDA)
#	make fuzz	every parser under libFuzzer, FUZZ_SECONDS=60 each
#	make install	programs and man pages to $(DESTDIR)$(PREFIX)
#	make SAN=address,undefined ...	any of these with sanitizers
#
# The Debian packages it takes; `make deps` installs the missing ones.
PACKAGES = gcc g++ make pkg-config perl python3 jq mandoc lmdb-utils \
	libavformat-dev libavcodec-dev libswscale-dev libavutil-dev \
	libjpeg62-turbo-dev libpng-dev liblmdb-dev \
	libmsgpack-dev libjansson-dev libutf8proc-dev libmd-dev \
	libdnnl-dev librandom123-dev
PKGS := libavformat libavcodec libswscale libavutil libjpeg libpng lmdb \
	msgpack jansson libutf8proc libmd

PREFIX ?= /usr/local
comma := ,
B := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

CC = gcc
OPT = -O2 -g
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wno-format-truncation -Werror=implicit
# Under libFuzzer the targets of t/fuzz-*.c have no main() of their own.
CFLAGS += -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) -Ilib -fno-math-errno \
	$(if $(findstring fuzzer,$(SAN)),-DFUZZER -Wno-unknown-warning-option) \
	-ffp-contract=off $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer \
	-fno-sanitize-recover=all)
# The loops of the engine use what this machine has; ARCH=x86-64-v3 for others.
ARCH ?= native
CFLAGS_engine = -O3 -march=$(ARCH) -ffp-contract=fast
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
# A plug-in uses cb_fail() and its kin of the program that loads it: -rdynamic.
LDLIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -rdynamic -ldnnl -lgomp -lm -lpthread

# The CUDA toolkit; where it is absent all else builds, and its tests skip.
CUDA ?= /usr/local/cuda
HAVE_CUDA := $(wildcard $(CUDA)/include/cuda_runtime_api.h)
HAVE_DNN := $(and $(HAVE_CUDA),$(wildcard $(CUDA)/include/cudnn_graph.h))

LIB_SRC := $(wildcard lib/*/*.c lib/*/*/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
FILTERS := $(patsubst filters/%.c,$(B)/bin/%,$(wildcard filters/*.c))
TPROGS := $(patsubst t/%.c,$(B)/t/%,$(filter-out $(if $(HAVE_CUDA),,t/sass.c) \
	$(if $(HAVE_DNN),,t/cudnn-plans.c),$(wildcard t/*.c)))
FUZZERS = $(basename $(notdir $(wildcard t/fuzz-*.c)))
FUZZ_SECONDS ?= 60
FUZZ_SAN = fuzzer,address,undefined

NVCC = $(CUDA)/bin/nvcc
# Not compressed: t/sass.c reads the machine code, t/ptxsim the PTX.
NVCCARCH = -gencode arch=compute_80,code=sm_80 \
	-gencode arch=compute_90,code=sm_90 \
	-gencode arch=compute_100,code=sm_100 \
	-gencode arch=compute_100,code=compute_100
NVCCFLAGS = -std=c++17 -O3 -Icuda -Ilib --no-compress -Xcompiler -Wall,-fPIC,$\
	-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics \
	-Xptxas --warn-on-local-memory-usage,--warn-on-spills,$\
	--warning-as-error
CUDA_OBJ := $(patsubst %,$(B)/%.o,$(wildcard cuda/*.cu cuda/*.c))
# The same sources on the simulated device, in three builds of their own (so
# not under SAN=): t/cudasim/device.h.
CXX = g++
SIM_TEST = t/cudasim/faults.cpp t/cudasim/isa.cpp t/cudasim/faults.cu \
	t/cudasim/isa.cu
SIM_SRC := $(filter-out $(SIM_TEST) $(if $(HAVE_DNN),,t/standin/cudnn%), \
	$(wildcard t/cudasim/*.cpp t/standin/*.cpp))
SIM_ENGINE := $(wildcard cuda/*.cu cuda/*.c)
LIBS_SRC = cuda/lt.c cuda/dnn.c cuda/plan.c cuda/cache.c
SIM_FLAGS = -std=c++17 -g -Wall -Wextra -Wno-unknown-pragmas -fPIC -DCB_SIM \
	-fvisibility=hidden -isystem $(CUDA)/include -Icuda -Ilib -MMD -MP
SIM_BUILDS = plain asan race
# Vectorised, g++ 12 takes the aligned and the other way of cu_load_param() to be
# the same, and that for aligned.
SIM_plain = -O2 -fno-tree-vectorize
SIM_asan = -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
SIM_race = -O1 -DCBSIM_RACE
# Plain arithmetic on memory of its own, which is not under test.
SIM_product = -O3 -march=$(ARCH)
# Kernels of the race build call __tsan_...(), which are the simulator's own.
SIM_race_cu = -fsanitize=thread --param tsan-instrument-func-entry-exit=0
# The PTX of nvcc executed: a libcudart.so.13 of ours for programs that are
# linked as ever.  Two versions of the kernels: nvcc has a compiler of its own
# for what is older than compute_100.
PTX_SRC := $(SIM_SRC) $(wildcard t/ptxsim/*.cpp)
PTX_LIB = $(B)/ptxsim/libcudart.so.13
SIM_ALL = $(if $(SAN),,$(if $(HAVE_CUDA),$(B)/t/cudasim/faults.cu.o \
	$(SIM_BUILDS:%=$(B)/cudasim/%/faults) $(B)/ptxsim/faults-80 \
	$(B)/ptxsim/faults-100 $(B)/ptxsim/kernels-80 \
	$(B)/ptxsim/kernels-100 $(B)/ptxsim/libraries \
	$(B)/ptxsim/cb_cuda.so \
	$(SIM_BUILDS:%=$(B)/cudasim/%/kernels) \
	$(if $(HAVE_DNN),$(SIM_BUILDS:%=$(B)/cudasim/%/libs) \
	$(B)/cudasim/plain/lib-faults $(B)/cudasim/race/lib-faults \
	$(SIM_BUILDS:%=$(B)/cudasim/%/cb_cuda.so))))
TESTS ?= $(sort $(wildcard t/*.t))

# V=1 shows the whole commands.
Q = $(if $(V),,@)
say = @$(if $(V),:,echo "$1	$2")

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all budget deps cuda bench-clips bench-cuda bench-media demo check \
	check-bert fuzz fuzz-programs tests install clean
all: $(FILTERS)
tests: $(TPROGS) $(SIM_ALL)

# A library that is not there is named at once, not by a missing header.
$(B)/libraries:
	@pkg-config --print-errors --exists $(PKGS) || \
	    { echo "libraries are missing: make deps installs them" >&2; exit 1; }
	@mkdir -p $(@D) && touch $@

$(B)/%.o: %.c | $(B)/libraries
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$Q$(CC) $(CFLAGS) $(if $(filter lib/engine/%,$<),$(CFLAGS_engine)) \
	    $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/libcb.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$Qrm -f $@ && ar rcs $@ $^

$(B)/bin/%: $(B)/filters/%.o $(B)/libcb.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$Q$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/t/%: $(B)/t/%.o $(B)/libcb.a
	$(call say,LD,$@)
	$Q$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(B)/libcb.a \
	    $(LDLIBS)

# Test programs of several files.
$(B)/t/sass: $(patsubst %,$(B)/t/cubin/%.o,cubin budget occupancy)
$(B)/t/sass: LDLIBS += -lstdc++
$(B)/t/cubin/occupancy.o: CFLAGS += -isystem $(CUDA)/include
# The engine's own plans, with the real library.
$(B)/t/cudnn-plans.o: CFLAGS += -isystem $(CUDA)/include
$(B)/t/cudnn-plans: LDLIBS += -L$(CUDA)/lib -Wl,-rpath,$(CUDA)/lib -lcudnn \
	-lcudart
$(B)/t/cudnn-plans: $(patsubst %,$(B)/cuda/%.o,dnn.c plan.c cache.c point.cu)
$(B)/t/reference: $(patsubst %.c,$(B)/%.o,$(wildcard t/ref/*.c))

# ---- CUDA

cuda:
	@[ -n '$(HAVE_DNN)' ] || { echo "make cuda needs the CUDA toolkit and" \
	    "cuDNN 9; $(CUDA) has not both: CUDA=folder names another" >&2; \
	    exit 1; }
	@[ -n '$(CUDA_OBJ)' ] || { echo "cuda/ holds no engine yet: there is" \
	    "nothing to build" >&2; exit 1; }
	$(MAKE) $(B)/lib/clipbert/cb_cuda.so

$(B)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(call say,NVCC,$<)
	$Q$(NVCC) $(NVCCFLAGS) $(NVCCARCH) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(B)/cuda/%.c.o: cuda/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$Q$(CC) $(CFLAGS) $(PKG_CFLAGS) -fPIC -fvisibility=hidden \
	    -isystem $(CUDA)/include -MMD -MP -c -o $@ $<

# The one that ships, and the very same where tests find it but programs that
# look for a GPU do not.
$(B)/lib/clipbert/cb_cuda.so $(B)/ptxsim/cb_cuda.so: $(CUDA_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$Q$(CXX) -shared -o $@ $^ -Wl,-z,now -Wl,-rpath,$(CUDA)/lib \
	    -L$(CUDA)/lib -lcudart -lcublasLt -lcudnn

define sim_rules
$(B)/cudasim/$1/%.cpp.o: %.cpp
	@mkdir -p $$(@D)
	$$(call say,SIM $1,$$<)
	$$Q$(CXX) $(SIM_FLAGS) $$(if $$(filter %/product.cpp,$$<),\
	    $(SIM_product),$(SIM_$1)) -c -o $$@ $$<
$(B)/cudasim/$1/%.cu.o: %.cu
	@mkdir -p $$(@D)
	$$(call say,SIM $1,$$<)
	$$Q$(CXX) $(SIM_FLAGS) $(SIM_$1) $(SIM_$1_cu) -x c++ -c -o $$@ $$<
$(B)/cudasim/$1/%.c.o: %.c
	@mkdir -p $$(@D)
	$$(call say,SIM $1,$$<)
	$$Q$(CC) $(CFLAGS) $(PKG_CFLAGS) $(SIM_$1) -fPIC -fvisibility=hidden \
	    -isystem $(CUDA)/include -MMD -MP -c -o $$@ $$<
$(B)/cudasim/$1/cb_cuda.so: $(patsubst %,$(B)/cudasim/$1/%.o,$(SIM_SRC) \
    $(SIM_ENGINE))
	$$(call say,LD,$$@)
	$$Q$(CXX) -shared $(SIM_$1) -o $$@ $$^ -Wl,-z,now -lm
$(B)/cudasim/$1/faults: $(patsubst %,$(B)/cudasim/$1/%.o,$(SIM_SRC) \
    $(SIM_TEST)) $(B)/libcb.a
	$$(call say,LD,$$@)
	$$Q$(CXX) $(SIM_$1) -o $$@ $$^ -lm
$(B)/cudasim/$1/kernels: $(patsubst %,$(B)/cudasim/$1/%.o,$(SIM_SRC) \
    $(wildcard t/kernels/*.c cuda/*.cu)) $(B)/libcb.a
	$$(call say,LD,$$@)
	$$Q$(CXX) $(SIM_$1) -o $$@ $$^ $(LDLIBS)
$(B)/cudasim/$1/libs: $(patsubst %,$(B)/cudasim/$1/%.o,$(SIM_SRC) \
    $(LIBS_SRC) t/kernels/main.c $(wildcard t/libs/*.c cuda/*.cu)) \
    $(B)/libcb.a
	$$(call say,LD,$$@)
	$$Q$(CXX) $(SIM_$1) -o $$@ $$^ $(LDLIBS)
$(B)/cudasim/$1/lib-faults: $(patsubst %,$(B)/cudasim/$1/%.o,$(SIM_SRC) \
    $(LIBS_SRC) t/lib-faults/faults.c $(wildcard cuda/*.cu)) $(B)/libcb.a
	$$(call say,LD,$$@)
	$$Q$(CXX) $(SIM_$1) -o $$@ $$^ $(LDLIBS)
endef
$(foreach b,$(SIM_BUILDS),$(eval $(call sim_rules,$b)))

$(B)/ptxsim/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(call say,PTXSIM,$<)
	$Q$(CXX) $(filter-out -fvisibility=hidden,$(SIM_FLAGS)) -O2 \
	    -march=$(ARCH) -ffp-contract=off -c -o $@ $<
$(PTX_LIB): $(patsubst %,$(B)/ptxsim/%.o,$(PTX_SRC)) t/ptxsim/versions
	$(call say,LD,$@)
	$Q$(CXX) -shared -o $@ $(filter %.o,$^) -Wl,-soname,libcudart.so.13 \
	    -Wl,--version-script,t/ptxsim/versions -lm
# What the loader takes for the other libraries is the same file.
$(B)/ptxsim/libraries: $(PTX_LIB)
	@ln -sf $(<F) $(@D)/libcublasLt.so.13
	@ln -sf $(<F) $(@D)/libcudnn.so.9
	@touch $@
$(B)/ptxsim/80/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(call say,NVCC 80,$<)
	$Q$(NVCC) $(NVCCFLAGS) -arch=compute_80 -MMD -MP -MF $(@:.o=.d) \
	    -c -o $@ $<
$(B)/ptxsim/100/%.cu.o: $(B)/%.cu.o
	@mkdir -p $(@D) && ln -f $< $@
$(B)/ptxsim/faults-%: $(B)/ptxsim/%/t/cudasim/faults.cu.o \
    $(B)/ptxsim/%/t/cudasim/isa.cu.o $(B)/ptxsim/t/cudasim/faults.cpp.o \
    $(B)/ptxsim/t/cudasim/isa.cpp.o $(B)/libcb.a $(PTX_LIB)
	$(call say,LD,$@)
	$Q$(CXX) -o $@ $^ -lm

$(B)/ptxsim/t/kernels/%.c.o: t/kernels/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$Q$(CC) $(CFLAGS) $(PKG_CFLAGS) -isystem $(CUDA)/include -MMD -MP \
	    -c -o $@ $<
$(B)/ptxsim/kernels-%: $(patsubst %,$(B)/ptxsim/%.o,$(wildcard \
    t/kernels/*.c)) $(B)/libcb.a $(PTX_LIB)
	$(call say,LD,$@)
	$Q$(CXX) -o $@ $(filter %.c.o,$^) $(filter %.cu.o,$^) $(B)/libcb.a \
	    $(PTX_LIB) $(LDLIBS)
$(B)/ptxsim/kernels-80: $(patsubst %,$(B)/ptxsim/80/%.o,$(wildcard cuda/*.cu))
$(B)/ptxsim/kernels-100: $(patsubst %,$(B)/ptxsim/100/%.o,$(wildcard cuda/*.cu))

# Installs what is missing and says what; does nothing when all is there.
deps:
	@missing=$$(for p in $(PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$p 2>/dev/null | \
	    grep -q 'ok installed' || echo $$p; done); \
	[ -z "$$missing" ] && exit 0; \
	echo "installing:" $$missing; \
	sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
	$$sudo apt-get update -q && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
	    --no-install-recommends $$missing

check: deps
	$(MAKE) all tests
	CB_BUILD=$(abspath $(B)) prove -e t/alone $(TESTS)

check-bert: $(B)/t/bert
	python3 t/check-bert.py $< build/bert-venv

# Seeds come from the tests; what libFuzzer learns is kept beside them.  A
# finding is left in build/fuzz/ as NAME-crash-... and fails the target.
fuzz: deps
	@command -v clang >/dev/null || { echo "make fuzz needs clang with" \
	    "libFuzzer: apt-get install clang libclang-rt-14-dev" >&2; exit 1; }
	$(MAKE) fuzz-programs
	$(MAKE) CC='$(if $(findstring ccache,$(CC)),ccache )clang' \
	    SAN=$(FUZZ_SAN) fuzz-programs
	$(MAKE) $(FUZZERS:%=run-%)
fuzz-programs: $(FUZZERS:%=$(B)/t/%)
run-fuzz-%:
	FUZZ_CORPUS=$(abspath build/fuzz)/$* CB_BUILD=$(abspath $(B)) \
	    prove -Q t/*-fuzz-$*.t
	build/san-$(subst $(comma),-,$(FUZZ_SAN))/t/fuzz-$* \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 \
	    -max_len=65536 -close_fd_mask=2 -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/$*- build/fuzz/$* >build/fuzz/$*.log \
	    2>&1 || { grep -v '# Uses:' build/fuzz/$*.log | tail -n 50; exit 1; }
	@echo "$*: $$(grep -a ^Done build/fuzz/$*.log), nothing found"

demo: deps
	$(MAKE) all
	$(MAKE) -f pipelines/demo.mk OUT=build/demo

bench: $(B)/t/bench-model $(FILTERS)
	python3 t/bench.py $< ../shared/reference build

# With a GPU the plug-in is found where it is installed from.
bench-cuda: cuda $(B)/t/bench-model $(B)/t/sass $(B)/ptxsim/libraries \
    $(B)/ptxsim/cb_cuda.so
	python3 t/bench-cuda.py $(B) ../shared/reference

budget: $(B)/t/sass $(B)/ptxsim/libraries $(B)/ptxsim/kernels-100 \
    $(B)/ptxsim/cb_cuda.so
	LD_LIBRARY_PATH=$(B)/ptxsim CBSIM_LOG=$(B)/budget.log \
	    $(B)/ptxsim/kernels-100 -s >$(B)/budget.tap
	$(B)/t/sass -l $(B)/budget.log -u cuda/budget.txt \
	    $(B)/ptxsim/cb_cuda.so >$(B)/budget.txt
	cp $(B)/budget.txt cuda/budget.txt

bench-media: $(B)/t/bench-media $(FILTERS)
	python3 t/bench-media.py $< ../shared/media/videos build/bench-venv

bench-clips: all tests
	CB_BUILD=$(abspath $(B)) t/bench-clips.sh

bench-stream: all tests
	python3 t/bench-stream.py $(B) ../shared/media/videos

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
	    $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man7
	install $(FILTERS) $(DESTDIR)$(PREFIX)/bin
	for s in 1 5 7; do install -m 644 man/*.$$s \
	    $(DESTDIR)$(PREFIX)/share/man/man$$s; done

clean:
	rm -rf build

-include $(LIB_OBJ:.o=.d) $(wildcard $(B)/filters/*.d $(B)/t/*.d \
    $(B)/t/*/*.d $(B)/cuda/*.d $(B)/cudasim/*/*/*.d \
    $(B)/cudasim/*/*/*/*.d \
    $(B)/ptxsim/*/*/*.d $(B)/ptxsim/*/*/*/*.d)
