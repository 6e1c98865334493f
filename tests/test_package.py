"""What the wheel and the sdist hold, and what installing them leaves behind."""

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

from tests.support.paths import ROOT

import pytest
import yaml
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))
EXTRAS = ('openmmlab', 'onedl', 'tests', 'optional', 'convert')
# environments of make targets, which nobody installs the package with
ENVIRONMENTS = ('lint', 'mmcv', 'docs')


def required(name):
    """The distributions that ``requirements/name.txt`` lists."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return {
        Requirement(line).name for line in lines if line and not line.startswith('#')
    }


# ------------------------------------------------------------ without building
def test_pyproject_takes_all_requirements_from_their_files():
    dynamic = PYPROJECT['tool']['setuptools']['dynamic']
    assert dynamic['dependencies'] == {'file': ['requirements/runtime.txt']}
    assert dynamic['optional-dependencies'] == {
        name: {'file': [f'requirements/{name}.txt']} for name in EXTRAS
    }
    files = {path.stem for path in (ROOT / 'requirements').glob('*.txt')}
    assert files == {'runtime', *EXTRAS, *ENVIRONMENTS}


# brought by either stack, or asked for where they are missed
STACK = {
    *('cv2', 'mmcv', 'mmdet', 'mmengine', 'numpy', 'PIL', 'torch', 'torchvision'),
    'yaml',
}
ON_DEMAND = {'clearml', 'pavi', 'safetensors'}


@pytest.mark.skipif(sys.version_info < (3, 10), reason='needs stdlib_module_names')
def test_runtime_requirements_are_what_the_package_imports():
    imported = set()
    for path in (ROOT / 'mmreviewkd').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                imported.update(name.name.split('.')[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split('.')[0])
    third_party = imported - sys.stdlib_module_names - {'mmreviewkd'}
    assert third_party - STACK - ON_DEMAND == required('runtime')


def test_pyproject_and_citation_name_the_same():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
    project = PYPROJECT['project']
    assert citation['license'] == project['license']
    assert citation['authors'] == project['authors']
    assert citation['title'].split(':')[0] == project['name']


def test_model_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    metafiles = sorted(
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob('configs/*/metafile.yml')
    )
    assert index == {'Import': metafiles}
    names = [
        model['Name']
        for path in metafiles
        for model in yaml.safe_load((ROOT / path).read_text(encoding='utf-8'))['Models']
    ]
    # mim finds a model by its name alone
    assert len(names) == len(set(names))


# -------------------------------------------------------------------- building
def run(*command, cwd=None):
    result = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k != 'PYTHONPATH'},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the repository as it is now, after some of it has been run."""
    if not (ROOT / '.git').exists():
        pytest.skip('git says which files are part of the repository')
    copy = tmp_path_factory.mktemp('source')
    listed = run('git', 'ls-files', '-co', '--exclude-standard', cwd=ROOT)
    for name in filter(Path.is_file, map(ROOT.joinpath, listed.splitlines())):
        target = copy / name.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, target)
    for folder in ('configs', 'mmreviewkd', 'tests', 'tools'):
        (copy / folder / '__pycache__').mkdir()
        (copy / folder / '__pycache__' / 'left.cpython-39.pyc').touch()
    return copy


def build(source, out, *options):
    run(sys.executable, '-m', 'build', '--no-isolation', '-o', out, *options, source)
    return out


@pytest.fixture(scope='module')
def built(source, tmp_path_factory):
    """The folder of an sdist and of the wheel that was built from it."""
    return build(source, tmp_path_factory.mktemp('dist'))


@pytest.fixture(scope='module')
def wheel(built):
    (path,) = built.glob('*.whl')
    return path


def contents(wheel):
    """``{file: bytes}``, without the list of the files themselves."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: archive.read(name)
            for name in archive.namelist()
            if not name.endswith('RECORD')
        }


def files_below(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


@pytest.mark.slow
def test_the_wheel_is_for_any_python(wheel):
    assert wheel.name.endswith('-py3-none-any.whl')


@pytest.mark.slow
def test_the_wheel_holds_what_is_needed_and_nothing_else(source, wheel):
    files = set(contents(wheel))
    metadata = {name for name in files if '.dist-info/' in name}
    assert {Path(name).name for name in metadata} == {
        'LICENSE',
        'METADATA',
        'WHEEL',
        'entry_points.txt',
        'top_level.txt',
    }
    package = {f'mmreviewkd/{name}' for name in files_below(source / 'mmreviewkd')}
    assert {'mmreviewkd/py.typed', 'mmreviewkd/commands/train.py'} <= package
    mim = {
        f'mmreviewkd/.mim/{folder}/{name}'
        for folder in ('configs', 'tools')
        for name in files_below(source / folder)
    }
    assert 'mmreviewkd/.mim/configs/_base_/coco_ms.py' in mim
    assert files - metadata == {
        *package,
        *mim,
        'mmreviewkd/.mim/model-index.yml',
        'mmreviewkd_mmcv_ops.pth',
        'mmreviewkd_mmcv_ops.py',
    }


@pytest.mark.slow
def test_scripts_stay_executable(wheel):
    with zipfile.ZipFile(wheel) as archive:
        script = archive.getinfo('mmreviewkd/.mim/tools/dist_train.sh')
    assert script.external_attr >> 16 & 0o111


@pytest.mark.slow
def test_no_stack_is_required_but_by_the_extra_of_its_name(wheel):
    (text,) = (v for k, v in contents(wheel).items() if k.endswith('METADATA'))
    metadata = Parser().parsestr(text.decode())
    requirements = [Requirement(r) for r in metadata.get_all('Requires-Dist')]
    assert {r.name for r in requirements if r.marker is None} == required('runtime')
    assert metadata.get_all('Provides-Extra') == list(EXTRAS)
    for extra in EXTRAS:
        asked = {r.name for r in requirements if f'"{extra}"' in str(r.marker)}
        assert asked == required(extra)


@pytest.mark.slow
def test_the_sdist_holds_tests_and_docs_and_builds_the_same_wheel(
    source, built, wheel, tmp_path
):
    (sdist,) = built.glob('*.tar.gz')
    with tarfile.open(sdist) as archive:
        members = [member for member in archive if member.isfile()]
    files = {member.name.partition('/')[2] for member in members}
    for folder in ('configs', 'docs', 'requirements', 'tests', 'tools'):
        expected = {f'{folder}/{name}' for name in files_below(source / folder)}
        assert expected == {name for name in files if name.startswith(f'{folder}/')}
    assert {'CHANGELOG.md', 'CITATION.cff', 'CONTRIBUTING.md', 'setup.cfg'} <= files
    (direct,) = build(source, tmp_path, '--wheel').iterdir()
    assert contents(direct) == contents(wheel)


# ------------------------------------------------------------------ installing
@pytest.fixture
def environment(tmp_path):
    """A fresh environment, which finds what this one has installed."""
    folder = tmp_path / 'environment'
    run(sys.executable, '-m', 'venv', '--without-pip', folder)
    (site_packages,) = folder.glob('lib/python*/site-packages')
    here = [path for path in sys.path if path.endswith('site-packages')]
    (site_packages / 'here.pth').write_text('\n'.join(here))
    return folder


def pip(environment, *arguments):
    python = environment / 'bin' / 'python'
    return run(sys.executable, '-m', 'pip', '--python', python, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize('editable', [False, True], ids=['wheel', 'editable'])
def test_installed_and_uninstalled(environment, source, wheel, tmp_path, editable):
    before = sorted(environment.rglob('*'))
    what = ['--no-build-isolation', '-e', source] if editable else [wheel]
    # -I: this environment's own mmreviewkd is not looked at
    pip(environment, 'install', '-q', '--no-deps', '--no-index', '-I', *what)
    assert (environment / 'bin' / 'mmreviewkd').is_file()

    program = 'from mmcv.ops import nms; import mmreviewkd; print(mmreviewkd.__file__)'
    printed = run(environment / 'bin' / 'python', '-c', program, cwd=tmp_path)
    package = Path(printed.splitlines()[-1]).parent
    assert (source if editable else environment) in package.parents
    assert files_below(package / '.mim' / 'configs') == files_below(source / 'configs')

    pip(environment, 'uninstall', '-q', '-y', 'mmreviewkd')
    after = [path for path in environment.rglob('*') if path.name != '__pycache__']
    assert sorted(after) == before
