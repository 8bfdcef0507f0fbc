"""What the reference makes of our docstrings: examples become code blocks, and `#:` comments document attributes.

An extension of griffe, which mkdocstrings reads Python with; named in `mkdocs.yml`.
"""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?m)^>>> .*(?:\n(?!\n).*)*")


class Docstrings(griffe.Extension):
    """Mends docstrings as they are collected."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence the examples of a docstring; take a docstring from the comment where there is none."""
        if obj.docstring is None and obj.is_attribute:
            comment = _comment_above(obj)
            if comment:
                obj.docstring = griffe.Docstring(comment, parent=obj)
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)


def _comment_above(obj: griffe.Object) -> str:
    """Return the text of the `#:` lines right above an attribute."""
    if obj.lineno is None or obj.filepath is None or isinstance(obj.filepath, list):
        return ""
    lines = obj.filepath.read_text(encoding="utf-8").splitlines()[: obj.lineno - 1]
    found: list[str] = []
    while lines and lines[-1].strip().startswith("#:"):
        found.insert(0, lines.pop().strip().removeprefix("#:").strip())
    return " ".join(found)
