"""A program that type-checks with typeshed's stub of the standard library's poplib does so with the drop-in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

mypy = pytest.importorskip("mypy", reason="mypy is not installed; pip install 'pymailbox[test]'")

STUB = Path(mypy.__file__).parent / "typeshed" / "stdlib" / "poplib.pyi"


def run(*arguments: str, **environment: str) -> str:
    """Run a module of mypy, which must succeed; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_typesheds_stub_describes_the_drop_in(tmp_path: Path) -> None:
    """stubtest finds nothing in the stub that is missing or different in the module."""
    package = tmp_path / "pymailbox"
    package.mkdir()
    (package / "__init__.pyi").touch()
    (package / "poplib.pyi").write_text(STUB.read_text("utf-8"), "utf-8")
    stubtest = ("mypy.stubtest", "pymailbox.poplib", "--ignore-missing-stub")
    printed = run(*stubtest, MYPYPATH=str(tmp_path), PYTHONPATH=str(ROOT))
    assert "Success" in printed


def test_a_program_for_poplib_type_checks() -> None:
    """`mypy --strict` accepts a program for the standard library's module, including subclasses."""
    run("mypy", "--strict", "--follow-imports=silent", "tests/typing/poplib_drop_in.py")
