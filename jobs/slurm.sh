#!/usr/bin/env bash
# sbatch jobs/slurm.sh train seq --workdir=runs/seq
# sbatch --array=1-4 jobs/slurm.sh sweep models:model_3 --over 'seed=0..31'   # four machines
# sbatch --nodes=2 --ntasks-per-node=8 --gpus-per-node=8 jobs/slurm.sh train seq --config.num_seeds=64
#
#SBATCH --job-name=jaxmnist
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1   # one process a GPU, which JAX chooses by its number on the node
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --requeue             # a preempted job goes back into the queue
#SBATCH --signal=TERM@120     # to the run, before its time is over: it saves, and exits with 143
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
set -euo pipefail

[ "$#" -gt 0 ] || set -- train seq --workdir=runs/seq
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  set -- "$@" --shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_MAX"
fi
if [ "$SLURM_NTASKS" -gt 1 ]; then
  if [ "$1" != train ]; then
    echo "error: only a training has several processes: start a sweep with --array=1-N." >&2
    exit 2
  fi
  set -- "$@" --distributed
fi

code=0
srun --kill-on-bad-exit=1 jaxmnist "$@" || code=$?

# Saved because the time is over: once more, from there. (Preempted, the job is no longer RUNNING,
# and Slurm requeues it; cancelled, it is not RUNNING either, and stays so.)
if [ "$code" -eq 143 ] && [ "$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)" = RUNNING ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
