#!/bin/bash
# cb-eval: predictions and annotations to metrics.
. "$(dirname "$0")/lib.sh"; plan 41
cat >o.jsonl <<'X'
{"question": "q0", "answer": "red", "video_id": "a", "answer_type": "what"}
{"question": "q1", "answer": "two", "video_id": "a", "answer_type": "how"}
{"question": "q2", "answer": "red", "video_id": "b", "answer_type": "what"}
{"question": "q3", "answer": "blue", "video_id": "c", "answer_type": "what"}
X
cat >p.jsonl <<'X'
{"question_id": 2, "answer": "red", "prob": 0.5}
{"question_id": 0, "answer": "red"}
{"question_id": 1, "answer": "Two"}
{"question_id": 3, "answer": "red"}
X
cb-eval o.jsonl p.jsonl >m 2>err; is "$? $(cat err)" '0 ' 'evaluates'
is "$(jq -c . m)" '{"overall_acc":0.5,"what_acc":0.666666666666667,"how_acc":0,"ratios":{"what_ratio":[0.75,3],"how_ratio":[0.25,1]},"questions":4,"missing":0,"most_frequent_answer":"red","most_frequent_acc":0.5}' \
    'the figures'
cb-eval o.jsonl <p.jsonl >m2; same m m2 'predictions from stdin'
cb-eval - p.jsonl <o.jsonl >m2; same m m2 'annotations from stdin'
sed 's/question_id/id/' p.jsonl | cb-eval o.jsonl >m2; same m m2 'matched by id'
{ cat p.jsonl; echo '{"question_id": 3, "answer": "blue"}'; } >p2.jsonl
is "$(cb-eval o.jsonl p2.jsonl | jq -c '[.overall_acc, .questions]')" '[0.75,4]' \
    'the last of two predictions counts'
echo '{"red": 0, "two": 1, "blue": 2}' >a.json
printf '%s\n' '{"question_id":0,"answer":0}' '{"question_id":1,"answer":1}' \
    '{"question_id":2,"answer":2}' '{"question_id":3,"answer":7}' >n.jsonl
is "$(cb-eval -a a.json o.jsonl n.jsonl | jq .overall_acc)" 0.5 'labels by -a'
head -n 2 p.jsonl | cb-eval o.jsonl >m 2>err; s=$?
is "$s $(cat err)" '1 cb-eval: 2 of 4 questions have no prediction and count as wrong' \
    'missing predictions'
is "$(jq -c '[.overall_acc, .missing]' m)" '[0.5,2]' 'count as wrong'
echo '{"question_id": 9, "answer": "x"}' | cb-eval o.jsonl >m 2>err; s=$?
is "$s $(cat err)" '1 cb-eval: -: prediction 1: there is no question with the id 9' \
    'a prediction of nothing'
is "$(wc -c <m)" 0 'gives no figures'
echo '{"question_id": 1}' >p3.jsonl; cb-eval o.jsonl p3.jsonl >m 2>err; s=$?
is "$s $(cat err)" '1 cb-eval: p3.jsonl:1: key "answer" is missing' 'no answer'
echo 'x' >p3.jsonl; cb-eval o.jsonl p3.jsonl >m 2>err; s=$?
[ $s -eq 1 ] && grep -q '^cb-eval: p3.jsonl:1: not JSON' err; ok $? 'no JSON'

cat >v.jsonl <<'X'
{"question": "q", "image_id": "a", "question_id": 70, "labels": {"yes": 1.0, "maybe": 0.3}, "answer_type": "yes/no"}
{"question": "q", "image_id": "a", "question_id": 71, "labels": {"2": 0.6, "yes": 0.1}, "answer_type": "number"}
{"question": "q", "image_id": "b", "question_id": 72, "labels": {"no": 0.9}, "answer_type": "yes/no"}
X
printf '%s\n' '{"question_id":70,"answer":"maybe"}' \
    '{"question_id":71,"answer":"2"}' '{"question_id":72,"answer":"yes"}' >p.jsonl
cb-eval v.jsonl p.jsonl >m 2>err; is $? 0 'vqa'
is "$(jq -c '[.overall_acc,."yes/no_acc",.number_acc,.most_frequent_answer]' m)" \
    '[0.3,0.15,0.6,"yes"]' 'scores are weights of labels'
is "$(jq '.most_frequent_acc * 1000 | round' m)" 367 'chance is weighed too'
sed 's/70/"s70"/;s/71/"s71"/;s/72/"s72"/' v.jsonl >v2.jsonl
sed 's/70/"s70"/;s/71/"s71"/;s/72/"s72"/' p.jsonl | cb-eval v2.jsonl >m2
same m m2 'ids may be texts'
sed 's/71/70/' v.jsonl >v3.jsonl; cb-eval v3.jsonl p.jsonl >m 2>err; s=$?
is "$s $(cat err)" '1 cb-eval: v3.jsonl:2: the id 70 is that of line 1 too' \
    'a repeated id'
cb-eval -t juggling v.jsonl p.jsonl >m 2>err; s=$?
[ $s -eq 1 ] && grep -q 'juggling: no such task' err
ok $? 'a task that is none'
cb-eval >m 2>err; is $? 2 'without operands'
cb-eval - - >m 2>err; is $? 2 'both from stdin'
cb-eval o.jsonl gone.jsonl >m 2>err
is "$? $(cat err)" '1 cb-eval: gone.jsonl: No such file or directory' 'no file'

# the original's figures
{ cat p2.jsonl; echo '{"question_id": 1, "answer": "x"}'; } >p6.jsonl
cb-eval --compat clipbert o.jsonl p6.jsonl >m 2>err; is $? 0 '--compat clipbert'
is "$(jq -c '[.overall_acc, .what_acc, .ratios.what_ratio]' m)" \
    '[75,100,[50,3]]' 'percentages, shares of the predictions'
cb-eval --compat x o.jsonl p6.jsonl >m 2>err; is $? 2 'another --compat'

# options
cat >mc.jsonl <<'X'
{"gif_name": "a", "question": "q", "options": ["x", "y", "z"], "answer": 2, "task": "action", "question_id": 5}
{"gif_name": "a", "question": "r", "options": ["x", "y", "z"], "answer": 0, "task": "transition", "question_id": 6}
{"gif_name": "b", "question": "r", "options": ["x", "y", "z"], "answer": 2, "task": "action", "question_id": 7}
X
printf '%s\n' '{"question_id":5,"answer":2}' '{"question_id":6,"answer":1}' \
    '{"question_id":7,"answer":"2"}' >p.jsonl
is "$(cb-eval mc.jsonl p.jsonl | jq -c '[.action_acc,.transition_acc,.most_frequent_answer,(.most_frequent_acc * 3 | round)]')" \
    '[1,0,"2",2]' 'numbers of options, by task'
cat >cm.jsonl <<'X'
{"qid": "q7", "clip_name": "a", "options": ["x", "y"], "answer": "1"}
{"qid": "q8", "clip_name": "a", "options": ["x", "y"], "answer": 0}
{"qid": "q9", "clip_name": "a", "options": ["x", "y"], "answer": "0"}
X
printf '%s\n' '{"id":"q7","answer":1}' '{"id":"q9","answer":"x"}' \
    '{"id":"q8","answer":0}' >p.jsonl
is "$(cb-eval cm.jsonl p.jsonl | jq -c .mc_accuracy)" '"66.67"' \
    'captions to choose from; the original gives a text'
sed 's/"answer": 0}/"answer": 2}/' cm.jsonl >cm2.jsonl
cb-eval cm2.jsonl p.jsonl >m 2>err; s=$?
is "$s $(cat err)" '1 cb-eval: cm2.jsonl:2: key "answer" is not the number of an option, from 0' \
    'an answer that is no option'

# retrieval: b has two captions, of which the last counts
cat >r.jsonl <<'X'
{"caption": "0", "clip_name": "a"}
{"caption": "1", "clip_name": "b"}
{"caption": "2", "clip_name": "b"}
X
pair() { # SCORE ...: of texts 0 1 2 with b, then with a
	local i=0 m
	for m in b a; do
		for t in 0 1 2; do
			i=$((i + 1))
			echo "{\"txt_id\": $t, \"vid_id\": \"$m\", \"score\": ${!i}}"
		done
	done
}
pair 0.5 0.9 0.2  0.5 0.1 0.3 >p.jsonl
cb-eval r.jsonl p.jsonl >m 2>err; is "$? $(cat err)" '0 ' 'retrieval'
# texts: 0 is a's, tied behind b: 2; 1 right: 1; 2 prefers a: 2
is "$(jq -c '[.text2video | (.r1 * 3, .r5, .medianR, .meanR * 3) | round]' m)" \
    '[100,100,2,5]' 'texts to videos'
# videos: a likes 0 most: 1; b likes 1, 0, then its 2: 3
is "$(jq -c '[.video2text[]]' m)" '[50,100,100,2,2]' \
    'videos to texts: the last is the match'
is "$(jq -c '[(.optimistic, .pessimistic | .text2video.meanR * 3 | round),
    .texts, .media, .pairs, .repeated, .missing]' m)" '[4,5,3,2,6,0,0]' \
    'ties in favour and against'
{ cat p.jsonl; pair 1 0 1 1 1 1; } | cb-eval r.jsonl >m2
is "$(jq -c '[.repeated, .text2video]' m2)" "$(jq -c '[6, .text2video]' m)" \
    'of repeated pairs the first counts'
pair 0.50001 0.9 0.2  0.50004 0.1 0.3 >p.jsonl
is "$(cb-eval r.jsonl p.jsonl | jq .text2video.r1) $(cb-eval --compat clipbert \
    r.jsonl p.jsonl | jq -c .text2video.r1)" \
    '66.6666666666667 33.3333333333333' '--compat clipbert rounds scores'
jq -sc 'group_by(.vid_id) | reverse[] | {media: .[0].vid_id,
    scores: map(.score)}' p.jsonl >a.jsonl
cb-eval r.jsonl a.jsonl >m2 2>err; is "$? $(cat err)" '0 ' 'scores by media'
cb-eval r.jsonl p.jsonl | cmp -s - m2; is $? 0 'are the same as by pairs'
jq -c 'if .media == "a" then .scores |= .[1:] else . end' a.jsonl >cut.jsonl
cb-eval r.jsonl cut.jsonl >m2 2>err
is "$? $(cat err)" '1 cb-eval: cut.jsonl:2: a: 2 scores, the texts are 3' \
    'one score too few'
jq -c '.scores[1] = null' a.jsonl | cb-eval r.jsonl >m2 2>err
is "$? $(cat err)" '1 cb-eval: -:1: b: score 1 is not a number' 'no number'
grep -v '"a"' p.jsonl | cb-eval r.jsonl >m 2>err; s=$?
is "$s $(cat err) $(jq -c '.text2video | .medianR, (.r10 * 3 | round)' m | xargs)" \
    '1 cb-eval: 3 of 6 pairs of text and medium have no score 1 200' \
    'a medium without scores is not found'
cb-eval r.jsonl </dev/null >m 2>err
is "$? $(jq -c '[.text2video.r10, .video2text.r10]' m)" '1 [0,0]' 'nor is any'
echo '{"txt_id": 4, "vid_id": "a", "score": 1}' | cb-eval r.jsonl >m 2>err; s=$?
is "$s $(cat err)" '1 cb-eval: -:1: there is no text with the id 4' \
    'a score of nothing'
