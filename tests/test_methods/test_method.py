"""The settings that a checkpoint remembers of a method."""

from mmengine.runner.checkpoint import load_state_dict


def test_a_checkpoint_remembers_teacher_weight_and_levels(distiller, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.methods.method.print_log', lambda message, *_: said.append(message)
    )
    model = distiller()
    state = model.state_dict()
    distiller().load_state_dict(state)
    assert not said
    other = distiller(review=dict(weight=2.0))
    load_state_dict(other, state)
    assert said == [
        'The review of this checkpoint was trained with another weight 1.0 (now: 2.0)'
    ]
    other.review.settings['fusion'] = 'sum'
    load_state_dict(other, state)
    assert said.pop().endswith('weight 1.0 (now: 2.0), fusion abf (now: sum)')
    other.review.settings.update(teacher='b.pth', levels=['stride 4'])
    load_state_dict(other, state)
    assert 'another teacher /' in said[1] and '(now: b.pth)' in said[1]
    assert (
        "levels ['stride 4', 'stride 8', 'stride 16', 'stride 32', "
        "'stride 64'] (now: ['stride 4'])" in said[1]
    )


def test_a_checkpoint_remembers_what_is_not_as_usual(distiller, teachers, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.methods.method.print_log', lambda message, *_: said.append(message)
    )
    usual = distiller(strides=(4, 8, 16, 32))
    backbones = distiller(
        teacher=dict(teachers['faster_rcnn'], scale=2.0),
        strides=(4, 8, 16),
        part='backbone',
    )
    backbones.review.set_extra_state(usual.review.get_extra_state())
    usual.review.set_extra_state(backbones.review.get_extra_state())
    assert 'teacher scale None (now: 2.0), features None (now: backbone)' in said[0]
    assert said[1].endswith(
        'teacher scale 2.0 (now: None), features backbone (now: None)'
    )
