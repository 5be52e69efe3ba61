"""The viewer as a page of a browser, served on this machine's own address and to nobody else."""

from vol3d.view.page.serving import serve

__all__ = ["serve"]
