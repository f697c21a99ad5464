#!/usr/bin/env bash
# What docs/forecast.md says of one budget: which size, which shape, and how many hours of speech
# TERA does best with, three seeds each. Points go to docs/data/, from which scripts/write_tables.py
# makes the tables again.
# usage: scripts/tradeoffs.sh NAME DATA FLOPS
#   scripts/tradeoffs.sh digits_and_orders results/real/data 3.3e12
#   DATA: manifests, train.tsv and valid.tsv
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
name=${1:?usage: scripts/tradeoffs.sh NAME DATA FLOPS}
data=$(realpath "$2")
flops=$3
out=results/tradeoffs/$name
export OMP_NUM_THREADS=1 JOBS=${JOBS:-2}
mkdir -p "$out"

runs() { # FOLDER DATA SIZE...
    budget-plan pilot --preset tera_demo --data "$2" --flops "$flops" --held-out --seeds 3 \
        --batch-seconds 4 --most-repetitions 1000 --overrides --sizes "$3" "${@:4}" |
        scripts/sweep.sh "$out/$1" --config-dir examples/ --config-name budget_tera_demo \
            +task.user_dir=fairseq_budget "task.data=$2" >>"$out/$1.log" 2>&1
}

shape() { # LAYERS WIDTH HEADS
    echo "tiny,encoder_layers=$1,encoder_embed_dim=$2,encoder_ffn_embed_dim=$((2 * $2)),encoder_attention_heads=$3"
}

save() { # NAME OF THE FILE, FOLDERS OF RUNS
    budget-plan forecast "$2" "${@:3}" --save "docs/data/$1_${name}_tera.tsv"
}

runs sizes "$data" tiny:{0.0625,0.25,0.5} tiny tiny:{2,4,8}
save sizes "$out"/sizes/*

runs shapes "$data" "$(shape 12 64 2)" "$(shape 1 192 6)"
save shapes "$out"/shapes/* "$out"/sizes/tiny_*

hours=$(awk 'NR > 1 {samples += $2} END {print samples / 57600000}' "$data/train.tsv")
for part in 4 16; do
    few=$(awk "BEGIN {printf \"%.3g\", $hours / $part}")
    [ -d "$out/data/${few}h" ] ||
        budget-manifest subset --manifest "$data/train.tsv" --destdir "$out/data" --hours "$few"
    runs "hours_$part" "$PWD/$out/data/${few}h" tiny:0.5
done
save hours "$out"/hours_*/tiny* "$out"/sizes/tiny-0.5_*
