#!/usr/bin/env bash
# The numbers of docs/objectives.md: HuBERT (both heads, two iterations) and wav2vec 2.0 on a CPU.
# usage: scripts/objectives.sh NAME MANIFESTS UPDATES_OF_THE_TEACHER [ALIGNMENTS]
#   scripts/objectives.sh demo demo/manifests 3000 demo/corpus/phones.tsv   (after `make demo`)
#   scripts/objectives.sh digits results/runs/data 1200                     (after `make results`)
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
name=${1:?usage: scripts/objectives.sh NAME MANIFESTS UPDATES_OF_THE_TEACHER [ALIGNMENTS]}
manifests=$2
teacher_updates=$3
alignments=(${4:+--alignments "$4"})
out=results/runs/objectives/$name

train() { # FOLDER PRESET DATA OVERRIDES...
    mkdir -p "$out/$1"
    fairseq-hydra-train --config-dir examples/ --config-name "$2" +task.user_dir=fairseq_budget \
        task.data="$3" checkpoint.save_dir="$out/$1" common.log_format=json \
        common.log_file="$out/$1/train.log" "${@:4}" >"$out/$1/output.txt" 2>&1
}

for iteration in 1 2; do
    mkdir -p "$out/labels$iteration"
    cp "$manifests"/*.tsv "$out/labels$iteration"
done
budget-labels make --data "$out/labels1" --clusters 100 "${alignments[@]}"
OMP_NUM_THREADS=1 train hubert_cosine budget_hubert_demo "$out/labels1" &
OMP_NUM_THREADS=1 train wav2vec2 budget_wav2vec2_demo "$manifests" &
wait
train hubert_linear budget_hubert_demo "$out/labels1" model.head=linear \
    "optimization.max_update=$teacher_updates" \
    "lr_scheduler.warmup_updates=$((teacher_updates / 10))"
budget-labels make --data "$out/labels2" --clusters 100 "${alignments[@]}" --layer 1 \
    --checkpoint "$out/hubert_linear/checkpoint_best.pt"
train hubert_iteration_2 budget_hubert_demo "$out/labels2"
budget-report losses --runs "$out"/{hubert_cosine,hubert_linear,hubert_iteration_2,wav2vec2}
