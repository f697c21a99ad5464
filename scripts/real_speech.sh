#!/usr/bin/env bash
# The numbers of docs/real_speech.md: every objective, pre-trained on spoken digits and orders
# together at one budget, and scored on digits of each speaker in turn, with a classifier that has
# not heard that speaker.
# usage: scripts/real_speech.sh DIGITS ORDERS [SEED...]
#   DIGITS of the Free Spoken Digit Dataset, {digit}_{speaker}_{take}.wav
#   ORDERS with audio/orderNNNN.flac and labels.tsv, of the speech-to-intent benchmark of Picovoice
# Takes 0-9 of the digits and every fourth order are left out of pre-training.
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
digits=$(realpath "${1:?usage: scripts/real_speech.sh DIGITS ORDERS [SEED...]}")
orders=$(realpath "$2")
seeds=("${@:3}")
((${#seeds[@]})) || seeds=(1 2 3)
num_seeds=${#seeds[@]}
out=results/real
export OMP_NUM_THREADS=1

mkdir -p "$out/speech"
ln -sfn "$digits" "$out/speech/digits"
ln -sfn "$orders/audio" "$out/speech/orders"
awk -F'\t' -v OFS='\t' 'NR == 1 {print $0, "split"; next}
    {print $0, NR % 4 == 1 ? "test" : "train"}' "$orders/labels.tsv" >"$out/orders.tsv"
heard=$(awk -F'\t' '/train$/ {sub(".*/", "", $1); printf "|%s$", $1}' "$out/orders.tsv")
budget-manifest --trainpref "$out/speech" --match "_[1-4][0-9]\.wav\$$heard" --valid-percent 5 \
    --resample-to "$out/audio" --destdir "$out/manifests"
for split in train valid; do
    budget-manifest cut --manifest "$out/manifests/$split.tsv" --seconds 4 --destdir "$out/data" \
        --speaker '((?<=_)[a-z]+(?=_)|order[0-9]+)'
done
budget-labels make --data "$out/data" --clusters 100

train() { # NAME SEED PRESET OVERRIDES...
    local run=$out/$1/seed$2
    mkdir -p "$run"
    fairseq-hydra-train --config-dir examples/ --config-name "$3" +task.user_dir=fairseq_budget \
        task.data="$out/data" checkpoint.save_dir="$run" common.seed="$2" common.log_format=json \
        common.log_file="$run/train.log" "${@:4}" >"$run/output.txt" 2>&1
}
read -ra as_many_flops < <(budget-plan updates --flops 7.952e12 --size tiny,frontend=logmel \
    --seconds-per-gpu 16 --sequence-seconds 4 --overrides)
for seed in "${seeds[@]}"; do
    {
        train tera "$seed" budget_tera_demo
        train wav2vec2 "$seed" budget_wav2vec2_demo
        for name in tera wav2vec2 hubert; do
            train "${name}_logmel" "$seed" "budget_${name}_demo" "${as_many_flops[@]}"
        done
    } &
    hubert=$out/hubert/seed$seed/checkpoint_last.pt
    train hubert "$seed" budget_hubert_demo
    budget-labels make --data "$out/data" --name "second$seed" --clusters 100 --layer 2 \
        --checkpoint "$hubert"
    train hubert_second "$seed" budget_hubert_demo task.labels="second$seed"
    wait $!
    train student_cif "$seed" budget_distilhubert_demo model.teacher="$hubert" \
        model.subsample=cif model.subsample_rate=2
done

rows=()
for name in {tera,wav2vec2,hubert}{,_logmel} hubert_second student_cif; do
    paths=()
    for seed in "${seeds[@]}"; do
        paths+=("$out/$name/seed$seed/checkpoint_last.pt")
    done
    rows+=(--upstream "$name=$(IFS=,; echo "${paths[*]}")")
done
untrained=$out/tera/seed${seeds[0]}/checkpoint_last.pt:untrained
score() { # NAME LAYOUT'S OPTIONS...
    budget-downstream layout --task ic --out "$out/layouts/$1/ic" "${@:2}"
    budget-downstream superb --data "$out/layouts/$1" --out "$out/scores/$1" --jobs 2 \
        --lrs 1e-1:1e-2 --updates 800 --seeds "$num_seeds" "${rows[@]}" \
        --upstream untrained="$untrained" --logmel
}
mapfile -t speakers < <(find "$digits/" -name '*.wav' | sed 's/.*_\([a-z]*\)_.*/\1/' | sort -u)
for speaker in "${speakers[@]}"; do
    others=$(IFS=,; echo "${speakers[*]}" | sed "s/\b$speaker\b,\?//; s/,$//")
    score "digits_of_$speaker" --audio "$digits" --train "take=10-49 speaker=$others" \
        --test "take=0-9 speaker=$speaker"
done
budget-report scores "$out"/scores/digits_of_*/superb.json --out docs/real_speech.md
