"""The ablations of the paper, against their formulas."""

from mmreviewkd.commands import textbook
from mmreviewkd.methods import Review

import pytest
import torch
import torch.nn.functional as F


@pytest.mark.parametrize(
    'fusion, distance',
    [('abf', 'l2'), ('sum', 'hcl'), ('none', 'hcl'), ('pairs', 'l2')],
)
def test_ablations_are_what_the_paper_says(fusion, distance):
    torch.manual_seed(0)
    shapes = [(4, 9, 12), (6, 5, 6), (8, 3, 3)]
    features = [torch.randn(2, *s, dtype=torch.float64) for s in shapes]
    targets = [torch.randn(2, c + 1, h, w, dtype=torch.float64) for c, h, w in shapes]
    review = Review([4, 6, 8], [5, 7, 9], 5, fusion, distance).double()
    params = {
        k: v.clone() if torch.is_tensor(v) else v
        for k, v in review.state_dict().items()
    }

    def measure(a, b):
        return F.mse_loss(a, b) if distance == 'l2' else textbook.hcl(a, b)

    def reduce(index, x):
        return textbook.conv_bn(params, f'levels.{index}.reduce', x, True, 0)

    def output(index, x):
        return textbook.conv_bn(params, f'levels.{index}.output', x, True, 1)

    sizes = [t.shape[-2:] for t in targets]
    if fusion == 'abf':
        expected = [
            F.mse_loss(r, t)
            for r, t in zip(textbook.review(params, features, sizes), targets)
        ]
    elif fusion == 'none':
        expected = [
            measure(output(i, reduce(i, f)), t)
            for i, (f, t) in enumerate(zip(features, targets))
        ]
    elif fusion == 'sum':
        expected, residual = [], None
        for i in (2, 1, 0):
            x = reduce(i, features[i])
            if residual is not None:
                x = x + F.interpolate(residual, x.shape[-2:])
            residual = x
            expected.insert(0, measure(output(i, x), targets[i]))
    else:
        # every student level i >= j with the teacher's level j, on its own
        pairs = [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (2, 2)]
        expected = [0, 0, 0]
        for index, (i, j) in enumerate(pairs):
            x = F.interpolate(reduce(index, features[i]), sizes[j])
            expected[j] = expected[j] + measure(output(index, x), targets[j])
    torch.testing.assert_close(review.loss(features, targets), torch.stack(expected))
    assert any('attention' in key for key in params) == (fusion == 'abf')
