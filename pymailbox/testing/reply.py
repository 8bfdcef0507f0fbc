"""Replies as bytes, and the interface of what produces them.

A reply is a tuple of pieces that are sent one after the other, to avoid copying a long body; an empty tuple means no
reply.
"""

from typing import Protocol

__all__ = ["Dialogue", "ReplyBytes", "err", "ok"]

ReplyBytes = tuple[bytes, ...]


class Dialogue(Protocol):
    """What a server sends: first the greeting, then an answer to each line."""

    def greeting(self) -> ReplyBytes: ...

    def answer(self, line: bytes) -> ReplyBytes: ...


def ok(text: str = "", data: str = "") -> ReplyBytes:
    """Return a positive status line: data that clients parse, then text that they do not."""
    words = " ".join(part for part in ("+OK", data, text) if part)
    return (words.encode("utf-8", "surrogateescape") + b"\r\n",)


def err(text: str) -> ReplyBytes:
    """Return a negative status line; the text may begin with a response code."""
    return (f"-ERR {text}\r\n".encode("utf-8", "surrogateescape"),)
