#!/usr/bin/env bash
# Measure what docs/speed.md shows, on a machine that does nothing else meanwhile:
#
#     docs/results/speed/measure.sh [PATTERN]
#
# writes a JSON file for each measurement beside this script; PATTERN, as 'size_*',
# chooses some of them. Then
#
#     PYTHONPATH=. python docs/results/speed/tables.py
#
# makes the table and the plot.
# About 20 minutes on two cores. PYTHON names the interpreter.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../../.." && pwd)
PATTERN=${1:-*}
cd "$ROOT" || exit
export PYTHONPATH=$ROOT

status=0

measure() { # NAME THREADS BENCHMARK OPTIONS...
    # shellcheck disable=SC2053
    [[ $1 == $PATTERN ]] || return 0
    echo "== $1 (load $(cut -d ' ' -f 1 /proc/loadavg))"
    OMP_NUM_THREADS=$2 "${PYTHON:-python}" -m mmreviewkd benchmark "${@:3}" \
        --device cpu --json "$HERE/$1.json" || {
        echo "failed: $1" >&2
        status=1
    }
}

CIFAR_SHAPES='--shapes 32x32 16x16 8x8 1x1 --channels 16 32 64 64 --batch 64'
CIFAR=configs/cifar100/review-kd_resnet56_resnet20.py
R50=configs/coco/review-kd_faster-rcnn_r101-r50_fpn_ms-1x_coco.py
BFLOAT16='--cfg-options model.teacher.precision=bfloat16 model.review.precision=bfloat16'

for threads in 1 2; do
    measure "review_256_$threads" $threads review --channels 256
    measure "review_64_$threads" $threads review --channels 64 --repeats 15
    # shellcheck disable=SC2086
    measure "review_cifar_$threads" $threads review $CIFAR_SHAPES --repeats 15
    measure "step_cifar_$threads" $threads step $CIFAR --batch 64 --repeats 9
    measure "step_r50_$threads" $threads step $R50 --batch 1 --size 480x640 --repeats 5
    # shellcheck disable=SC2086
    measure "step_r50_bfloat16_$threads" $threads step $R50 --batch 1 \
        --size 480x640 --repeats 5 $BFLOAT16
done
# shellcheck disable=SC2086
measure review_cifar_compiled_2 2 review $CIFAR_SHAPES --repeats 15 --compile
measure loading_2 2 loading

# how the cost grows
for size in 240x320 360x480 480x640 600x800; do
    measure "size_$size" 2 step $R50 --batch 1 --size $size --repeats 3
done
for batch in 1 2 4; do
    measure "batch_$batch" 2 step $R50 --batch $batch --size 240x320 --repeats 3
done
strides=(4 8 16 32 64)
for first in 0 1 2 3 4; do
    chosen=("${strides[@]:first}")
    measure "levels_${#chosen[@]}" 2 step $R50 --batch 1 --size 480x640 --repeats 3 \
        --cfg-options "model.strides=[$(IFS=,; echo "${chosen[*]}")]"
done
exit $status
