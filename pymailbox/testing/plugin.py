"""The pytest plugin: the fixtures `pop3_server` and `mailbox`, and the marker `pop3`, which configures them.

Installing pymailbox registers the plugin; there is nothing to configure. Until a test uses a fixture, it imports
nothing but this module.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from pymailbox import Mailbox
    from pymailbox.testing.server import Server

__all__ = ["mailbox", "pop3_server", "pytest_configure"]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, also for `--strict-markers`."""
    config.addinivalue_line(
        "markers",
        "pop3(messages, *, replay, **options): what the fixture pop3_server serves: messages, a recorded session, and"
        " the options of pymailbox.testing.Server",
    )


@pytest.fixture
def pop3_server(request: pytest.FixtureRequest) -> "Iterator[Server]":
    """A running POP3 server with a sample mailbox, for this test only.

    The marker `pop3` takes other messages, the options of `pymailbox.testing.Server`, or with `replay=` the path of a
    recorded session and the options of `Server.replay`. Paths are relative to the directory of the test's file. If a
    class or a module has the marker too, the options are combined, and the closest wins.

    ```python
    @pytest.mark.pop3([b"Subject: Hello\\r\\n\\r\\nHello, world.\\r\\n"], user="ada")
    def test_reading(pop3_server: Server) -> None:
        assert my_program(pop3_server.host, pop3_server.port, "ada", pop3_server.password) == ["Hello"]
    ```
    """
    options: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("pop3"))):
        options |= _options_of(mark)
    with ExitStack() as stack:
        yield _start(stack, options, request.path.parent)


@pytest.fixture
def mailbox(pop3_server: "Server") -> "Iterator[Mailbox]":
    """An open `Mailbox` on the server of the fixture `pop3_server`.

    ```python
    def test_reading(mailbox: Mailbox) -> None:
        assert my_function(mailbox) == ["Lunch on Thursday?", ...]
    ```

    What the test deletes is gone from the server after `mailbox.commit()`; at the end of the test, the mailbox is
    closed without deleting anything.
    """
    from pymailbox import Mailbox, Uncommitted

    users = pop3_server.users
    password = next(iter(users.values())) if users else pop3_server.password
    context = None
    if pop3_server.security != "none":
        with suppress(ValueError):  # there is no CA, because the server was given its own ssl_context
            context = pop3_server.client_context()
    inbox = Mailbox.from_url(pop3_server.url, password, ssl_context=context)
    try:
        yield inbox.open()
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Uncommitted)
            inbox.close()


def _options_of(mark: pytest.Mark) -> dict[str, Any]:
    """Return the options of one marker, with the messages by name."""
    options = dict(mark.kwargs)
    if len(mark.args) > 1 or (mark.args and "messages" in options):
        _fail("it takes one list of messages; the other options have names")
    if mark.args:
        options["messages"] = mark.args[0]
    return options


def _start(stack: ExitStack, options: dict[str, Any], directory: Path) -> "Server":
    """Start the server that the markers describe, or fail the test with what is wrong."""
    import difflib
    import inspect

    from pymailbox.testing.samples import SAMPLES
    from pymailbox.testing.server import Server

    replaying = "replay" in options
    kind, first = (Server.replay, "replay") if replaying else (Server, "messages")
    own = [name for name in inspect.signature(kind).parameters if name not in ("source", "path")]
    allowed = sorted([first, *own, *([] if replaying else ["replay"])])
    for name in options:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ";"
            _fail(f"it has no option {name!r}{' with replay=' * replaying}{hint} The options are: {', '.join(allowed)}")
    try:
        given = options.pop(first, SAMPLES)
        if isinstance(given, str | os.PathLike):
            given = directory / given
        return stack.enter_context(Server.replay(given, **options) if replaying else Server(given, **options))
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        _fail(str(error))


def _fail(problem: str) -> NoReturn:
    pytest.fail(f"@pytest.mark.pop3: {problem}", pytrace=False)
