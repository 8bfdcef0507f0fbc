"""The examples in docs/reading.md and in the docstrings run as shown."""

import doctest
import re
from importlib import import_module

import pytest

from tests import ROOT

PAGE = ROOT / "docs" / "reading.md"
EXAMPLES = re.findall(r"```pycon\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_examples_of_the_page_run() -> None:
    """The page is one session, from top to bottom."""
    assert len(EXAMPLES) >= 8
    names: dict[str, object] = {}
    for number, example in enumerate(EXAMPLES):
        test = doctest.DocTestParser().get_doctest(example, names, f"{PAGE.name} {number}", str(PAGE), 0)
        failures: list[str] = []
        doctest.DocTestRunner().run(test, out=failures.append, clear_globs=False)
        names.update(test.globs)
        assert not failures, "".join(failures)


@pytest.mark.parametrize("module", ["address", "content", "headers", "received"])
def test_the_examples_of_the_docstrings_run(module: str) -> None:
    """Every public class has an example, and it runs."""
    result = doctest.testmod(import_module(f"pymailbox.content.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
