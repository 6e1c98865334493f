"""Pictures and tables that compare training runs."""
from .comparison import draw_comparison, draw_labels, markdown_table
from .curves import epoch_means, plot_curves, read_scalars

__all__ = [
    'draw_comparison', 'draw_labels', 'epoch_means', 'markdown_table',
    'plot_curves', 'read_scalars'
]
