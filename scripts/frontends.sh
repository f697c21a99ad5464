#!/usr/bin/env bash
# TERA on log-mel frames beside TERA on convolutions at one FLOPs budget, over seeds, on a CPU: their
# losses, and frozen encoders that tell spoken commands apart.
# usage: scripts/frontends.sh [FLOPS [SEED...]]     (after `make demo`)
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
if [[ ${1:-} == -* ]]; then sed -n 's/^# //p' "$0" && exit; fi
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1
flops=${1:-8e12}
seeds=("${@:2}")
((${#seeds[@]})) || seeds=(1 2 3)
num_seeds=${#seeds[@]}
out=results/runs/frontends/$flops

for seed in "${seeds[@]}"; do
    budget-plan updates --flops "$flops" --size tiny tiny,frontend=logmel --seconds-per-gpu 16 \
        --sequence-seconds 4 --overrides |
        JOBS=2 scripts/sweep.sh "$out/seed$seed" --config-dir examples/ \
            --config-name budget_tera_demo +task.user_dir=fairseq_budget task.data=demo/data \
            common.seed="$seed" task.budget_flops="$flops"
done

rows=()
for run in tiny tiny_frontend-logmel; do
    paths=()
    for seed in "${seeds[@]}"; do
        paths+=("$out/seed$seed/$run/checkpoint_last.pt")
    done
    rows+=(--upstream "$run=$(IFS=,; echo "${paths[*]}")")
done
budget-report losses --runs "$out"/seed*/tiny*
budget-downstream compare --data demo/downstream/ic --out "$out/ic" --updates 400 \
    --seeds "$num_seeds" "${rows[@]}"
