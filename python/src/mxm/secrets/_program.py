"""Finds the program that this package was installed with. PATH is never searched."""

from __future__ import annotations

import os
import sys
from functools import cache

from ._errors import ProgramMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "mxm-secrets"


def _candidates() -> Iterator[str]:
    """Where installers put programs, the likeliest first."""
    packages = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    # pip install --target, which may be any directory
    yield os.path.join(packages, "bin")
    # PREFIX/lib/pythonX.Y/site-packages
    above, packages = os.path.split(packages)
    above, python = os.path.split(above)
    prefix, lib = os.path.split(above)
    if packages in ("site-packages", "dist-packages") and python.startswith(("python", "pypy")) and lib.startswith("lib"):
        yield os.path.join(prefix, "bin")
    # Of an editable install. sysconfig knows no more, and has a lock, which a fork may find taken forever.
    yield os.path.join(sys.prefix, "bin")
    yield os.path.join(sys.base_prefix, "bin")
    yield os.path.expanduser("~/.local/bin")


def _is_program(path: str) -> bool:
    """Whether it can be run and is no script: the original package put a script of this name there."""
    try:
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            return False
        with open(path, "rb") as file:
            return file.read(2) != b"#!"
    except OSError:
        return False


@cache
def program() -> str:
    """The path of the program.

    Raises:
        ProgramMissing: It is in none of the places where installers put it.
    """
    searched: list[str] = []
    for directory in _candidates():
        path = os.path.join(directory, NAME)
        if _is_program(path):
            return path
        if directory not in searched:
            searched.append(directory)
    raise ProgramMissing(
        f"the program {NAME} is not in {', '.join(searched)}",
        hints=("install this package from its wheel, which contains the program",),
    )
