"""A fifth of the training images, held out."""

import json
import runpy

from tests.support.paths import ROOT

import numpy as np


def test_held_out_images_are_not_trained_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data' / 'cifar100').mkdir(parents=True)
    images, labels = np.arange(20).reshape(20, 1), np.arange(20) % 2
    np.savez('data/cifar100/train.npz', x=images, y=labels)
    folder = tmp_path / 'data' / 'cbc'
    (folder / 'annotations').mkdir(parents=True)
    (folder / 'train').mkdir()
    content = dict(
        images=[dict(id=i) for i in range(10)],
        annotations=[dict(id=k, image_id=k % 10) for k in range(30)],
        categories=[dict(id=0, name='a')],
    )
    (folder / 'annotations' / 'train.json').write_text(json.dumps(content))
    for _ in range(2):  # also where it was done before
        runpy.run_path(str(ROOT / 'docs/results/hold_out.py'), run_name='__main__')

    parts = [np.load(f'data/held-out/cifar100/{p}.npz') for p in ('train', 'test')]
    assert [len(part['x']) for part in parts] == [16, 4]
    assert sorted(np.concatenate([p['x'] for p in parts]).ravel()) == list(range(20))
    # of each class alike
    assert np.bincount(parts[1]['y']).tolist() == [2, 2]

    found = {}
    for part in ('train', 'test'):
        path = tmp_path / 'data' / 'held-out' / 'cbc' / 'annotations' / f'{part}.json'
        found[part] = json.loads(path.read_text())
        assert (path.parents[1] / part).resolve() == folder / 'train'
        ids = {image['id'] for image in found[part]['images']}
        assert {each['image_id'] for each in found[part]['annotations']} == ids
        assert found[part]['categories'] == content['categories']
    assert [image['id'] for image in found['test']['images']] == [0, 5]
    assert len(found['train']['images']) == 8
