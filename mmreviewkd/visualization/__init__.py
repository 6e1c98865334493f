"""Pictures and tables that compare training runs."""
from .comparison import draw_comparison, markdown_table
from .curves import epoch_means, plot_curves, read_scalars

__all__ = [
    'draw_comparison', 'epoch_means', 'markdown_table', 'plot_curves',
    'read_scalars'
]
