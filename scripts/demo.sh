#!/usr/bin/env bash
# The whole path in minutes on a CPU: speech, pre-training, export, s3prl, a report.
# usage: scripts/demo.sh [FOLDER_OF_SPEECH]   (default: a synthetic corpus); results in demo/
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
out=demo
audio=${1:-}

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

mkdir -p $out
run budget-corpus $out/corpus
if [ -n "$audio" ]; then
    run budget-manifest --trainpref "$audio" --valid-percent 5 --resample-to $out/audio \
        --destdir $out/manifests
else
    run budget-manifest --trainpref $out/corpus/train --validpref $out/corpus/valid \
        --destdir $out/manifests
fi
for split in train valid; do
    run budget-manifest cut --manifest $out/manifests/$split.tsv --seconds 4 --destdir $out/data
done

# Pictures while it trains: each checkpoint's loss curve and what it fills in.
printf '\nWatch %s/reconstruction.png and %s/loss.png: drawn every 20 seconds from now on.\n' $out $out
OMP_NUM_THREADS=1 budget-report run --every 20 --log $out/train.log --out $out \
    --checkpoint $out/checkpoints/checkpoint_last.pt --manifest $out/data/valid.tsv &
drawing=$!
stop_drawing() { kill $drawing 2>/dev/null || true; }
trap stop_drawing EXIT

# Stopped half-way? The same command goes on where it was.
run fairseq-hydra-train --config-dir examples/ --config-name budget_tera_demo \
    +task.user_dir=fairseq_budget task.data=$out/data checkpoint.save_dir=$out/checkpoints \
    checkpoint.save_interval_updates=100 dataset.validate_interval_updates=100 \
    common.log_format=simple common.log_file=$out/train.log
stop_drawing
run budget-export $out/checkpoints/checkpoint_best.pt $out/tera

# Which command is spoken (48 of them), and who speaks (8 voices): task:updates
for test in ic:400 sid:100; do
    task=${test%:*}
    run budget-downstream layout --task $task --audio $out/corpus --out $out/downstream/$task
    run budget-downstream compare --data $out/downstream/$task --out $out/scores/$task --jobs 2 \
        --upstream tera=$out/tera --upstream untrained=$out/tera:untrained --logmel \
        --updates ${test#*:}
done
run budget-report run --log $out/train.log --checkpoint $out/tera --out $out \
    --manifest $out/data/valid.tsv --scores $out/scores/{ic,sid}/results.json
run budget-report html $out --scores $out/scores/{ic,sid}/results.json --out $out/report.html
printf '\n'
cat $out/report.md
