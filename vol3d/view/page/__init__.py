"""The viewer as a page of a browser, served on this machine's loopback address only."""

from vol3d.view.page.serving import serve

__all__ = ["serve"]
