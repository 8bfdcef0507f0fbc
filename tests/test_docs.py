"""The documentation tells the truth: its examples run, its links lead somewhere, its pages are in the site."""

import doctest
import importlib
import inspect
import pkgutil
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pymailbox
from pymailbox import Mailbox, MailboxOptions
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT
from tests.timing import GENEROUS

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

#: Pages whose examples run here, with an embedded server as `server`; others have tests of their own.
PAGES = ["guide.md", "async.md", "errors.md", "protocol.md", "testing.md"]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with the sample mailbox."""
    with Server(SAMPLES, user="robin", password="secret", lock_wait=GENEROUS) as running:
        yield running


def examples(page: Path) -> str:
    """Return the interactive examples of a page, one behind the other."""
    return "\n".join(block for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S) if ">>>" in block)


@pytest.mark.parametrize("name", PAGES)
def test_examples_of_a_page_run(name: str, server: Server, tmp_path: Path) -> None:
    """What a page shows is what happens."""
    with Server(SAMPLES, user="robin", password="secret", lock_wait=GENEROUS) as other:
        names: dict[str, Any] = {"server": server, "other": other, "directory": tmp_path}
        test = doctest.DocTestParser().get_doctest(examples(ROOT / "docs" / name), names, name, name, 0)
        assert test.examples, "the page has no examples"
        runner = doctest.DocTestRunner(optionflags=FLAGS)
        output: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, category, *_: print(f"{category.__name__}: {message}")
            runner.run(test, out=output.append)
        assert runner.failures == 0, "".join(output)


def modules() -> list[str]:
    """Return the names of all modules of the package."""
    found = pkgutil.walk_packages(pymailbox.__path__, "pymailbox.")
    return ["pymailbox", *(module.name for module in found if not module.name.endswith("__main__"))]


def test_examples_in_docstrings_run() -> None:
    """What a docstring shows is what happens."""
    tried = 0
    for name in modules():
        results = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
        assert results.failed == 0, name
        tried += results.attempted
    assert tried > 80


def test_every_public_name_can_be_had() -> None:
    """Whatever `__all__` promises is there, and documented."""
    for package in ("pymailbox", "pymailbox.pop3", "pymailbox.testing", "pymailbox.content", "pymailbox.errors"):
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            assert value.__doc__, f"{package}.{name}"
        assert set(module.__all__) <= set(dir(module))


def test_public_classes_have_a_runnable_example() -> None:
    """Every public class shows how it is used."""
    for package in ("pymailbox", "pymailbox.pop3", "pymailbox.testing"):
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type) and not issubclass(value, BaseException):
                assert ">>>" in (value.__doc__ or ""), f"{package}.{name} has no example"


def test_pages_are_in_the_site_and_links_lead_somewhere() -> None:
    """Every page is in the navigation, and every relative link is to a file that exists."""
    nav = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name in nav, f"{page.name} is not in mkdocs.yml"
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_opens_with_the_design() -> None:
    """README and start page show the same ten lines, and README has the two commands."""
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"```python\n.*?```", readme, re.S)
    assert block is not None
    assert block[0] in (ROOT / "docs" / "index.md").read_text()
    assert "python -m pip install '.[cli]' && python -m pymailbox demo" in readme
    assert "python -m pip install '.[test]' && python -m pytest" in readme


@pytest.mark.parametrize("library", ["rich", "tqdm"])
def test_the_progress_bars_of_the_guide_run(library: str) -> None:
    """Each adapter has 15 lines at most, shows all bytes at the end, and downloads each message."""
    pytest.importorskip(library, reason=f"{library} is not installed; pip install 'pymailbox[test]'")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "guide.md").read_text(), re.S)
    (block,) = [block for block in blocks if re.search(rf"^(import|from) {library}", block, re.M)]
    assert len([line for line in block.splitlines() if line]) <= 15
    names: dict[str, Any] = {}
    exec(block, names)
    with Server(SAMPLES) as server, Mailbox.from_url(server.url, "secret") as inbox:
        shown: list[tuple[Any, Any]] = []
        if library == "tqdm":

            class Bar(names["tqdm"]):  # type: ignore[misc] # of that library
                def close(self) -> None:
                    shown.append((self.n, self.total))
                    super().close()

            names["tqdm"] = Bar
        else:
            update = names["rich"].progress.Progress.update

            def record(bar: Any, task: Any, **changes: Any) -> None:
                shown.append((changes["completed"], changes["total"]))
                update(bar, task, **changes)

            names["rich"].progress.Progress.update = record
        try:
            names["download"](inbox)
        finally:
            if library == "rich":
                names["rich"].progress.Progress.update = update
        assert shown[-1] == (inbox.size, inbox.size)
    assert len([line for line in server.log if line.startswith("RETR")]) == len(SAMPLES)


def test_the_reference_describes_every_option_with_its_default() -> None:
    """The comment of each option in `MailboxOptions`, which the reference shows, says the default of the constructor."""
    source = inspect.getsource(MailboxOptions)
    described = {
        name: re.sub(r"\s*#: ?", " ", comment)
        for comment, name in re.findall(r"((?:    #:[^\n]*\n)+)    (\w+):", source)
    }
    parameters = inspect.signature(Mailbox).parameters
    for name, parameter in parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            assert f"`{name}`" in (Mailbox.__doc__ or ""), name
            continue
        default = f"{parameter.default:g}" if isinstance(parameter.default, float) else str(parameter.default)
        assert re.search(rf'Default "?{re.escape(default)}\b', described[name]), name
