#!/bin/bash
# A run that is killed and started again by the same command ends with the same
# weights, whenever it was killed.
. "$(dirname "$0")/lib.sh"
plan 30

for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
	echo "{\"question\": \"what is number $i?\", \"video_id\": \"v$i\"," \
	    "\"answer\": \"a$((i % 3))\", \"answer_type\": \"what\"}"
done >train.jsonl
cb-list -e 4 train.jsonl | fake-pictures 2 1 40 40 | cb-tokenize |
    cb-batch -b 4 >in.cb || exit 1		# 12 batches
SMALL="-s max_img_size=64 -s hidden_size=32 -s num_hidden_layers=1
    -s num_attention_heads=2 -s intermediate_size=32 -s stem_out_channels=4
    -s width_per_group=4 -s res2_out_channels=8 -s init_stats=4
    -s gradient_accumulation_steps=2 --restore-every 1 --log-every 1 -j 1"

# train DIR [options]: on in.cb, or on what stdin holds
train() { cb-train $SMALL -o "$@" 2>err; }
END=ckpt/model_step_6.safetensors

train whole <in.cb; is $? 0 'an undisturbed run'
same_end()
{
	same "$1/$END" whole/$END "$2"
}

# The upstream dies: what was learnt is saved, and the run goes on.
head -c $(($(stat -c %s in.cb) / 2)) in.cb | train cut
is $? 1 'a stream that breaks off'
like err 'saved at step [1-5]' '... is said, with the step that was saved'
[ -e cut/$END ]; is $? 1 '... and leaves no checkpoint of the end'
train cut <in.cb; is $? 0 'the same command again'
like err 'going on after step [1-5] of 6' '... goes on'
same_end cut 'and ends with the same weights'
is "$(jq .step cut/log.jsonl | tr '\n' ' ')" '1 2 3 4 5 6 ' \
    'each step stands in the log once'
is "$(jq -c '[.loss,.grad_norm]' cut/log.jsonl | sha256sum)" \
    "$(jq -c '[.loss,.grad_norm]' whole/log.jsonl | sha256sum)" \
    'with the same losses'

# kill -9 after a given step.  The stream comes through a FIFO that is fed up to
# there and held open, so the moment does not depend on the clock: the trainer
# has logged the step and waits for more.
is "$(cb-dump <in.cb | grep -c '"end"')" 12 'twelve batches'
kill_after()
{
	rm -rf run fifo; mkfifo fifo
	exec 9<>fifo
	cb-train $SMALL -o run <fifo 2>err 9>&- & pid=$!
	timeout 60 head -c "$2" in.cb >&9
	mkdir -p run; touch run/log.jsonl
	until grep -q "\"step\":$1," run/log.jsonl; do
		kill -0 $pid 2>/dev/null || break
	done
	kill -9 $pid; wait $pid 2>/dev/null
	exec 9>&-
}
for step in 1 3 5; do
	kill_after $step $(($(stat -c %s in.cb) * (2 * step + 1) / 12))
	train run <in.cb; is $? 0 "killed after step $step, started again"
	same_end run '... the same weights'
done

# Killed while a restore point is being written: a limit on file sizes ends the
# process in the middle of the write.
rm -rf run
full=$(stat -c %s whole/restore.0.safetensors)
head -c $(($(stat -c %s in.cb) / 2)) in.cb | train run
(ulimit -c 0; ulimit -f $((full / 2048)); cb-train $SMALL -o run <in.cb 2>err) 2>/dev/null
[ $? -gt 128 ]; is $? 0 'killed while writing'
train run <in.cb; is $? 0 '... started again'
same_end run '... the same weights'

# A finished run has nothing left to do.
train cut <in.cb; is $? 0 'a finished run is not run again'
same_end cut '... and keeps its weights'

# Another command is refused, by name.
train whole -s learning_rate=1 <in.cb; is $? 1 'other settings are refused'
like err 'settings' '... by name'

# SIGTERM saves and says so, whether the next batch comes or not: the stream is
# held open and nothing is in it, at the third step or before the first.
batch=$(($(stat -c %s in.cb) / 12))
stopped_at() # STEP BYTES
{
	rm -rf run fifo; mkfifo fifo
	exec 9<>fifo
	cb-train $SMALL -o run <fifo 2>err 9>&- & pid=$!
	timeout 60 head -c "$2" in.cb >&9
	mkdir -p run; touch run/log.jsonl
	until grep -q "\"step\":$1," run/log.jsonl; do
		kill -0 $pid || break
	done
	kill -TERM $pid
	wait $pid; status=$?
	exec 9>&-
}
stopped_at 2 $((batch * 9 / 2)); is $status 1 'SIGTERM while a batch is awaited'
like err 'stopped by signal 15 after step 2' '... and says where'
train run <in.cb; is $? 0 '... started again'
same_end run '... the same weights'
rm -rf run; mkfifo slow
exec 9<>slow
cb-train $SMALL -o run <slow 2>err 9>&- & pid=$!
head -c $((batch / 2)) in.cb >&9
until [ -e run ]; do kill -0 $pid || break; done
kill -TERM $pid; wait $pid; is $? 1 'SIGTERM before the first batch'
exec 9>&-
like err 'stopped by a signal|stopped by signal 15 after step 0' '... is said'
train run <in.cb; same_end run '... and the run can begin'
