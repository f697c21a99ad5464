#!/usr/bin/env bash
# One pre-training run for each line of overrides on standard input, each in a folder of its own:
# OUT/NAME where the line has checkpoint.save_dir=NAME, else named after its model.* values.
# usage: budget-plan updates --flops F ... --overrides | scripts/sweep.sh OUT TRAINING_OPTIONS...
#   e.g. TRAINING_OPTIONS = --config-dir examples/ --config-name budget_tera_librispeech
#        +task.user_dir=fairseq_budget task.data=data
# Stopped half-way? The same command skips finished runs, resumes others, and begins the rest.
# JOBS=N lets N lines run at a time. On Slurm (pip install hydra-submitit-launcher), one job each:
#   ... | JOBS=9 scripts/sweep.sh OUT -m TRAINING_OPTIONS... hydra/launcher=submitit_slurm \
#       hydra.launcher.gpus_per_node=2 hydra.launcher.timeout_min=4320
# Then: budget-report curve --runs OUT/* --out OUT
set -euo pipefail
out=${1:?usage: budget-plan updates ... --overrides | scripts/sweep.sh OUT TRAINING_OPTIONS...}
shift
mkdir -p "$out"
out=$(cd "$out" && pwd)

folder() { # OVERRIDES
    local name words
    read -ra words <<<"$1"
    name=$(printf '%s\n' "${words[@]}" | sed -n 's/^checkpoint\.save_dir=//p')
    [ -n "$name" ] ||
        name=$(printf '%s\n' "${words[@]}" | sed -n 's/^model\.\(size=\)\{0,1\}//p' | tr '=\n' '-_')
    printf '%s/%s\n' "$out" "${name%_}"
}

run() { # OVERRIDES
    local dir words
    read -ra words <<<"$1"
    dir=$(folder "$1")
    mkdir -p "$dir"
    [ -e "$dir/overrides" ] || printf '%s\n' "$1" >"$dir/overrides"
    if [ "$(cat "$dir/overrides")" != "$1" ]; then
        echo "sweep.sh: error: $dir was begun with other overrides ($(cat "$dir/overrides"))" \
            "than $1: a schedule cannot change half-way, choose another OUT" >&2
        return 2
    fi
    [ -e "$dir/finished" ] && return
    mapfile -t words < <(printf '%s\n' "${words[@]}" | grep -v '^checkpoint\.save_dir=')
    words+=("checkpoint.save_dir=$dir" "common.log_file=$dir/train.log" common.log_format=json)
    words+=("hydra.sweep.dir=$dir" hydra.sweep.subdir=. hydra.job.chdir=false)
    fairseq-hydra-train "${@:2}" "${words[@]}" </dev/null
    # a run that a time limit has stopped ends well, too, but has more to do
    grep -q 'Stopping training due to num_updates' "$dir/train.log" && touch "$dir/finished"
}

set -m # every run in a process group of its own, so that stopping the sweep stops all of it
trap 'jobs -p | sed "s/^/-/" | xargs -r kill --; exit 130' INT TERM
mapfile -t lines < <(grep .)
[ ${#lines[@]} -gt 0 ] || { echo "sweep.sh: error: no overrides on standard input" >&2; exit 2; }
twice=$(for line in "${lines[@]}"; do folder "$line"; done | sort | uniq -d | head -n 1)
if [ -n "$twice" ]; then
    echo "sweep.sh: error: two lines would share $twice: name their folders," \
        "checkpoint.save_dir=NAME in each line" >&2
    exit 2
fi
runs=()
for line in "${lines[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-1}" ]; do wait -n || true; done
    run "$line" "$@" &
    runs+=($!)
done
unfinished=0
for run in "${runs[@]}"; do wait "$run" || unfinished=$((unfinished + 1)); done
[ $unfinished = 0 ] && exit
echo "sweep.sh: $unfinished of ${#runs[@]} runs are not finished: start it again to go on" >&2
exit 1
