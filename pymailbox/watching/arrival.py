"""Arrival: a message that arrived while an account was watched, as a plain value."""

from collections.abc import Callable

from attrs import define, field

from pymailbox.content import Content

__all__ = ["Arrival"]


@define(eq=False, repr=False)
class Arrival(Content):
    """A message that arrived: its content, and `done()` to say that it was handled.

    A plain value: reading it needs no server, and it stays readable after the watch was left. It has all names of
    `Content`. A pickled arrival is unpickled as its `Content`.

    >>> from pymailbox import Arrival
    >>> arrival = Arrival.from_bytes(b"Subject: Your code: 4711\\r\\n\\r\\n4711 is your code.\\r\\n")
    >>> arrival.subject, arrival.size, arrival.uid
    ('Your code: 4711', 48, None)
    >>> arrival.done()
    """

    #: The uid; None if the server gave none, or for a value made with `from_bytes`.
    uid: str | None = None
    _when_done: Callable[[], None] | None = field(default=None, alias="when_done")

    @property
    def size(self) -> int:
        """The size in bytes."""
        return len(self.raw)

    def done(self) -> None:
        """Say that the message was handled, so that no later watch with the same `state` hands it out again.

        With `state=`, this is on disk when it returns: one commit, usually some milliseconds. Without, it has no
        effect. May be called from any thread, and again. Raises ValueError if the watch was left before; the message is
        then handed out again. Raises `DiskFull` or another error of the state file if it cannot be written.
        """
        if self._when_done is not None:
            self._when_done()

    def __repr__(self) -> str:
        return f"<Arrival: {len(self.raw)} bytes, subject {self.subject[:60]!a}>"
