"""Which packages there are; everything else is in pyproject.toml, which cannot say this.

The recipes stand at the top level of the project and travel inside the wheel as `vol3d/configs`.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["vol3d*", "pointcloud*", "medical*"]), "vol3d.configs"],
    package_dir={"vol3d.configs": "configs"},
)
