"""What the tests share: every test runs a script in a Python of its own, with an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

VALUE = "cAnArY-4711"


def tool(name: str) -> str | None:
    """A real program. Where it is not there the test says so; in CI that is a failure."""
    path = os.environ.get(f"MXM_TEST_{name.upper().replace('-', '_')}") or shutil.which(
        name, path="/usr/local/bin:/usr/bin:/bin"
    )
    if path is None:
        if os.environ.get("CI") == "true":
            raise AssertionError(f"{name} is not installed")
        print(f"NOT RUN: {name} is not installed", file=sys.stderr)
    return path


class Home(unittest.TestCase):
    """A test with a home directory, and without PATH."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="mxm-", dir="/tmp")
        self.addCleanup(directory.cleanup)
        self.home = directory.name
        self.environment = {"HOME": self.home, "PATH": "/nonexistent", "LANG": "C.UTF-8"}

    def fake(self, name: str, script: str) -> None:
        """A program of that name, the only directory on PATH."""
        path = os.path.join(self.home, "bin", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(path, 0o755)
        self.environment["PATH"] = os.path.join(self.home, "bin")

    def command(self, script: str) -> list[str]:
        """Python with a script that has the package's names."""
        return [sys.executable, "-c", "from mxm.secrets import *\n" + textwrap.dedent(script)]

    def run_python(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a script to its end."""
        return subprocess.run(
            self.command(script),
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def said(self, script: str, **more: str) -> str:
        """What a script prints; it must end well and say nothing else."""
        ended = self.run_python(script, **more)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""), ended.stdout)
        return ended.stdout

    def raised(self, call: str, **more: str) -> list[str]:
        """The type and the message of what a call raises, its key, its reasons and its notes."""
        out = self.said(
            f"""
            try:
                print("returned", {call})
            except Exception as error:
                print(type(error).__name__, error, error.key, error.reasons, getattr(error, "__notes__", None), sep="\\n")
            """,
            **more,
        )
        return out.splitlines()
