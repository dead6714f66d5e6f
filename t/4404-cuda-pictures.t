#!/bin/bash
# Pictures go to the device while it computes what came before: in any order they
# are the right ones, what is copied is asked for in time, and training gives the
# same bytes whether the next batch is there or not.
. "$(dirname "$0")/lib.sh"
. "$T/cuda.sh"
plan 41

right() {
	on $1 "$BUILD/t/pictures" cuda:fp32 >out 2>err
	is $? 0 "$2: $(grep -c '^ok' out) of 9" || cat out err | diag
}
for e in ref cpu; do
	"$BUILD/t/pictures" $e >out 2>err; is $? 0 "$e: they are there already"
done
right plain 'in any order'
for seed in 1 2; do CBSIM_SEED=$seed right plain "... and of streams, $seed"; done
CB_CUDA_GRAPHS=0 right plain 'without graphs'
CB_CUDA_GRAPHS=0 CBSIM_SEED=4 right plain '... and in another order of streams'
right asan 'under the sanitizers'
CBSIM_SEED=2 right race 'without races'

CBSIM_FAIL=cudaHostRegister:0 right plain 'with memory that cannot be pinned'
CBSIM_FAIL=cudaHostRegister:2 right plain '... not all of it'

# Memory that is pinned, and copied from where it is.
fault() {
	"$BUILD/t/pictures" cuda:fp32 $1 >out 2>err; is $? 66 "to $1 it is a fault"
	like err "cudasim: .*$2" '... that is seen'
}
fault change 'was changed before it was copied'
fault unpin 'is unregistered before it was copied'
fault unmap 'is gone before it was copied'

# What the host asks for, in its order: the pictures of the next before it waits.
asked() { grep -oE '^(asks [a-z-]+|waits)' "$1" | paste -s -d,; }
CBSIM_LOG=$DIR/log "$BUILD/t/pictures" cuda:fp32 two >out 2>err
is $? 0 'two sets'
asked log >calls			# the first time there is no memory yet
like calls 'asks copy-to-device,asks graph,asks copy-to-device,waits' \
    'the second goes while the device has the first'

# ahead LOG: how often pictures went between a graph and the wait for it
ahead() { asked "$1" | grep -oE 'asks graph,asks copy-to-device,waits' | wc -l; }
batches
CK="--restore-every 100 --precision fp32"
CBSIM_LOG=$DIR/log cuda soon $CK; is "$? $(cat err)" '0 ' 'cb-train'
n=$(ahead log); [ $n -ge 2 ]; ok $? "sends pictures ahead ($n times in 6 steps)"
# A stream that never has the next batch while one is learned from.
cat >late.py <<'P'
import os, sys, time
data = open("batches.cb", "rb").read()
starts = []
at = data.find(b"\x81\xa5batch")
while at >= 0:
    starts.append(at)
    at = data.find(b"\x81\xa5batch", at + 1)
ends = starts[1:] + [len(data)]
out = sys.stdout.buffer
out.write(data[:starts[0]])
for n, (a, b) in enumerate(zip(starts, ends)):
    while True:
        try:
            with open(sys.argv[1] + "/log.jsonl") as f:
                if n < 1 + len(f.readlines()):
                    break
        except FileNotFoundError:
            if n == 0:
                break
        time.sleep(0.005)
    out.write(data[a:b])
    out.flush()
P
python3 late.py late | CBSIM_LOG=$DIR/log cb-train $SMALL -o late $CK \
    --device cuda 2>err
is "$? $(cat err)" '0 ' 'a stream that is always late'
# but once, when the host waits in the first step
n=$(ahead log); [ $n -le 1 ]; ok $? "... has nothing to send ahead ($n)"
same late/$END soon/$END '... and gives the same weights'
head -c $(($(stat -c %s batches.cb) * 2 / 3)) batches.cb |
    cb-train $SMALL -o cut $CK --device cuda 2>err
like err 'saved at step' 'a stream that is cut while pictures travel'

# Pictures from the memory of a link: no copy in the host but of
# the first.
linked() {
	local dir=$1
	shift
	cb-list -e $EPOCHS train.jsonl | fake-pictures 2 1 200 150 |
	    cb-tokenize | CB_LINK=${CB_LINK-tell} cb-batch -b 4 2>tell |
	    CB_LINK=${CB_LINK-tell} "$@" $SMALL -o $dir $CK --device cuda 2>err
}
stay='^cb-train: link: ([1-9][0-9]*) of \1 pictures in memory stayed there$'
EPOCHS=12			# twice what the memory has room for
CBSIM_FAIL=cudaHostRegister CB_LINK=0 linked pipes cb-train
is "$? $(cat err)" '0 ' 'through pipes, and copied'
CB_LINK=0 linked own cb-train; is $? 0 'from the own memory of the reader'
same {own,pipes}/ckpt/model_step_24.safetensors '... the same weights'
linked memory cb-train; is $? 0 'through memory, again and again'
like err "$stay" '... where they stay'
same {memory,pipes}/ckpt/model_step_24.safetensors '... the same weights'
EPOCHS=3
CBSIM_COUNTS=$DIR/counts linked link cb-train; is $? 0 'a stream that is short'
is "$(grep -E '^cudaHost' counts | paste -s -d' ')" \
    'cudaHostRegister 1 cudaHostUnregister 1' 'memory is pinned once'
CBSIM_FAIL=cudaHostRegister linked refused cb-train
is $? 0 'or not at all'
same {refused,link}/$END '... the same weights'
on race linked race cb-train
is $? 0 'no races' || head -n 20 err | diag
CBSIM_SEED=5 linked order cb-train; same {order,link}/$END '... in any order'
for how in --clip-memory --memory; do
	linked a$how cb-train $how 1; is $? 0 "$how 1"
	CB_LINK=0 CB_CUDA_GRAPHS=0 linked b$how cb-train $how 1
	same {a,b}$how/$END '... is the same through pipes, without graphs'
done
