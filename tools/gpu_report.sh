#!/usr/bin/env bash
# All that is to be measured on a GPU, stage by stage, with the results in one folder:
#
#     tools/gpu_report.sh [FOLDER] [STAGE...]
#
# on one GPU: CUDA_VISIBLE_DEVICES=1 chooses another than the first.
# FOLDER/report.md and FOLDER/report.json sum the stages up, and STAGE.out, STAGE.log
# and STAGE.json in it have what each printed, logged and measured. A stage runs for
# LIMIT seconds at most. Called again, the script skips the stages that are done, tries
# the others again, and trains on from the last epoch. STAGE may be a pattern, as
# 'review_*'; without one, all stages run.
#
# No network and no installation is needed, only the packages that mmreviewkd requires
# and pytest, in the environment of PYTHON. CIFAR is the folder of CIFAR-100: as
# torchvision stores it, or train.npz and test.npz with images x and labels y. With
# DEVICE=cpu and small values of the variables below, all stages run on the CPU;
# tests/test_tools/test_gpu_report.py does it.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${1:-work_dirs/gpu_report}" || exit
FOLDER=$(cd "${1:-work_dirs/gpu_report}" && pwd)
CHOSEN=("${@:2}")
PYTHON=${PYTHON:-python}
DEVICE=${DEVICE:-cuda}
LIMIT=${LIMIT:-480}
REPEATS=${REPEATS:-7}
SIZE=${SIZE:-800x1333}
BATCHES=${BATCHES:-2 8}
SHAPES=${SHAPES:-200x336 100x168 50x84 25x42 13x21}
CHANNELS=${CHANNELS:-256}
CIFAR=${CIFAR:-data/cifar100}
[[ $CIFAR == /* ]] || CIFAR=$PWD/$CIFAR
CIFAR_BATCH=${CIFAR_BATCH:-128}
EPOCHS=${EPOCHS:-240}

PAIRS=${PAIRS:-faster-rcnn_r101-r18 faster-rcnn_r101-r50
    faster-rcnn_r50-mobilenet-v2 mask-rcnn_r101-r18 mask-rcnn_r101-r50
    mask-rcnn_r50-mobilenet-v2 retinanet_r101-r50}
CIFAR_PAIR=configs/cifar100/review-kd_resnet56_resnet20.py

[[ $PYTHON == */* && $PYTHON != /* ]] && PYTHON=$PWD/$PYTHON

cd "$ROOT" || exit
export PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH}
"$PYTHON" -c "import torch" || {
    echo "PYTHON=$PYTHON has no torch" >&2
    exit 1
}
"$PYTHON" -c "import sys, torch; sys.exit('$DEVICE' != 'cpu' and not torch.cuda.is_available())" || {
    echo "torch sees no GPU; DEVICE=cpu and small sizes make a dry run, see $0" >&2
    exit 1
}

# stage NAME COMMAND...: its standard output is part of the report
stage() {
    local name=$1 start=$SECONDS pattern code status
    shift
    for pattern in "${CHOSEN[@]-*}"; do
        # shellcheck disable=SC2053
        [[ $name == $pattern ]] && break
        false
    done || return 0
    if grep -qs '^done' "$FOLDER/$name.status"; then
        echo "$name: done before"
        return
    fi
    rm -f "$FOLDER/$name.status"
    printf '%q ' "$@" >"$FOLDER/$name.command"
    timeout --foreground --kill-after=20 "$LIMIT" "$@" >"$FOLDER/$name.out" 2>"$FOLDER/$name.log"
    code=$?
    case $code in
    0) status=done ;;
    124 | 137) status="cut off" ;;
    130) status=interrupted ;;
    *) status=failed ;;
    esac
    echo "$status, $((SECONDS - start)) s" >"$FOLDER/$name.status"
    echo "$name: $(cat "$FOLDER/$name.status")"
    ((code != 130)) || exit 130 # Ctrl-C
}

benchmark() { # NAME ARGUMENTS...
    stage "$1" "$PYTHON" -m mmreviewkd benchmark "${@:2}" \
        --device "$DEVICE" --repeats "$REPEATS" --json "$FOLDER/$1.json"
}

fail() { # NAME REASON
    stage "$1" bash -c 'echo "$1" >&2; exit 1' bash "$2"
}

train() { # NAME CONFIG [SETTING]: an epoch that is cut off is trained again
    local file=$FOLDER/$1.py split
    if ((classes != 100)); then
        fail "$1" "$CIFAR/train.npz has images of $classes classes, not of 100"
        return
    fi
    echo "_base_ = '$ROOT/configs/cifar100/$2.py'" >"$file"
    for split in train val; do
        if [[ -e $CIFAR/train.npz ]]; then
            echo "${split}_dataloader = dict(dataset=dict(_delete_=True," \
                "type='ArchiveImages', path='$CIFAR/${split/val/test}.npz'," \
                "num_classes=100))"
        else
            echo "${split}_dataloader = dict(dataset=dict(data_root='$CIFAR'))"
        fi
    done >>"$file"
    echo "train_cfg = dict(max_epochs=$EPOCHS)" >>"$file"
    echo "${3-}" >>"$file"
    stage "$1" "$PYTHON" -m mmreviewkd train "$file" --work-dir "$FOLDER/$1" --resume
}

environment() {
    git log -1 --format='Commit: %h of %cs' 2>/dev/null
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv 2>/dev/null
    "$PYTHON" -m torch.utils.collect_env
}
export -f environment
export PYTHON

stage environment bash -c environment

# on the CPU, the same tests on the CPU
[[ $DEVICE == cpu ]] && marked='not cuda' || marked=cuda
stage tests "$PYTHON" -m pytest -q -p no:cacheprovider -m "$marked" tests/test_cuda.py

for amp in '' --amp; do
    for compile in '' --compile; do
        suffix=${amp:+_amp}${compile:+_compiled}
        for batch in $BATCHES; do
            # shellcheck disable=SC2086
            benchmark "review_coco_batch$batch$suffix" review --shapes $SHAPES \
                --channels "$CHANNELS" --batch "$batch" $amp $compile
        done
        # shellcheck disable=SC2086
        benchmark "review_cifar$suffix" review --shapes 32x32 16x16 8x8 1x1 \
            --channels 16 32 64 64 --batch "$CIFAR_BATCH" $amp $compile
        # shellcheck disable=SC2086
        benchmark "step_cifar$suffix" step $CIFAR_PAIR \
            --batch "$CIFAR_BATCH" $amp $compile
    done
done
benchmark step_cifar_graphs step $CIFAR_PAIR \
    --batch "$CIFAR_BATCH" --compile --compile-mode reduce-overhead

for pair in $PAIRS; do
    for batch in $BATCHES; do
        for amp in '' --amp; do
            # shellcheck disable=SC2086
            benchmark "step_${pair}_batch$batch${amp:+_amp}" step \
                "configs/coco/review-kd_${pair}_fpn_ms-1x_coco.py" \
                --batch "$batch" --size "$SIZE" $amp
        done
    done
done

# at the published schedule; several calls, on most machines
classes=100
if [[ -e $CIFAR/train.npz ]]; then
    classes=$("$PYTHON" -c "import sys, numpy as np
print(len(np.unique(np.load(sys.argv[1])['y'])))" "$CIFAR/train.npz")
fi
train train_teacher resnet56
train train_student resnet20
# with the schedule of KD, CRD and OFD
train train_student_benchmark benchmark/resnet20
teacher=$FOLDER/train_teacher/epoch_$EPOCHS.pth
for method in review-kd kd crd ofd; do
    if [[ -e $teacher ]]; then
        train "train_$method" "${method}_resnet56_resnet20" \
            "model = dict(teacher=dict(checkpoint='$teacher'))"
    else
        fail "train_$method" 'the teacher is not trained yet'
    fi
done

"$PYTHON" "$ROOT/tools/gpu_summary.py" "$FOLDER"
