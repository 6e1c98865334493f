"""Pictures and tables that compare training runs, and pictures of the review."""

from ..logs import epoch_means, read_scalars, read_test_metrics, unit_of
from ..tables.markdown import markdown_table
from .comparison import draw_comparison, draw_labels
from .curves import plot_curves
from .disagreement import disagreement
from .masks import as_bitmap
from .page import check_new, make_folder, write_page
from .review_maps import draw_review, review_maps, shown_image

__all__ = [
    'as_bitmap',
    'check_new',
    'disagreement',
    'draw_comparison',
    'draw_labels',
    'draw_review',
    'epoch_means',
    'make_folder',
    'markdown_table',
    'plot_curves',
    'read_scalars',
    'read_test_metrics',
    'review_maps',
    'shown_image',
    'unit_of',
    'write_page',
]
