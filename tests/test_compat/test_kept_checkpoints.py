"""A run removes its own checkpoints alone."""

from mmreviewkd.compat import load_from_local
from tests.support.forked import outcome_of, tool

import torch


def test_a_resumed_run_removes_nothing_but_its_own(project, monkeypatch):
    # mmengine removes the file or folder that the checkpoint calls the best
    victim = project / 'victim'
    (victim / 'sub').mkdir(parents=True)

    def change(content):
        hub = content['message_hub']
        hub['runtime_info'].update(best_ckpt=str(victim), best_score=-5.0)
        hub['resumed_keys'].update(best_ckpt=True, best_score=True)

    code, said = resumed_with(
        project,
        monkeypatch,
        change,
        '--cfg-options',
        'default_hooks.checkpoint.save_best=coco/bbox_mAP',
    )
    assert code == 0 and (victim / 'sub').exists()
    assert "has a best_ckpt that is none of this run's" in said
    assert list((project / 'run').glob('best_*.pth'))


def resumed_with(project, monkeypatch, change, *options):
    """Exit code and last line of a resume from a run's changed checkpoint."""
    monkeypatch.chdir(project)
    train = tool(
        'train',
        'plain.py',
        '--work-dir',
        'run',
        '--cfg-options',
        'train_cfg.max_epochs=1',
    )
    if not (project / 'run').exists():
        assert outcome_of(train, 'output') == 0
    content = load_from_local('run/epoch_1.pth')
    change(content)
    torch.save(content, 'evil.pth')
    code = outcome_of(
        tool(
            'train', 'plain.py', '--work-dir', 'run', '--resume', 'evil.pth', *options
        ),
        'output',
    )
    return code, (project / 'output').read_text()
