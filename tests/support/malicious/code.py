"""Code of all kinds, which a pickle would run."""

from tests.support.malicious.containers import bare, legacy, zipped
from tests.support.malicious.pickles import (
    HARM,
    OPEN,
    SYSTEM,
    call,
    items,
    made,
    name,
    text,
)

FILES = dict(
    system=('posix.system', zipped(SYSTEM)),
    system_legacy=('posix.system', legacy(SYSTEM)),
    system_bare=('posix.system', bare(b'\x80\x02' + SYSTEM + b'.')),
    system_protocol_0=('posix.system', bare(b'cposix\nsystem\n(S"touch harm"\ntR.')),
    system_protocol_4=(
        'posix.system',
        zipped(b'\x8c\x05posix\x8c\x06system\x93' + items(text('touch harm')) + b'R'),
    ),
    system_as_instance=(
        'INST',
        zipped(b'(' + text('touch harm') + b'iposix\nsystem\n'),
    ),
    system_as_object=(
        'posix.system',
        zipped(b'(' + name('posix', 'system') + text('touch harm') + b'o'),
    ),
    system_by_extension=('EXT1', zipped(b'\x82\x01' + items(text('x')) + b'R')),
    open=('builtins.open', zipped(OPEN)),
    exec=(
        'builtins.exec',
        zipped(call(name('__builtin__', 'exec'), text('open("harm", "w")'))),
    ),
    eval=(
        'builtins.eval',
        zipped(call(name('builtins', 'eval'), text('open("harm", "w")'))),
    ),
    import_=(
        'builtins.__import__',
        zipped(call(name('builtins', '__import__'), text('antigravity'))),
    ),
    popen=(
        'subprocess.Popen',
        zipped(call(name('subprocess', 'Popen'), items(text('touch'), text(HARM)))),
    ),
    rmtree=('shutil.rmtree', zipped(call(name('shutil', 'rmtree'), text('run')))),
    cdll=('ctypes.CDLL', zipped(call(name('ctypes', 'CDLL'), text('x.so')))),
    run_code=(
        'runpy._run_code',
        zipped(call(name('runpy', '_run_code'), text('1'), b'}')),
    ),
    partial=(
        'functools.partial',
        zipped(call(name('functools', 'partial'), name('posix', 'system'))),
    ),
    attrgetter=(
        'operator.attrgetter',
        zipped(call(name('operator', 'attrgetter'), text('__globals__'))),
    ),
    own_class=(
        'mmengine.config.config.Config',
        zipped(made(name('mmengine.config.config', 'Config'), b'}')),
    ),
)
