"""The drop-in chooses the right TLS context if a program passes none. The choice is global, so each test is a process."""

import subprocess
import sys

from tests import ROOT


def run(script: str) -> str:
    """Run a script in a fresh interpreter that turns warnings into lines of its output."""
    prelude = (
        "import ssl, warnings\n"
        "from pymailbox import poplib\n"
        "from pymailbox.poplib.tls import default_context\n"
        "warnings.simplefilter('always')\n"
        "warnings.showwarning = lambda message, category, *rest: print(category.__name__, 'poplib' in str(message))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_unverified_by_default_with_one_warning() -> None:
    """As in the standard library, nothing is verified; one warning per process, of a separate category, says so."""
    printed = run("for _ in range(3):\n    c = default_context(); print(c.verify_mode.name, c.check_hostname)")
    assert printed == "UnverifiedTLSWarning True\n" + "CERT_NONE False\n" * 3
    assert run("print(poplib.UnverifiedTLSWarning.__mro__[1].__name__)") == "UserWarning\n"


def test_verify_by_default_verifies_without_a_warning() -> None:
    """One call turns verification on for the whole program."""
    printed = run("poplib.verify_by_default()\nc = default_context(); print(c.verify_mode.name, c.check_hostname)")
    assert printed == "CERT_REQUIRED True\n"


def test_a_replaced_standard_default_is_used() -> None:
    """Programs that replace `ssl._create_stdlib_context` with a verifying one get it, without a warning."""
    script = "ssl._create_stdlib_context = lambda **_: ssl.create_default_context()\nprint(default_context().verify_mode.name)"
    assert run(script) == "CERT_REQUIRED\n"
