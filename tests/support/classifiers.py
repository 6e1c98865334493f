"""Tiny classifiers, distilled ones, and batches for them."""

import torch
from mmdet.registry import MODELS


def classifier(depth=8, widths=(4, 4, 8, 16), num_classes=10, **replaced):
    """Config of a CIFAR ResNet; arguments replace parts of it."""
    return dict(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='CifarResNet', depth=depth, widths=widths, num_classes=num_classes
            ),
            data_preprocessor=dict(
                type='CropFlipPreprocessor',
                mean=[125.3, 123.0, 113.9],
                std=[63.0, 62.1, 66.7],
                padding=4,
                flip=True,
            ),
        ),
        **replaced,
    )


def distilled_classifier(teacher, **replaced):
    """One that a teacher distils; arguments replace parts of its config."""
    cfg = dict(
        type='ReviewKD', student=classifier(), teacher=teacher, review=dict(weight=1.0)
    )
    cfg.update(replaced)
    return MODELS.build(cfg)


def image_batch(model, count=4):
    """Preprocessed images with the labels 0, 1, ..., always the same."""
    torch.manual_seed(2)
    return model.data_preprocessor(
        dict(
            inputs=torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8),
            data_samples=torch.arange(count),
        ),
        False,
    )
