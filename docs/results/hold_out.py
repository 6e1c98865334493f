#!/usr/bin/env python
"""Hold out a fifth of the training images, on which choices may be made.

data/held-out/NAME has the layout of data/NAME: four fifths of the training images
stand for all, and the others for the test images, which nothing here reads.

    python docs/results/hold_out.py
"""

import json
import os

import numpy as np


def hold_out_cifar():
    """Every fifth image of each class, in the order of the file."""
    data = np.load('data/cifar100/train.npz')
    images, labels = data['x'], data['y']
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        held[np.flatnonzero(labels == label)[::5]] = True
    os.makedirs('data/held-out/cifar100', exist_ok=True)
    for part, chosen in (('train', ~held), ('test', held)):
        path = f'data/held-out/cifar100/{part}.npz'
        np.savez(path, x=images[chosen], y=labels[chosen])


def hold_out_coco(name):
    """Every fifth image, in the order of the file."""
    folder = f'data/held-out/{name}'
    os.makedirs(f'{folder}/annotations', exist_ok=True)
    with open(f'data/{name}/annotations/train.json', encoding='utf-8') as file:
        content = json.load(file)
    held = {image['id'] for image in content['images'][::5]}
    for part, is_held in (('train', False), ('test', True)):
        if not os.path.lexists(f'{folder}/{part}'):
            os.symlink(os.path.abspath(f'data/{name}/train'), f'{folder}/{part}')
        chosen = dict(
            content,
            images=[i for i in content['images'] if (i['id'] in held) == is_held],
            annotations=[
                a for a in content['annotations'] if (a['image_id'] in held) == is_held
            ],
        )
        path = f'{folder}/annotations/{part}.json'
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(chosen, file)


if __name__ == '__main__':
    hold_out_cifar()
    hold_out_coco('cbc')
