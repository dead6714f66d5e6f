#!/bin/bash
# cb-train and cb-score on the simulated device: as on the CPU, the same bits
# each time, with graphs and without; runs go on on the other device.
. "$(dirname "$0")/lib.sh"
. "$T/cuda.sh"
plan 41
batches
moved() { python3 "$T/weights.py" moved "$@"; }
first=ckpt/model_step_1.safetensors
CK="--checkpoint-every 1 --restore-every 100"

train cpu $CK --device cpu; is $? 0 'on the CPU'
CBSIM_COUNTS=$DIR/six cuda f32 $CK --precision fp32
is "$? $(cat err)" '0 ' 'cuda in fp32, without a word'
far=$(moved {cpu,f32}/{$first,$END})
awk "BEGIN { exit !($far < 0.05) }"; ok $? "goes the same way ($far of it apart)"
for p in bf16 fp16 tf32; do
	cuda $p $CK --precision $p; is "$? $(cat err)" '0 ' "cuda in $p"
	# AdamW moves small gradients as far as large ones: 1.4 is chance
	far=$(moved {cpu,$p}/{$first,$END})
	awk "BEGIN { exit !($far < 1) }"; ok $? "... goes that way ($far apart)"
	is "$(jq -s 'map(.loss * 20 | round)' $p/log.jsonl | paste -s)" \
	    "$(jq -s 'map(.loss * 20 | round)' cpu/log.jsonl | paste -s)" \
	    '... with losses like it'
done
cuda default $CK; same default/$END bf16/$END 'bf16 is the default'

# The same bits.
for p in fp32 fp16; do
	like=${p/fp32/f32}
	cuda again $CK --precision $p; same again/$END $like/$END "$p again"
	CB_CUDA_GRAPHS=0 CBSIM_COUNTS=$DIR/plain cuda none $CK --precision $p
	same none/$END $like/$END '... without graphs'
	CBSIM_SEED=3 cuda order $CK --precision $p
	same order/$END $like/$END '... in another order of threads and streams'
	rm -r again none order
done
on asan cb-train $SMALL -o asan $CK --precision fp32 --device cuda \
    <batches.cb >err 2>&1
is $? 0 'under the sanitizers' || head -n 20 err | diag
same asan/$END f32/$END '... the same'
on race cb-train $SMALL -o race $CK --precision fp32 --device cuda --steps 2 \
    <batches.cb >err 2>&1
is $? 0 'no races' || head -n 20 err | diag

# What a step costs: no memory, and a few calls.
CBSIM_COUNTS=$DIR/four cuda few --restore-every 100 --precision fp32 --steps 4
CBSIM_COUNTS=$DIR/six cuda few6 --restore-every 100 --precision fp32
calls() { awk -v f="$2" '$1 == f { n = $2 } END { print n + 0 }' "$1"; }
for f in cudaMalloc cudaMallocHost; do
	is "$(calls six $f)" "$(calls four $f)" "steps do not call $f"
done
is $(($(calls six cudaGraphLaunch) - $(calls four cudaGraphLaunch))) 4 \
    'two graphs a step'
is $(($(calls six cudaGraphInstantiate) - $(calls four cudaGraphInstantiate))) \
    0 '... that are there already'
n=$((($(calls six '(captured)') - $(calls four '(captured)')) / 2))
[ $n -gt 100 ]; ok $? "... of $n operations"

# Going on on the other device.
bytes=$(stat -c %s batches.cb)
cut() { head -c $((bytes / 2)) batches.cb | cb-train $SMALL -o "$@" \
    --restore-every 1 2>err; }
for p in 'cuda cpu' 'cpu cuda'; do
	set -- $p
	cut on --device $1 --precision fp32
	like err 'saved at step [123]' "a run on $1 that is cut off"
	train on --device $2 --precision fp32 --restore-every 1
	is "$? $(grep -c 'going on after step' err)" '0 1' "goes on on $2"
	is "$(jq -s 'map(.loss * 1e4 | round)' on/log.jsonl | paste -s)" \
	    "$(jq -s 'map(.loss * 1e4 | round)' cpu/log.jsonl | paste -s)" \
	    '... with the same losses'
	rm -r on
done
cut h --device cuda --precision fp16
cuda h --precision fp16 --restore-every 1
is $? 0 'a run in fp16 that is cut off goes on'
same h/$END fp16/$END '... and ends with the same weights'
like h/restore.0.safetensors '"scale.*65536' '... which keeps the scale'

# Scores, and no device.
cb-score -m f32 --device cpu <batches.cb >cpu.out 2>err
cb-score -m f32 --device cuda --precision fp32 <batches.cb >cuda.out 2>err
is "$? $(jq -c '[.question, .answer]' cuda.out | sha256sum)" \
    "0 $(jq -c '[.question, .answer]' cpu.out | sha256sum)" 'cb-score answers alike'
export CBSIM_FAIL=cudaGetDeviceCount
cuda no; is "$? $(cat err)" '1 cb-train: cuda: no GPU answers: '\
'cudaGetDeviceCount: cudaErrorInsufficientDriver' 'no driver'
train auto $CK; is $? 0 '--device auto takes the CPU then'
same auto/$END cpu/$END '... just as --device cpu'
train no --precision bf16
is "$? $(cat err)" '1 cb-train: cpu: computes in fp32 only, not bf16' \
    'a precision that the CPU has not'
