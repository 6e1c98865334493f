#!/usr/bin/env bash
# One process per GPU. Without GPUs: SRUN_ARGS=--gres=none and
# --cfg-options env_cfg.dist_cfg.backend=gloo
if [[ $# -lt 4 ]]; then
    echo "usage: [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5]" \
        "[SRUN_ARGS=...] $0 PARTITION JOB_NAME CONFIG WORK_DIR" \
        "[ARGS OF train.py]" >&2
    exit 2
fi
GPUS_PER_NODE=${GPUS_PER_NODE:-8}

set -x
# SRUN_ARGS holds several words
# shellcheck disable=SC2086
exec srun -p "$1" \
    --job-name="$2" \
    --gres="gpu:$GPUS_PER_NODE" \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$3" --work-dir="$4" \
    --launcher=slurm "${@:5}"
