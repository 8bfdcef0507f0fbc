"""Limits: every bound is a whole number above 0, with a default that honest servers keep."""

from typing import Any

import pytest
from attrs import exceptions, fields

from pymailbox.pop3.limits import Limits
from tests import case


def test_bad_bounds_are_refused_by_name() -> None:
    """What is not a whole number is TypeError, what is below 1 ValueError, and both name the field."""
    bad: list[tuple[Any, type[Exception]]] = [
        (0, ValueError),
        (-1, ValueError),
        (1.5, TypeError),
        ("1", TypeError),
        (True, TypeError),
    ]
    for name in (field.name for field in fields(Limits)):
        for value, kind in bad:
            with case(name, value), pytest.raises(kind, match=f"Limits.{name}"):
                Limits(**{name: value})


def test_only_the_stream_may_be_unbounded() -> None:
    """`stream=None` is no bound; no other field takes None."""
    assert Limits(stream=None).stream is None
    for field in fields(Limits):
        if field.name != "stream":
            with case(field.name), pytest.raises(TypeError):
                Limits(**{field.name: None})


def test_limits_are_a_value() -> None:
    """Equal bounds are equal limits; nothing changes once made, and nothing is given by position."""
    assert Limits(message=10) == Limits(message=10) != Limits()
    with pytest.raises(exceptions.FrozenInstanceError):
        Limits().message = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(1)  # type: ignore[misc]
