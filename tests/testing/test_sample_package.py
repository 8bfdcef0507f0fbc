"""A package outside of this repository is tested with `pymailbox[testing]` and pytest alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

SAMPLE = ROOT / "tests" / "testing" / "sample_package"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, and return what it prints."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sample package in a fresh environment: its copy, and the interpreter."""
    directory = tmp_path_factory.mktemp("sample")
    package = shutil.copytree(SAMPLE, directory / "mailcount")
    run(sys.executable, "-m", "venv", directory / "venv", cwd=directory)
    python = directory / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        f"pymailbox[testing] @ {ROOT.as_uri()}",
        f"{package}[test]",
        cwd=package,
    )
    return package, python


@pytest.mark.slow
def test_its_tests_pass(installed: tuple[Path, Path]) -> None:
    """Without any other extra, and with none of the packages that only this project's own tests need."""
    package, python = installed
    listing = "from importlib.metadata import distributions as d; print(*sorted(one.name for one in d()))"
    packages = run(python, "-c", listing, cwd=package).split()
    assert "trustme" in packages
    assert not [name for name in ("scramp", "hypothesis", "pytest-xdist", "tenacity") if name in packages]
    assert "6 passed" in run(python, "-m", "pytest", "-q", cwd=package)


@pytest.mark.slow
def test_its_types_are_complete(installed: tuple[Path, Path]) -> None:
    """mypy and pyright accept it in strict mode, with the types of the installed package."""
    package, python = installed
    for checker in ("mypy", "pyright"):
        pytest.importorskip(checker, reason=f"{checker} is not installed; pip install 'pymailbox[test]'")
    run(sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "src", "tests", cwd=package)
    (package / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    run(sys.executable, "-m", "pyright", "--pythonpath", python, "src", "tests", cwd=package)


def test_its_recording_is_of_this_version() -> None:
    """The recording in the package can be made again, with the command that the guide shows."""
    from pymailbox.testing.recording import Recording

    (session,) = Recording.load(SAMPLE / "tests" / "session.pop3").sessions
    assert session.steps[-1].command == b"QUIT"
