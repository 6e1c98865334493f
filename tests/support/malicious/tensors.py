"""Tensors that would reach into memory that is not theirs."""

import zipfile

from tests.support.malicious.containers import zipped
from tests.support.malicious.pickles import HISTORY, call, name, number, storage, tensor


def twice(path):
    # zip readers differ in which of two records of one name they take
    zipped(tensor(storage(4)), (('data/0', bytes(16)), ('data/0', bytes(8))))(path)


FILES = dict(
    beyond_its_storage=(
        'torch._utils._rebuild_tensor',
        zipped(tensor(storage(4), size=(1 << 20,))),
    ),
    before_its_storage=(
        'torch._utils._rebuild_tensor',
        zipped(tensor(storage(4), offset=-1000000)),
    ),
    backwards=(
        'torch._utils._rebuild_tensor',
        zipped(tensor(storage(4), stride=(-1000000,))),
    ),
    larger_than_its_record=(
        'larger than the file',
        zipped(tensor(storage(1 << 29), size=(1 << 29,))),
    ),
    record_of_another_size=(
        'storage 0 has 16 bytes',
        zipped(tensor(storage(8), size=(8,))),
    ),
    no_storage=('torch._utils._rebuild_tensor', zipped(tensor(number(140000000)))),
    tensor_called=(
        'torch.Tensor',
        zipped(call(name('torch', 'Tensor'), number(1 << 30))),
    ),
    tensor_of_another_type=(
        'torch._utils._rebuild_wrapper_subclass',
        zipped(call(name('torch._utils', '_rebuild_wrapper_subclass'), HISTORY)),
    ),
    two_records_of_a_name=('not one of torch.save', twice),
    compressed=(
        'compressed',
        zipped(tensor(storage(4)), compression=zipfile.ZIP_DEFLATED),
    ),
)
