"""Where a client finds its server, what it is to read, and where to put what it streams."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    import ssl

__all__ = ["Service"]


class Service(NamedTuple):
    """A mailbox on a server: its first `count` messages are the work.

    `certificate` is the file of the private CA, empty without TLS; `sink_path` is where streamed messages go.
    """

    host: str
    port: int
    user: str
    password: str
    count: int
    certificate: str = ""
    sink_path: str = os.devnull

    @property
    def numbers(self) -> range:
        """The numbers of the messages to read."""
        return range(1, self.count + 1)

    def sink(self) -> BinaryIO:
        """Open the file object messages are streamed to."""
        return Path(self.sink_path).open("ab")

    def context(self) -> ssl.SSLContext | None:
        """Make the context that verifies the server, or None without TLS."""
        if not self.certificate:
            return None
        import ssl

        return ssl.create_default_context(cafile=self.certificate)
