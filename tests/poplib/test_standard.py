"""The standard library's own tests, as installed with this Python, pass with the drop-in."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests import ROOT

#: Puts the drop-in into `sys.modules`, from which `test.test_poplib` imports it.
SCRIPT = """
import sys
import test.support
test.support.LOOPBACK_TIMEOUT = 60.0  # a busy machine is slower than the suite expects
if sys.argv[1] == "drop-in":
    import pymailbox.poplib
    sys.modules["poplib"] = pymailbox.poplib
import unittest
import test.test_poplib
assert test.test_poplib.poplib.__name__ == {"drop-in": "pymailbox.poplib"}.get(sys.argv[1], "poplib")
unittest.main("test.test_poplib", argv=["test_poplib", "-v"])
"""


def run(which: str) -> tuple[dict[str, str], str]:
    """Run the suite against "drop-in" or "standard"; return the outcome of each test and what was printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, which],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = re.findall(r"^(\w+ \([\w.]+\))(?:\n.*)? \.\.\. (.*)$", done.stderr, re.MULTILINE)
    assert done.returncode == 0, done.stderr
    return dict(found), done.stderr


def test_the_standard_librarys_suite_passes() -> None:
    """Every test passes, and only those are skipped that are also skipped with the standard module."""
    with ThreadPoolExecutor() as both:  # most of it is waiting
        (ours, printed), (theirs, _) = both.map(run, ("drop-in", "standard"))
    assert len(theirs) > 60
    assert ours == theirs, printed
    assert "FAILED" not in printed
