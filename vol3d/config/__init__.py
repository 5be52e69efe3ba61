"""Configuration files: YAML with line numbers -> validated settings -> a task."""

from vol3d.config.build import build, changed, dump, load_distillation, load_task, make_task
from vol3d.config.locate import recipes
from vol3d.config.yaml import Document, from_words, read

__all__ = [
    "Document",
    "build",
    "changed",
    "dump",
    "from_words",
    "load_distillation",
    "load_task",
    "make_task",
    "read",
    "recipes",
]
