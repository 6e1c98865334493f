"""What the shell scripts run; that it works is in tests/test_launchers.py."""

import json
import os
import subprocess
import sys

from tests.support.paths import TOOLS

import pytest

# stands in for python and srun
PROGRAM = f"""#!{sys.executable}
import json, sys
json.dump(sys.argv[1:], open('arguments.json', 'w'))
sys.exit(7)
"""


@pytest.fixture
def script(tmp_path):
    """Runs a script in an empty folder; its exit code, output, arguments."""
    for name in ('python', 'srun'):
        (tmp_path / 'bin').mkdir(exist_ok=True)
        (tmp_path / 'bin' / name).write_text(PROGRAM)
        (tmp_path / 'bin' / name).chmod(0o755)
    folder = tmp_path / 'user'
    folder.mkdir()
    variables = (
        'NNODES',
        'NODE_RANK',
        'MASTER_ADDR',
        'PORT',
        'GPUS',
        'GPUS_PER_NODE',
        'CPUS_PER_TASK',
        'SRUN_ARGS',
    )
    env = {key: value for key, value in os.environ.items() if key not in variables}
    env['PATH'] = f'{tmp_path / "bin"}{os.pathsep}{os.environ["PATH"]}'

    def run(name, *args, path=TOOLS, **variables):
        result = subprocess.run(
            ['bash', str(path / name), *args],
            cwd=folder,
            env=dict(env, **variables),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        file = folder / 'arguments.json'
        arguments = json.loads(file.read_text()) if file.exists() else None
        return result.returncode, result.stdout, arguments

    return run


@pytest.mark.parametrize(
    'name, args',
    [
        ('dist_train.sh', []),
        ('dist_train.sh', ['config.py']),
        ('dist_train.sh', ['config.py', '--amp']),
        ('dist_train.sh', ['config.py', '0']),
        ('dist_test.sh', ['config.py', '2']),
        ('dist_test.sh', ['config.py', 'a.pth', '--out']),
        ('slurm_train.sh', ['partition', 'job', 'config.py']),
    ],
)
def test_usage(script, name, args):
    code, output, arguments = script(name, *args)
    assert code == 2 and arguments is None
    (line,) = output.splitlines()
    assert line.startswith('usage: [') and f'{name} ' in line


def test_arguments_arrive_as_they_are(script):
    config, option = 'a config.py', "x=[dict(type='a b')]"
    code, output, arguments = script(
        'dist_train.sh', config, '2', '--cfg-options', option
    )
    assert code == 7, output  # the training's
    assert arguments == [
        '-m',
        'torch.distributed.run',
        '--nnodes=1',
        '--node_rank=0',
        '--master_addr=127.0.0.1',
        '--master_port=29500',
        '--nproc_per_node=2',
        f'{TOOLS}/train.py',
        config,
        '--launcher',
        'pytorch',
        '--cfg-options',
        option,
    ]
    code, output, arguments = script(
        'dist_test.sh',
        config,
        'a file.pth',
        '8',
        '--out',
        'a b.pkl',
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='node0',
        PORT='29511',
    )
    assert code == 7, output
    assert arguments == [
        '-m',
        'torch.distributed.run',
        '--nnodes=2',
        '--node_rank=1',
        '--master_addr=node0',
        '--master_port=29511',
        '--nproc_per_node=8',
        f'{TOOLS}/test.py',
        config,
        'a file.pth',
        '--launcher',
        'pytorch',
        '--out',
        'a b.pkl',
    ]
    code, output, arguments = script(
        'slurm_train.sh',
        'part',
        'a job',
        config,
        'a folder',
        '--amp',
        GPUS='16',
        SRUN_ARGS='--exclusive --gres=none',
    )
    assert code == 7, output
    assert arguments == [
        '-p',
        'part',
        '--job-name=a job',
        '--gres=gpu:8',
        '--ntasks=16',
        '--ntasks-per-node=8',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        '--exclusive',
        '--gres=none',
        'python',
        '-u',
        f'{TOOLS}/train.py',
        config,
        '--work-dir=a folder',
        '--launcher=slurm',
        '--amp',
    ]


def test_scripts_in_a_folder_with_a_space(script, tmp_path):
    os.symlink(TOOLS, tmp_path / 'the tools')
    code, _, arguments = script(
        'dist_train.sh', 'config.py', '1', path=tmp_path / 'the tools'
    )
    assert code == 7
    assert f'{tmp_path}/the tools/train.py' in arguments
