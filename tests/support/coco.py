"""A COCO dataset of drawn rectangles."""

import json

import mmreviewkd  # noqa: F401

import cv2
import numpy as np


def write_coco(root, splits=(('train', 8), ('val', 4)), size=(96, 128)):
    """A COCO dataset: coloured rectangles of two classes; image 0 is empty."""
    rng = np.random.RandomState(0)
    for split, count in splits:
        (root / split).mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            image = rng.randint(0, 60, (*size, 3)).astype(np.uint8)
            for _ in range(3 if i else 0):
                label = rng.randint(2)
                x, y = rng.randint(0, size[1] - 48), rng.randint(0, size[0] - 48)
                w, h = rng.randint(24, 48, 2)
                cv2.rectangle(
                    image,
                    (x, y),
                    (x + w, y + h),
                    ((255, 80, 0), (0, 120, 255))[label],
                    -1,
                )
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=i,
                        category_id=label + 1,
                        bbox=[int(v) for v in (x, y, w, h)],
                        area=int(w * h),
                        iscrowd=0,
                    )
                )
            cv2.imwrite(str(root / split / f'{i}.png'), image)
            images.append(
                dict(id=i, file_name=f'{i}.png', height=size[0], width=size[1])
            )
        (root / f'{split}.json').write_text(
            json.dumps(
                dict(
                    images=images,
                    annotations=annotations,
                    categories=[dict(id=1, name='a'), dict(id=2, name='b')],
                )
            )
        )
    return root
