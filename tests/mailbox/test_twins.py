"""The blocking and the asyncio classes have the same public names, with the same arguments."""

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_origin, get_type_hints

import pytest

from pymailbox import AsyncMailbox, AsyncMessage, AsyncWatch, Mailbox, Message, Watch
from pymailbox.pop3 import AsyncConnection, Connection

PAIRS = [(Mailbox, AsyncMailbox), (Message, AsyncMessage), (Connection, AsyncConnection), (Watch, AsyncWatch)]

#: Properties that never ask the server: the same in both.
FACTS = {
    Mailbox: {"account", "capabilities", "connection", "deleted", "greeting"},
    Message: {"deleted", "number"},
    Connection: {"greeting", "limits", "opened", "quirks"},
    Watch: {"set_aside", "stop"},
}

#: Methods that return an iterator: an asynchronous one in the twin.
ITERATORS = {Mailbox: {"fetch"}, Message: set(), Connection: {"pipeline"}, Watch: set()}

#: What only an event loop needs: closing without waiting.
ONLY_ASYNC = {Mailbox: set(), Message: set(), Connection: {"abort"}, Watch: set()}

#: Methods of a Sequence, which search it from the front; and what cancellation does for a task.
ONLY_BLOCKING = {Mailbox: {"count", "index"}, Message: set(), Connection: {"interrupt"}, Watch: set()}

#: The methods of context managers.
CONTEXT = {"__enter__": "__aenter__", "__exit__": "__aexit__"}


def public(kind: type) -> set[str]:
    """Return the public names of a class."""
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_twins_have_the_same_names(blocking: type, asynchronous: type) -> None:
    """Both have the same public names."""
    assert public(blocking) - ONLY_BLOCKING[blocking] == public(asynchronous) - ONLY_ASYNC[blocking]


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_names_that_may_ask_the_server_are_coroutines(blocking: type, asynchronous: type) -> None:
    """A method or property that may ask the server is a coroutine function; as a property it takes no arguments."""
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
def test_twins_have_the_same_arguments(blocking: type, asynchronous: type) -> None:
    """They take the same arguments, with the same defaults and in the same order."""

    def arguments(callable_: Any) -> list[tuple[str, Any, Any]]:
        return [(p.name, p.kind, p.default) for p in inspect.signature(callable_).parameters.values()]

    assert arguments(blocking.__init__) == arguments(asynchronous.__init__)
    for name in public(blocking) - ONLY_BLOCKING[blocking]:
        one, other = getattr(blocking, name), getattr(asynchronous, name)
        if callable(one):
            assert arguments(one) == arguments(other), name


@pytest.mark.parametrize("kind", [kind for pair in PAIRS for kind in pair])
def test_every_name_is_documented(kind: type) -> None:
    """Every public name has a docstring."""
    for name in public(kind) - {"number", "count", "index"}:
        assert inspect.getdoc(inspect.getattr_static(kind, name)), name


@pytest.mark.parametrize(("blocking", "asynchronous"), [PAIRS[0], *PAIRS[2:]])
def test_only_the_asyncio_half_is_an_asynchronous_context_manager(blocking: type, asynchronous: type) -> None:
    """The blocking half has `with`, the asyncio half `async with`."""
    for one, other in CONTEXT.items():
        assert hasattr(blocking, one)
        assert inspect.iscoroutinefunction(getattr(asynchronous, other))
        assert not hasattr(asynchronous, one)


def test_the_sequence_is_the_same() -> None:
    """len, indexing, `in`, reversed and `for` ask nothing and are the same; the asyncio half also has `async for`."""
    for name in ("__len__", "__getitem__", "__contains__", "__reversed__", "__iter__"):
        assert getattr(Mailbox, name) is getattr(AsyncMailbox, name), name
    assert hasattr(AsyncMailbox, "__aiter__")
