#!/usr/bin/env bash
# The toy comparison of docs/papers/k2ssl.md: four encoders at one FLOPs budget, each fine-tuned with
# CTC and with the transducer, on a CPU.
# usage: scripts/k2ssl.sh [FLOPS]     (after `make demo`)
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
if [[ ${1:-} == -* ]]; then sed -n 's/^# //p' "$0" && exit; fi
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1
flops=${1:-8e12}
out=results/runs/k2ssl/$flops
data=$out/data

train() { # FOLDER PRESET OVERRIDES...
    mkdir -p "$out/$1"
    fairseq-hydra-train --config-dir examples/ --config-name "$2" +task.user_dir=fairseq_budget \
        task.data="$data" checkpoint.save_dir="$out/$1" common.log_format=json \
        common.log_file="$out/$1/train.log" "${@:3}" >"$out/$1/output.txt" 2>&1
}

pretrain() { # FOLDER SIZE PRESET OVERRIDES...
    local plan updates eden=()
    plan=$(budget-plan updates --objective hubert --num-classes 104 --flops "$flops" --size "$2" \
        --seconds-per-gpu 13.9 --sequence-seconds 2.2 --overrides) # what the 16 s of a batch hold
    updates=${plan#*max_update=}
    [ "$3" = budget_hubert_demo ] || eden=("lr_scheduler.lr_updates=$((${updates%% *} / 4))")
    # shellcheck disable=SC2086
    train "$1" "$3" $plan "${eden[@]}" task.budget_flops="$flops" \
        dataset.validate_interval_updates=200 "${@:4}"
}

recognise() { # RUNS...
    local run objective
    for run; do
        for objective in ctc transducer; do
            train "$run/$objective" "budget_${objective}_demo" \
                model.pretrained="$out/$run/checkpoint_last.pt"
        done
    done
}

errors() { # RUN OBJECTIVE OPTIONS...: word error rate in per cent
    budget-asr decode "$out/$1/$2/checkpoint_last.pt" --data "$data" "${@:3}" |
        sed -n '$s/.* rate \([0-9.]*\)%.*/\1/p'
}

mkdir -p "$data"
cp demo/manifests/{train,valid}.tsv "$data"
budget-labels make --data "$data" --clusters 100
budget-asr prepare --data "$data" --transcripts demo/corpus/utterances.tsv
budget-asr prepare --data "$data" --transcripts demo/corpus/utterances.tsv --word-pieces 100

pretrain adam tiny budget_hubert_demo &
pretrain scaled_adam tiny budget_hubert_zipformer_demo model.head=cosine
wait $!
pretrain cross_entropy tiny budget_hubert_zipformer_demo &
pretrain zipformer zipformer_tiny budget_hubert_zipformer_demo
wait $!
recognise adam scaled_adam &
recognise cross_entropy zipformer
wait $!

budget-report losses --runs "$out"/{adam,scaled_adam,cross_entropy,zipformer} --png "$out/k2ssl.png"
echo "| run | CTC, greedy | transducer, greedy | transducer, beam 8 |"
echo "| --- | --- | --- | --- |"
for run in adam scaled_adam cross_entropy zipformer; do
    ctc=$(errors $run ctc)
    greedy=$(errors $run transducer --labels bpe)
    beam=$(errors $run transducer --labels bpe --beam 8)
    echo "| $run | $ctc | $greedy | $beam |"
done
