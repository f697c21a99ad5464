#!/usr/bin/env bash
# A run of days in jobs of hours: Slurm warns it, it saves and stops, and the job queues again,
# until the budget is spent. The arguments are those of fairseq-hydra-train:
#   sbatch examples/slurm.sh --config-dir examples/ --config-name budget_tera_librispeech task.data=data
#SBATCH --job-name=fairseq_budget
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
set -u

srun fairseq-hydra-train "$@"
code=$?
if [ "$code" -eq 75 ]; then # it was warned in time, and has saved
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
