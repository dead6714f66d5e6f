# For tests of the CUDA engine on the simulated device: skips where it is not,
# and has a small data set.  Behind lib.sh.
PLAIN=$BUILD/cudasim/plain/cb_cuda.so
[ -e "$PLAIN" ] || skip_all 'no simulated device here (it needs the headers' \
    'of the CUDA toolkit, and no SAN=)'
export CB_CUDA_PLUGIN=$PLAIN ASAN_OPTIONS=detect_leaks=0

# on BUILD COMMAND...: with the engine of that build
on() {
	local so=$BUILD/cudasim/$1/cb_cuda.so san=
	[ "$1" != asan ] ||
	    san="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
	shift
	CB_CUDA_PLUGIN=$so LD_PRELOAD=$san "$@"
}

SMALL="-s max_img_size=64 -s hidden_size=16 -s num_hidden_layers=1
    -s num_attention_heads=2 -s intermediate_size=32 -s stem_out_channels=8
    -s width_per_group=8 -s res2_out_channels=8 -s init_stats=4
    -s learning_rate=1e-3 -s cnn_learning_rate=1e-3
    -s train_batch_size=4 --log-every 1 -j 1"

# train DIR [options]: on batches.cb
train() { cb-train $SMALL -o "$@" <batches.cb 2>err; }
cuda() { train "$@" --device cuda; }
losses() { jq -c '[.loss, .grad_norm]' "$1/log.jsonl"; }

# Six batches of four.
batches() {
	local i
	for i in 0 1 2 3 4 5 6 7; do
		echo "{\"question\": \"what is number $i?\"," \
		    "\"video_id\": \"v$i\", \"answer\": \"a$((i % 3))\"," \
		    "\"answer_type\": \"what\"}"
	done >train.jsonl
	cb-list -e 3 train.jsonl | fake-pictures 2 1 40 40 | cb-tokenize |
	    cb-batch -b 4 >batches.cb
}
END=ckpt/model_step_6.safetensors
