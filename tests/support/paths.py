"""Folders of this repository, and of mmdet."""

from pathlib import Path

import mmdet

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'
MMDET_TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'
