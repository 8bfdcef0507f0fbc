"""Twins: every public name of the blocking half has the same name in the asyncio half, and no other."""

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_origin, get_type_hints

import pytest

from pymailbox import AsyncMailbox, AsyncMessage, Mailbox, Message
from pymailbox.pop3 import AsyncConnection, Connection

PAIRS = [(Mailbox, AsyncMailbox), (Message, AsyncMessage), (Connection, AsyncConnection)]

#: Properties that are known when the session is open and never ask the server: the same in both.
FACTS = {
    Mailbox: {"account", "capabilities", "connection", "deleted", "greeting"},
    Message: {"deleted", "number"},
    Connection: {"greeting", "limits", "opened", "quirks"},
}

#: Methods that give an iterator: the same, asynchronous.
ITERATORS = {Mailbox: {"fetch"}, Message: set(), Connection: {"pipeline"}}

#: What only an event loop needs: to close without waiting.
ONLY_ASYNC = {Mailbox: set(), Message: set(), Connection: {"abort"}}

#: What a Sequence has besides; both search it from the front, as lists do.
ONLY_BLOCKING = {Mailbox: {"count", "index"}, Message: set(), Connection: set()}

#: The protocols of the language.
CONTEXT = {"__enter__": "__aenter__", "__exit__": "__aexit__"}


def public(kind: type) -> set[str]:
    """Return the public names of a class."""
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_same_names(blocking: type, asynchronous: type) -> None:
    """Both have the same public names."""
    assert public(blocking) - ONLY_BLOCKING[blocking] == public(asynchronous) - ONLY_ASYNC[blocking]


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_what_may_wait_is_a_coroutine(blocking: type, asynchronous: type) -> None:
    """A method or a property that may ask the server is a coroutine function; a property takes no arguments."""
    for name in public(blocking) - ONLY_BLOCKING[blocking]:
        one = inspect.getattr_static(blocking, name)
        other = inspect.getattr_static(asynchronous, name)
        if name in FACTS[blocking] or isinstance(one, classmethod):
            assert type(one) is type(other), name
        elif name in ITERATORS[blocking]:
            assert not inspect.iscoroutinefunction(other), name
            assert get_origin(get_type_hints(one)["return"]) is Iterator, name
            assert issubclass(get_origin(get_type_hints(other)["return"]), AsyncIterator), name
        else:
            assert inspect.iscoroutinefunction(other), name
            if isinstance(one, property):
                assert list(inspect.signature(other).parameters) == ["self"], name


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_same_arguments(blocking: type, asynchronous: type) -> None:
    """Twins take the same arguments, with the same defaults and in the same order."""

    def arguments(callable_: Any) -> list[tuple[str, Any, Any]]:
        return [(p.name, p.kind, p.default) for p in inspect.signature(callable_).parameters.values()]

    assert arguments(blocking.__init__) == arguments(asynchronous.__init__)
    for name in public(blocking) - ONLY_BLOCKING[blocking]:
        one, other = getattr(blocking, name), getattr(asynchronous, name)
        if callable(one):
            assert arguments(one) == arguments(other), name


@pytest.mark.parametrize("kind", [kind for pair in PAIRS for kind in pair])
def test_every_name_is_documented(kind: type) -> None:
    """No public name is without its sentence."""
    for name in public(kind) - {"number", "count", "index"}:
        assert inspect.getdoc(inspect.getattr_static(kind, name)), name


@pytest.mark.parametrize(("blocking", "asynchronous"), [PAIRS[0], PAIRS[2]])
def test_context_managers(blocking: type, asynchronous: type) -> None:
    """`with` is `async with`, and neither is the other."""
    for one, other in CONTEXT.items():
        assert hasattr(blocking, one)
        assert inspect.iscoroutinefunction(getattr(asynchronous, other))
        assert not hasattr(asynchronous, one)


def test_the_sequence_is_the_same() -> None:
    """len, indexing, `in` and reversed ask nothing and are the same; iteration is `async for` too."""
    for name in ("__len__", "__getitem__", "__contains__", "__reversed__", "__iter__"):
        assert getattr(Mailbox, name) is getattr(AsyncMailbox, name), name
    assert hasattr(AsyncMailbox, "__aiter__")
