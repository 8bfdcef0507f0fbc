"""docs/login.md is true: its examples run with the output shown, and its recipes are valid Python."""

import ast
import doctest
import logging
import re

import pytest

import pymailbox
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT, case

PAGE = ROOT / "docs" / "login.md"
EXAMPLES, RECIPES = (re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL) for kind in ("pycon", "python"))


def test_the_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example prints what the page shows."""
    text = "\n".join(EXAMPLES)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # the page sets up its own
    try:
        with Server(SAMPLES, user="robin", password="secret") as server:
            test = doctest.DocTestParser().get_doctest(text, {"server": server}, "login.md", "login.md", 0)
            assert test.examples
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
            output: list[str] = []
            runner.run(test, out=output.append)
    finally:
        logging.getLogger("pymailbox.wire").setLevel(logging.NOTSET)
    assert runner.failures == 0, "".join(output)


def test_the_recipes_are_valid_python() -> None:
    """They need accounts and libraries, so only their syntax and their imports from pymailbox are checked."""
    assert RECIPES
    for block in RECIPES:
        with case(block):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and node.module == "pymailbox":
                    assert all(hasattr(pymailbox, name.name) for name in node.names)
