"""The reference is complete: every public name once, and every parameter described."""

import importlib
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from typing import Any

from pymailbox import MailboxOptions
from tests import ROOT

#: The packages whose names are public; `pymailbox.pop3` has three modules among them.
PUBLIC = ["pymailbox", "errors", "content", "archive", "many", "diagnosis", "watching", "testing", "pop3"]


def directives() -> list[str]:
    """Return the name after each `:::` in the documentation."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.MULTILINE)]


def resolve(name: str) -> Any:
    """Return the object of that name."""
    parent, _, last = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(parent), last)


def documented() -> list[Any]:
    """Return every object in the reference; for a module, its public names."""
    found = []
    for name in directives():
        value = resolve(name)
        found += [value]
        if inspect.ismodule(value):
            names = [each for each in value.__all__ if getattr(getattr(value, each), "__module__", None) == name]
            found += [getattr(value, each) for each in names]
    return found


def test_every_public_name_is_in_the_reference_once() -> None:
    """Each name in the `__all__` of a public package is shown on one page of the reference, and only there."""
    shown = documented()
    assert [name for name in directives() if directives().count(name) > 1] == []
    for package in PUBLIC:
        module = importlib.import_module(package if package == "pymailbox" else f"pymailbox.{package}")
        for name in module.__all__:
            value = getattr(module, name)
            assert sum(each is value for each in shown) == 1, f"{module.__name__}.{name}"


def test_no_page_hides_descriptions() -> None:
    """What is written about a name is on its page."""
    for page in (ROOT / "docs").rglob("*.md"):
        assert "show_docstring_description: false" not in page.read_text("utf-8"), page.name


def hidden() -> set[str]:
    """Return the methods that a page of the reference leaves out of a class or a module."""
    pages = (ROOT / "docs" / "reference").glob("*.md")
    return {name for page in pages for name in re.findall(r'"!\^(\w+)\$"', page.read_text("utf-8"))}


def class_text(kind: type) -> str:
    """Return all that the reference says of a class and of its attributes, also those that it inherits."""
    texts = []
    for each in kind.__mro__:
        if each.__module__.startswith("pymailbox"):
            texts.append(inspect.getdoc(each) or "")
            comment = re.compile(r"((?:^ *#:.*\n)+) *(?:self\.)?(\w+)", re.MULTILINE)
            texts += (f"`{name}` {text}" for text, name in comment.findall(inspect.getsource(each)))
            properties = inspect.getmembers_static(each, lambda value: isinstance(value, property | cached_property))
            texts += (f"`{name}` {value.__doc__}" for name, value in properties if value.__doc__)
    return "\n".join(texts)


def is_ours(value: Any) -> bool:
    """Return whether it is a function of the package, not one that a class inherits from the standard library."""
    return inspect.isfunction(value) and value.__module__.startswith("pymailbox")


def described() -> Iterator[tuple[str, Any, str]]:
    """Yield each function, method and constructor in the reference, with the text that describes its parameters."""
    omitted = hidden()
    for value in documented():
        name = getattr(value, "__name__", "")
        if inspect.isfunction(value):
            yield name, value, inspect.getdoc(value) or ""
        elif inspect.isclass(value) and not name.startswith("Async"):  # those have the arguments of the blocking ones
            text = class_text(value)
            if "MailboxOptions" in text:
                text += inspect.getsource(MailboxOptions)
            uncalled = issubclass(value, Enum | Warning | dict) or getattr(value, "_is_protocol", False)
            if not uncalled:
                yield name, value, text
            for method, member in inspect.getmembers_static(value):
                function = getattr(member, "__func__", member)
                if not method.startswith("_") and is_ours(function) and method not in omitted:
                    yield f"{name}.{method}", function, f"{inspect.getdoc(function)}\n{text}"


def test_every_parameter_is_described() -> None:
    """The description of each function and method, or of its class, speaks of each of its parameters."""
    missing = []
    tried = 0
    for name, value, text in described():
        prose = re.sub(r"(?m)^\s*(>>>|\.\.\.).*", "", text)
        private = {field.alias for field in getattr(value, "__attrs_attrs__", ()) if field.name.startswith("_")}
        for parameter in inspect.signature(value).parameters:
            if parameter not in ("self", "cls") and parameter not in private:
                tried += 1
                words = "[ _-]".join(parameter.strip("_").split("_"))
                if not re.search(rf"(?i)\b{words}", prose):
                    missing.append(f"{name}({parameter})")
    assert missing == []
    assert tried > 400
