"""Adapt what is read of the code for the reference.

Examples become code blocks, `#:` comments document attributes, classes made by attrs have the signature of their
constructor, and labels that only say how a class is written are left out.

This is an extension of griffe, which mkdocstrings uses to read Python; `mkdocs.yml` names it.
"""

import importlib
import re
from typing import Any

import attrs
import griffe

_EXAMPLE = re.compile(r"(?m)^>>> .*(?:\n(?!\n).*)*")


#: Labels that tell a reader of the reference nothing.
_NOISE = {"class-attribute", "dataclass", "instance-attribute", "writable"}


class Docstrings(griffe.Extension):
    """Changes docstrings while griffe collects them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence the examples in a docstring; use the `#:` comment of an attribute without a docstring."""
        obj.labels -= _NOISE
        if obj.docstring is None and obj.is_attribute:
            comment = _comment_above(obj)
            if comment:
                obj.docstring = griffe.Docstring(comment, parent=obj)
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Give a class made by attrs the constructor that attrs makes, unless it needs private values."""
        kind = getattr(importlib.import_module(cls.module.path), cls.name, None)
        if "__init__" in cls.members or not isinstance(kind, type) or "__attrs_attrs__" not in vars(kind):
            return
        public = [field for field in attrs.fields(kind) if field.init and not _is_private(field)]
        if all(field in public or field.default is not attrs.NOTHING for field in attrs.fields(kind) if field.init):
            parameters = griffe.Parameters(griffe.Parameter("self"), *(_parameter(cls, field) for field in public))
            cls.set_member("__init__", griffe.Function("__init__", parameters=parameters, parent=cls))


def _is_private(field: "attrs.Attribute[Any]") -> bool:
    """Return whether only the package passes this value: it has no public name of its own."""
    return field.name.startswith("_") and field.alias == field.name.lstrip("_")


def _parameter(cls: griffe.Class, field: "attrs.Attribute[Any]") -> griffe.Parameter:
    """Return the parameter of a field, with its annotation as written and its default."""
    member = cls.members.get(field.name)
    annotation = member.annotation if isinstance(member, griffe.Attribute) else None
    default = None
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type] # a class at run time
        value = field.default.factory() if not field.default.takes_self else ...
        default = repr(value) if type(value) in (tuple, list, dict) else "..."
    elif field.default is not attrs.NOTHING:
        default = f"{field.default:_}" if type(field.default) is int else repr(field.default)
    kind = griffe.ParameterKind.keyword_only if field.kw_only else griffe.ParameterKind.positional_or_keyword
    return griffe.Parameter(field.alias or field.name, annotation=annotation, kind=kind, default=default)


def _comment_above(obj: griffe.Object) -> str:
    """Return the text of the `#:` lines directly above an attribute."""
    if obj.lineno is None or obj.filepath is None or isinstance(obj.filepath, list):
        return ""
    lines = obj.filepath.read_text(encoding="utf-8").splitlines()[: obj.lineno - 1]
    found: list[str] = []
    while lines and lines[-1].strip().startswith("#:"):
        found.insert(0, lines.pop().strip().removeprefix("#:").strip())
    return " ".join(found)
