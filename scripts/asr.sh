#!/usr/bin/env bash
# The numbers of docs/guides/asr.md: CTC and the transducer on a pre-trained encoder, on a CPU.
# usage: scripts/asr.sh NAME MANIFESTS TRANSCRIPTS PRETRAINED [WORD_PIECES]
#   scripts/asr.sh demo demo/manifests demo/corpus/utterances.tsv demo/tera     (after `make demo`)
#   scripts/asr.sh digits strings 'strings/{split}.wrd' \
#       results/runs/objectives/digits/hubert_linear/checkpoint_last.pt 30
# Stopped half-way? The same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1
usage="usage: scripts/asr.sh NAME MANIFESTS TRANSCRIPTS PRETRAINED [WORD_PIECES]"
pretrained=${4:?$usage}
out=results/runs/asr/$1
data=$out/data

train() { # OBJECTIVE
    mkdir -p "$out/$1"
    fairseq-hydra-train --config-dir examples/ --config-name "budget_$1_demo" \
        +task.user_dir=fairseq_budget task.data="$data" model.pretrained="$pretrained" \
        checkpoint.save_dir="$out/$1" common.log_format=json \
        common.log_file="$out/$1/train.log" >"$out/$1/output.txt" 2>&1
}

decode() { # OBJECTIVE OPTIONS...
    echo "$*"
    budget-asr decode "$out/$1/checkpoint_last.pt" --data "$data" "${@:2}" | tail -n 1
}

mkdir -p "$data"
cp "$2"/{train,valid}.tsv "$data"
budget-asr prepare --data "$data" --transcripts "$3"
budget-asr prepare --data "$data" --transcripts "$3" --word-pieces "${5:-100}"
train ctc &
train transducer &
wait %1 && wait %2

tr -d ' ' <"$data/train.ltr" | tr '|' '\n' | grep . | sort -u >"$data/words.txt"
decode ctc --labels ltr
decode ctc --labels ltr --lexicon "$data/words.txt"
decode transducer --labels bpe
decode transducer --labels bpe --beam 8
