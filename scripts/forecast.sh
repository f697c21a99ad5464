#!/usr/bin/env bash
# The evidence of docs/forecast.md: pilots of a run, what they forecast for a budget that is held
# out, and runs at that budget beside it. Points go to docs/data/, from which scripts/write_tables.py
# fits and compares them again.
# usage: scripts/forecast.sh NAME DATA FLOPS HELD_OUT OBJECTIVE...
#   scripts/forecast.sh digits_and_orders results/real/data 1.3e14 3e13 tera hubert
#   DATA: manifests, with labels km for hubert (as scripts/real_speech.sh leaves them)
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
name=${1:?usage: scripts/forecast.sh NAME DATA FLOPS HELD_OUT OBJECTIVE...}
data=$(realpath "$2")
flops=$3
held_out=$4
export OMP_NUM_THREADS=1 JOBS=${JOBS:-2}

# a quarter and a sixteenth of the data, to be told what repetitions are worth
read -r quarter sixteenth < <(awk 'NR > 1 {samples += $2}
    END {printf "%.3g %.3g\n", samples / 57600000 / 4, samples / 57600000 / 16}' "$data/train.tsv")
parts=$PWD/results/forecast/$name/data
[ -d "$parts" ] || budget-manifest subset --manifest "$data/train.tsv" --destdir "$parts" \
    --hours "$quarter" "$sixteenth"

for objective in "${@:5}"; do
    out=results/forecast/$name/$objective
    mkdir -p "$out"
    plan=(budget-plan pilot --objective "$objective" --preset "${objective}_demo" --data "$data"
        --batch-seconds 4 --most-repetitions 1000 --overrides)
    train=(--config-dir examples/ --config-name "budget_${objective}_demo"
        +task.user_dir=fairseq_budget "task.data=$data")
    "${plan[@]}" --flops "$flops" --share 0.15 --subsets "$parts/${quarter}h" "$parts/${sixteenth}h" |
        scripts/sweep.sh "$out/pilot" "${train[@]}" >>"$out.log" 2>&1
    budget-plan forecast "$out"/pilot/* --flops "$held_out" --size tiny \
        --save "docs/data/pilot_${name}_$objective.tsv" || true # a refusal is an answer, too
    "${plan[@]}" --flops "$held_out" --held-out |
        scripts/sweep.sh "$out/held_out" "${train[@]}" >>"$out.log" 2>&1
    budget-plan forecast "$out"/held_out/* --save "docs/data/held_out_${name}_$objective.tsv"
done
