#!/usr/bin/env bash
# The numbers of docs/results.md: TERA pre-trained on spoken digits, scored by s3prl.
# usage: scripts/results.sh FOLDER   of the Free Spoken Digit Dataset, {digit}_{speaker}_{take}.wav
# Takes 10-49 are heard in pre-training, without labels; takes 0-9 are heard in tests only.
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
speech=${1:?usage: scripts/results.sh FOLDER_OF_SPOKEN_DIGITS}
out=results/runs

budget-manifest --trainpref "$speech" --match '_[1-4][0-9]\.wav$' --valid-percent 5 \
    --resample-to $out/audio --destdir $out/manifests
for split in train valid; do
    budget-manifest cut --manifest $out/manifests/$split.tsv --seconds 4 \
        --speaker '_([a-z]+)_' --destdir $out/data
done

exported=()
for seed in 1 2 3; do
    fairseq-hydra-train --config-dir examples/ --config-name budget_tera_demo \
        +task.user_dir=fairseq_budget task.data=$out/data common.seed=$seed \
        checkpoint.save_dir=$out/seed$seed common.log_format=simple \
        common.log_file=$out/seed$seed.log
    budget-export $out/seed$seed/checkpoint_last.pt $out/tera$seed
    exported+=("$out/tera$seed")
done
tera=$(IFS=,; echo "${exported[*]}")

score() { # NAME TASK FILTERS...
    local name=$1 task=$2
    shift 2
    budget-downstream layout --task "$task" --audio "$speech" --out $out/layouts/"$name" "$@"
    budget-downstream compare --data $out/layouts/"$name" --out $out/scores/"$name" --jobs 2 \
        --upstream tera="$tera" --upstream untrained="$tera:untrained" --logmel
}
mapfile -t speakers < <(find "$speech" -name '*.wav' | sed 's/.*_\([a-z]*\)_.*/\1/' | sort -u)
half=$((${#speakers[@]} / 2))
first=$(IFS=,; echo "${speakers[*]:0:half}")
second=$(IFS=,; echo "${speakers[*]:half}")

score digits ic --train take=10-49 --test take=0-9
score digits_5_takes ic --train take=10-49 --test take=0-9 --shots 5
score digits_unseen_speakers_a ic --train "take=10-49 speaker=$first" --test "take=0-9 speaker=$second"
score digits_unseen_speakers_b ic --train "take=10-49 speaker=$second" --test "take=0-9 speaker=$first"
score speakers sid --train take=10-49 --test take=0-9

budget-report scores $out/scores/*/results.json --out docs/results.md
