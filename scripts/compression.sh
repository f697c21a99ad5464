#!/usr/bin/env bash
# The numbers of docs/guides/compression.md: students of a tiny HuBERT, at 50 Hz and shortened, on a CPU.
# usage: scripts/compression.sh TEACHER [UPDATES]   (after `make demo` and scripts/objectives.sh)
#   scripts/compression.sh results/runs/objectives/demo/hubert_linear/checkpoint_last.pt
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1
teacher=${1:?usage: scripts/compression.sh TEACHER [UPDATES]}
updates=${2:-1200}
out=results/runs/compression
data=$out/data
phones=demo/corpus/phones.tsv

train() { # NAME OVERRIDES...
    mkdir -p "$out/$1"
    fairseq-hydra-train --config-dir examples/ --config-name budget_distilhubert_demo \
        +task.user_dir=fairseq_budget task.data=$data model.teacher="$teacher" \
        checkpoint.save_dir="$out/$1" common.log_format=json common.log_file="$out/$1/train.log" \
        optimization.max_update="$updates" "${@:2}" >"$out/$1/output.txt" 2>&1
    budget-export "$out/$1/checkpoint_last.pt" "$out/$1/exported"
}

mkdir -p $data
cp demo/manifests/*.tsv $data
budget-labels fit --data $data --clusters 100
budget-labels segment --data $data --target-rate 12.5
for split in train valid; do
    budget-labels boundaries --data $data --split $split --table $phones --name phones
done

cif=(model.subsample=cif model.subsample_rate=4)
guided=(criterion.cardinality_weight=0 criterion.segment_weight=0.005 criterion.frame_weight=0.25)
{ train none && train average model.subsample=average model.subsample_rate=4 && train phones \
    model.subsample=segments model.subsample_rate=4 task.segments=phones; } &
{ train card "${cif[@]}" criterion.cardinality_weight=10 && train smoothed "${cif[@]}" \
    "${guided[@]}" task.segments=seg; } &
wait
for student in card smoothed; do
    budget-report boundaries --checkpoint $out/$student/exported --data $data --phones $phones \
        --out $out/$student
done
budget-downstream compare --data demo/downstream/ic --out $out/ic --jobs 2 --updates 400 \
    --upstream teacher="$teacher" $(for student in none average card smoothed phones; do
        echo "--upstream $student=$out/$student/exported"
    done)
