"""The pytest plugin with the fixture `pop3_server`, which imports the server only if a test uses it.

Installing pymailbox registers the plugin; there is nothing to configure.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pymailbox.testing.server import Server

__all__ = ["pop3_server"]


@pytest.fixture
def pop3_server() -> "Iterator[Callable[..., Server]]":
    """Return a factory that starts POP3 servers; all of them are closed after the test.

    The factory takes the arguments of `pymailbox.testing.Server`.

    ```python
    def test_reading(pop3_server):
        server = pop3_server([b"Subject: Hello\\r\\n\\r\\nHello, world.\\r\\n"])
        assert my_program(server.host, server.port, "me", "secret") == ["Hello"]
    ```
    """
    from pymailbox.testing.server import Server

    with ExitStack() as stack:

        def start(*args: Any, **options: Any) -> Server:
            return stack.enter_context(Server(*args, **options))

        yield start
