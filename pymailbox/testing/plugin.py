"""The pytest plugin: the fixture `pop3_server`. It imports the server only when a test uses it.

It is registered by installing pymailbox; nothing is to be configured.
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
    """Start POP3 servers: a factory that takes what `pymailbox.testing.Server` takes, and closes them all after the
    test.

    ```python
    def test_reading(pop3_server):
        server = pop3_server([b"Subject: Hello\\r\\n\\r\\nA mail.\\r\\n"])
        assert my_program(server.host, server.port, "me", "secret") == ["Hello"]
    ```
    """
    from pymailbox.testing.server import Server

    with ExitStack() as stack:

        def start(*args: Any, **options: Any) -> Server:
            return stack.enter_context(Server(*args, **options))

        yield start
