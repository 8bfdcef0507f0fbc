"""Every limit is a whole number above 0; only `stream` may be None."""

from typing import Any

import pytest
from attrs import exceptions, fields

from pymailbox.pop3.limits import Limits
from tests import case


def test_the_error_for_a_bad_limit_names_it() -> None:
    """Anything but a whole number is TypeError, a number below 1 ValueError."""
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
    """`stream=None` means no limit; no other field accepts None."""
    assert Limits(stream=None).stream is None
    for field in fields(Limits):
        if field.name != "stream":
            with case(field.name), pytest.raises(TypeError):
                Limits(**{field.name: None})


def test_limits_are_a_value() -> None:
    """Equal fields make equal limits; they are frozen and keyword-only."""
    assert Limits(message=10) == Limits(message=10) != Limits()
    with pytest.raises(exceptions.FrozenInstanceError):
        Limits().message = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(1)  # type: ignore[misc]
