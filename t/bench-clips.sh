#!/bin/bash
# What --clip-memory costs and saves: processor seconds a step and peak memory
# with 16 clips a video run 1, 2, 4 or all at a time, and with 64.
. "$(dirname "$0")/lib.sh"

for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
	echo "{\"question\": \"what is number $i?\", \"video_id\": \"v$i\"," \
	    "\"answer\": \"a$((i % 3))\"}"
done >train.jsonl
run() # CLIPS NAME [options]
{
	local name=$2 n=$1; shift 2
	cb-list train.jsonl | fake-pictures "$n" 1 224 224 | cb-tokenize |
	    cb-batch -b 2 >in.cb
	python3 - "$name" cb-train -j 1 --init-stats 0 -s max_img_size=224 \
	    -s hidden_dropout_prob=0.1 --memory 0 "$@" <<-'P'
	import resource, subprocess, sys
	def run(steps):
	    before = resource.getrusage(resource.RUSAGE_CHILDREN)
	    subprocess.run(sys.argv[2:] + ["-o", "run." + sys.argv[1] + steps,
	        "--steps", steps], stdin=open("in.cb"), check=True)
	    after = resource.getrusage(resource.RUSAGE_CHILDREN)
	    return (after.ru_utime - before.ru_utime + after.ru_stime -
	        before.ru_stime, after.ru_maxrss / 1024)
	short, long = run("1"), run("6")
	print(f"{sys.argv[1]:>10}  {(long[0] - short[0]) / 5:7.3f} s a step"
	    f"  {long[1]:7.0f} MiB")
	P
}
run 16 all
run 16 four --clip-memory 4
run 16 two --clip-memory 2
run 16 one --clip-memory 1
run 64 64-by-four --clip-memory 4
