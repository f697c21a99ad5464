#!/usr/bin/env bash
# The numbers of docs/papers/match_to_win.md: an encoder pre-trained on pieces of 1, 5, 10 and 15 s, frozen.
# usage: scripts/lengths.sh [OBJECTIVE] [SEED...]   (after `make demo`)
#   scripts/lengths.sh tera 1 2 3      or wav2vec2; by default tera and seed 1
# All sets hold the same audio, and so do all updates: 30 s, the least that 15 and 10 divide.
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
if [[ ${1:-} == -* ]]; then sed -n 's/^# //p' "$0" && exit; fi
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1
objective=${1:-tera}
seeds=("${@:2}")
seeds=("${seeds[@]:-1}")
data=results/runs/lengths/data
out=results/runs/lengths/$objective

train() { # SECONDS PIECES_OF_AN_UPDATE SEED
    local run=$out/$1s/seed$3
    mkdir -p "$run"
    fairseq-hydra-train --config-dir examples/ --config-name "budget_${objective}_demo" \
        +task.user_dir=fairseq_budget task.data="$data/$1s" task.min_sample_size=0 \
        task.max_sample_size=null dataset.batch_size="$2" dataset.max_tokens=504000 \
        common.seed="$3" checkpoint.save_dir="$run" common.log_format=json \
        common.log_file="$run/train.log" >"$run/output.txt" 2>&1
    budget-export "$run/checkpoint_last.pt" "$run/exported"
}

for split in train valid; do
    budget-manifest cut --manifest demo/manifests/$split.tsv --seconds 1 5 10 15 --destdir $data
done
for seed in "${seeds[@]}"; do
    { train 1 30 "$seed" && train 10 3 "$seed"; } &
    { train 5 6 "$seed" && train 15 2 "$seed"; }
    wait $!
done

upstreams=()
for length in 1s 5s 10s 15s; do
    exported=("${seeds[@]/#/$out/$length/seed}")
    upstreams+=(--upstream "$length=$(IFS=,; echo "${exported[*]/%//exported}")")
done
# Which command is spoken (48 of them), and who speaks (8 voices): task:updates, as in the demo
for test in ic:400 sid:100; do
    task=${test%:*}
    budget-downstream compare --data demo/downstream/"$task" --out "$out/scores/$task" --jobs 2 \
        --updates "${test#*:}" "${upstreams[@]}" --logmel \
        --upstream untrained="$out/15s/seed${seeds[0]}/exported:untrained"
done
budget-report scores "$out"/scores/{ic,sid}/results.json --out "$out/scores.md"
