# The paper's training images: short side 640 to 800, in steps of 32
ms_resize = dict(
    type='RandomChoiceResize',
    scales=[(1333, side) for side in range(640, 801, 32)],
    keep_ratio=True,
)
