"""mmdet's own configs, shrunk: the same parts, a few channels each."""

import copy
import inspect
import re
from functools import lru_cache
from pathlib import Path

import mmreviewkd  # noqa: F401

import torch
from mmdet.models.backbones.trident_resnet import TridentConv
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.utils import get_installed_path

_WIDTHS = re.compile(
    r'(channels|channel|embed_dims|num_feats|hidden_dim|'
    r'inplanes|num_deconv_filters)$'
)
_AT_MOST = dict(
    frozen_stages=-1,
    hidden_dim=16,
    max_per_image=16,
    max_per_img=16,
    nms_pre=50,
    num=32,
    norm_eval=False,
    num_blocks=1,
    num_bridges=1,
    num_classes=2,
    num_csp_blocks=1,
    num_groups=2,
    num_layers=1,
    num_points=64,
    num_proposals=16,
    num_queries=16,
    num_shared_convs=1,
    num_things_classes=2,
    num_stuff_classes=0,
    score_thr=0.0,
    stacked_convs=1,
    topk=16,
)
_GROUPS = dict(type='GN', num_groups=2, requires_grad=True)


def tiny_model(config, by=32, changes=None, heads_by=None):
    """Model of an mmdet config, a number of times narrower.

    Args:
        config (str | Config): ``folder/file``, without ``mmdet::`` and
            ``.py``, or what was read from a file.
        by (int): What every width is divided by.
        heads_by (int, optional): The same behind the backbone, where mmdet
            takes some of the widths for granted.
        changes (dict | Callable, optional): ``{'bbox_head.in_channels': 8}``,
            or what is called with the shrunk config and ``by``.
    """
    whole = copy.deepcopy(_read(config) if isinstance(config, str) else config)
    cfg = whole.model
    if whole.get('data_preprocessor'):
        cfg.setdefault('data_preprocessor', whole.data_preprocessor)
    if heads_by:
        width = _narrow(cfg.neck.in_channels, by)
        _shrink(cfg.backbone, by)
        _shrink({k: v for k, v in cfg.items() if k != 'backbone'}, heads_by)
        cfg.neck.in_channels = width
        for key in _AT_MOST:
            if key in cfg:
                cfg[key] = _AT_MOST[key]
    else:
        _shrink(cfg, by)
    for key, value in (changes or {}).items() if not callable(changes) else ():
        *path, last = key.split('.')
        node = cfg
        for part in path:
            node = node[part]
        node[last] = value
    if callable(changes):
        changes(cfg, by)
    return cfg


@lru_cache(1)  # the same file for student and teacher
def _read(config):
    # what 'mmdet::' finds, without reading all of mmdet's metafiles first
    return Config.fromfile(
        Path(get_installed_path('mmdet'), '.mim', 'configs', f'{config}.py')
    )


def _shrink(cfg, by):
    if isinstance(cfg, (list, tuple)):
        for value in cfg:
            _shrink(value, by)
    if not isinstance(cfg, dict):
        return
    for key, value in list(cfg.items()):
        if (key == 'init_cfg' and 'Pretrained' in str(value)) or key == 'pretrained':
            cfg[key] = None
        elif key in _AT_MOST and isinstance(value, (int, float)):
            cfg[key] = min(value, _AT_MOST[key])
        elif _WIDTHS.search(key):
            cfg[key] = _narrow(value, by)
        else:
            _shrink(value, by)
    if cfg.get('type') == 'ResNeXt':
        cfg.type = 'ResNet'
        del cfg.groups, cfg.base_width
    kind = cfg.get('type')
    if kind in ('ResNet', 'ResNetV1d'):
        # a ResNet-18 with stages as wide as the config's ResNet's / by
        wide = 1 if cfg.depth < 50 else 4
        cfg.update(
            depth=18,
            base_channels=64 * wide // by,
            # or what lies in residual branches learns nothing at first
            zero_init_residual=False,
        )
    elif kind == 'ResLayer':
        cfg.depth = 18
    elif kind in ('DetectoRS_ResNet', 'TridentResNet'):
        cfg.update(base_channels=64 // by, zero_init_residual=False)
    if 'widen_factor' in cfg:
        cfg.update(widen_factor=cfg.widen_factor / by, deepen_factor=0.1)
    if (
        kind
        and inspect.isclass(MODELS.get(kind))
        and 'norm_cfg' not in cfg
        and _has_32_groups(kind)
    ):
        cfg.norm_cfg = dict(_GROUPS)


def _narrow(value, by):
    if isinstance(value, (list, tuple)):
        return type(value)(_narrow(v, by) for v in value)
    # the 3 channels of images stay
    return max(value // by, 1) if isinstance(value, int) and value > 8 else value


def _has_32_groups(kind):
    """Whether GroupNorm with 32 groups is what a head does by default."""
    for cls in inspect.getmro(MODELS.get(kind)):
        norm = inspect.signature(cls.__init__).parameters.get('norm_cfg')
        if norm is not None:
            return (
                isinstance(norm.default, dict) and norm.default.get('num_groups') == 32
            )
    return False


def train_weights(cfg, path):
    """Save a model as if it were trained: initialised, BatchNorm moved."""
    torch.manual_seed(1)
    model = MODELS.build(cfg)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, TridentConv):
            # mmdet leaves what was in memory
            torch.nn.init.kaiming_uniform_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)
