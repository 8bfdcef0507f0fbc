"""Mail in Jupyter: `cards` makes HTML from plain values, `progress` has a progress bar."""

from pymailbox.notebook.cards import Card, facts, listing, mail
from pymailbox.notebook.progress import ProgressBar, progress_bar

__all__ = ["Card", "ProgressBar", "facts", "listing", "mail", "progress_bar"]
