"""Adapt docstrings for the reference: examples become code blocks, and `#:` comments document attributes.

This is an extension of griffe, which mkdocstrings uses to read Python; `mkdocs.yml` names it.
"""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?m)^>>> .*(?:\n(?!\n).*)*")


class Docstrings(griffe.Extension):
    """Changes docstrings while griffe collects them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence the examples in a docstring; use the `#:` comment of an attribute without a docstring."""
        if obj.docstring is None and obj.is_attribute:
            comment = _comment_above(obj)
            if comment:
                obj.docstring = griffe.Docstring(comment, parent=obj)
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)


def _comment_above(obj: griffe.Object) -> str:
    """Return the text of the `#:` lines directly above an attribute."""
    if obj.lineno is None or obj.filepath is None or isinstance(obj.filepath, list):
        return ""
    lines = obj.filepath.read_text(encoding="utf-8").splitlines()[: obj.lineno - 1]
    found: list[str] = []
    while lines and lines[-1].strip().startswith("#:"):
        found.insert(0, lines.pop().strip().removeprefix("#:").strip())
    return " ".join(found)
