"""What training and testing share."""

from mmreviewkd.commands import main
from mmreviewkd.engine.launch import _add_resume_hook
from mmreviewkd.engine.quiet_runner import QuietRunner
from mmreviewkd.engine.resume_hook import ResumeHook
from tests.support.commands import call

import pytest
import torch
from mmengine.config import Config


@pytest.mark.parametrize(
    'option', ['auto_scale_lr._delete_=True', 'auto_scale_lr=None']
)
def test_auto_scale_lr_needs_its_base(project, option):
    assert call(
        'train',
        project / 'distil.py',
        '--auto-scale-lr',
        '--cfg-options',
        option,
    ).startswith('error: --auto-scale-lr needs auto_scale_lr=dict(')


def test_a_first_start_with_resume_starts_from_what_the_config_says(
    project, monkeypatch, capfd
):
    """As that of a job script does, which always asks to resume."""
    seen = []
    monkeypatch.setattr(
        QuietRunner, 'train', lambda run: seen.append((run._load_from, run._resume))
    )
    work_dir = project / 'run'
    command = ['train', str(project / 'plain.py'), '--work-dir', str(work_dir)]
    command += ['--cfg-options', 'load_from=start.pth', '--resume']
    main(command)
    output = capfd.readouterr().out
    assert f'{work_dir} has no whole checkpoint to resume from; the run star' in output
    assert 'start.pth' in output and 'holds an earlier run' not in output
    # killed in its first epoch, and started again
    (work_dir / 'epoch_1.pth').write_bytes(b'torn')
    main(command)
    assert 'holds an earlier run' not in capfd.readouterr().out
    torch.save(dict(state_dict={}), work_dir / 'epoch_1.pth')
    main(command)
    main(command[:-1])
    fresh = ('start.pth', False)
    assert seen == [fresh, fresh, (None, True), fresh]
    assert (
        f'{work_dir} holds an earlier run, whose checkpoints' in capfd.readouterr().out
    )


def test_a_shape_that_a_method_has_wrong_is_not_the_optimizers(project, monkeypatch):
    wrong = RuntimeError('The size of tensor a (3) must match the size of tensor b (4)')

    def train(runner):
        raise wrong

    monkeypatch.setattr(QuietRunner, 'train', train)
    with pytest.raises(RuntimeError) as error:
        main(
            [
                *('train', str(project / 'distil.py'), '--resume'),
                *('--work-dir', str(project / 'run')),
            ]
        )
    assert error.value is wrong


def test_the_launcher_adds_the_hook_once():
    for hooks in (
        None,
        [],
        [dict(type='EMAHook')],
        [dict(type='ResumeHook')],
        [dict(type='mmdet.ResumeHook')],
        [dict(type=ResumeHook)],
    ):
        cfg = Config(dict(custom_hooks=hooks))
        _add_resume_hook(cfg)
        names = [str(hook.type) for hook in cfg.custom_hooks]
        assert sum('ResumeHook' in name for name in names) == 1
        assert len(names) == 1 + (hooks == [dict(type='EMAHook')])
