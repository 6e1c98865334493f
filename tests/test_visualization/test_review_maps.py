"""Maps of the review, and their picture."""

from mmreviewkd.methods import Review
from mmreviewkd.visualization import draw_review, review_maps, shown_image
from tests.support.detectors import save_weights

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample

STRIDES = (4, 8, 16, 32, 64)


def item(height=90, width=110):
    """Of a test pipeline; detectors pad it to 96x128."""
    torch.manual_seed(3)
    shape = (height, width)
    return dict(
        inputs=torch.randint(0, 256, (3, *shape), dtype=torch.uint8),
        data_samples=DetDataSample(
            metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1, 1))
        ),
    )


def enlarged(values, size=(90, 110), padded=(96, 128)):
    """Each cell at its place, by index, without the padding."""
    height, width = values.shape[-2:]
    rows = torch.arange(size[0]) * height // padded[0]
    columns = torch.arange(size[1]) * width // padded[1]
    return values[..., rows, :][..., columns].detach().numpy()


def by_formula(model, features):
    """Attention and reviewed feature of each level, shallow to deep."""
    residual, levels = None, []
    for abf, feature in reversed(list(zip(model.review.levels, features))):
        x, attention = abf.reduce(feature), None
        if residual is not None:
            up = F.interpolate(residual, x.shape[-2:])
            attention = abf.attention(torch.cat([x, up], 1)).sigmoid()
            x = x * attention[:, :1] + up * attention[:, 1:]
        residual = x
        levels.append((attention, abf.output(x)))
    return levels[::-1]


class TestReviewMaps:
    def test_equal_the_formula(self, distiller):
        model = distiller().eval()
        for parameter in model.review.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        data = item()
        inputs = model.data_preprocessor(
            dict(inputs=[data['inputs']], data_samples=[data['data_samples']])
        )['inputs']
        assert inputs.shape[-2:] == (96, 128)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        levels = review_maps(model, data)
        assert [level.name for level in levels] == [
            f'stride {stride}' for stride in STRIDES
        ]
        assert levels[1].cells == (12, 16)
        features = model.extract_feat(inputs)
        targets = model.distillation.teacher.model.extract_feat(inputs)
        expected = by_formula(model, features)
        tolerance = dict(rtol=1e-4, atol=1e-6)
        for i, level in enumerate(levels):
            x, target, (attention, reviewed) = (
                each[i] for each in (features, targets, expected)
            )
            np.testing.assert_allclose(
                level.student, enlarged(x[0].square().mean(0)), **tolerance
            )
            np.testing.assert_allclose(
                level.reviewed, enlarged(reviewed[0].square().mean(0)), **tolerance
            )
            np.testing.assert_allclose(
                level.teacher, enlarged(target[0].square().mean(0)), **tolerance
            )
            if attention is not None:
                np.testing.assert_allclose(
                    level.attention, enlarged(attention[0]), **tolerance
                )
        assert [level.attention is None for level in levels] == [False] * 4 + [True]
        # to look changes nothing
        assert not model.training
        for key, value in model.state_dict().items():
            assert torch.equal(value, before[key]), key

    @pytest.mark.parametrize('fusion', ['sum', 'pairs', 'none'])
    def test_ablations_have_no_attention(self, distiller, fusion):
        model = distiller(review=dict(weight=1.0, fusion=fusion)).eval()
        data = item()
        levels = review_maps(model, data)
        assert [level.attention for level in levels] == [None] * 5
        if fusion == 'sum':
            draw_review(shown_image(model, data), levels)

    def test_reviewed_is_what_the_loss_compares(self):
        for fusion in ('abf', 'sum', 'none'):
            review = Review([3, 4, 5], [6, 5, 4], 3, fusion=fusion).eval()
            features = [torch.randn(1, c, s, s) for c, s in ((3, 9), (4, 5), (5, 3))]
            sizes = [(9, 9), (5, 4), (2, 3)]
            for (_, reviewed), expected in zip(
                review.inspect(features, sizes), review(features, sizes)
            ):
                assert torch.equal(reviewed, expected)

    def test_classifier(self, tmp_path):

        def network(widths):
            return dict(
                type='ImageClassifier',
                backbone=dict(
                    type='CifarResNet', depth=8, widths=widths, num_classes=3
                ),
                data_preprocessor=dict(
                    type='CropFlipPreprocessor', mean=[125.0] * 3, std=[60.0] * 3
                ),
            )

        teacher = network((6, 6, 12, 24))
        model = MODELS.build(
            dict(
                type='ReviewKD',
                student=network((4, 4, 8, 16)),
                teacher=dict(
                    config=teacher, checkpoint=save_weights(teacher, tmp_path / 't.pth')
                ),
                review=dict(weight=1.0),
            )
        ).eval()
        data = dict(item(32, 32), data_samples=1)
        levels = review_maps(model, data)
        assert next(level.name for level in levels) == 'level 0'
        assert [level.cells for level in levels] == [(32, 32), (16, 16), (8, 8), (1, 1)]
        # RGB already; a detector's are turned
        assert np.array_equal(shown_image(model, data), data['inputs'].permute(1, 2, 0))
        draw_review(shown_image(model, data), levels)


def test_picture(distiller):
    model, data = distiller().eval(), item()
    data['inputs'][:] = torch.tensor([250, 20, 20], dtype=torch.uint8).view(
        3, 1, 1
    )  # blue in OpenCV's order
    image = shown_image(model, data)
    assert image.shape == (90, 110, 3) and tuple(image[0, 0]) == (20, 20, 250)
    picture = draw_review(image, review_maps(model, data))
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    blue = (picture == (20, 20, 250)).all(-1)
    # in the first of six columns alone, once for each of five levels
    assert not blue[:, picture.shape[1] // 5 :].any()
    starts = np.diff(blue.any(1).astype(int)) == 1
    assert starts.sum() == 5
