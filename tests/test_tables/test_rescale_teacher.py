"""A teacher whose features are ten times as large, and that detects the same."""

import runpy

from tests.support.batches import batch
from tests.support.detectors import save_weights, tiny_detector
from tests.support.paths import ROOT
from tests.support.students import predictions_of

import torch
from mmdet.registry import MODELS


def test_the_same_boxes_from_features_tenfold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'work_dirs' / 'faster-rcnn_r18-w16_fpn_12e_cbc'
    folder.mkdir(parents=True)
    save_weights(tiny_detector(), folder / 'epoch_12.pth')
    runpy.run_path(str(ROOT / 'docs/results/rescale_teacher.py'), run_name='__main__')

    data, found = batch(), []
    for path in (folder, folder.with_name(f'{folder.name}_x10')):
        model = MODELS.build(tiny_detector())
        model.load_state_dict(torch.load(path / 'epoch_12.pth')['state_dict'])
        predictions = predictions_of(model, data)
        images = model.data_preprocessor(data)['inputs']
        with torch.no_grad():
            found.append((predictions, model.extract_feat(images)))
    (boxes, features), (same, tenfold) = found
    assert all(len(each['scores']) for each in boxes)
    torch.testing.assert_close(same, boxes, rtol=1e-4, atol=1e-3)
    expected = [10 * feature for feature in features]
    torch.testing.assert_close(list(tenfold), expected, rtol=1e-5, atol=1e-5)
