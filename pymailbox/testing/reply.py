"""Replies as bytes, and what gives them.

A reply is a tuple of pieces, sent one after the other, so that a long body is never copied; an empty tuple means that
nothing is answered.
"""

from typing import Protocol

__all__ = ["Dialogue", "ReplyBytes", "err", "ok"]

ReplyBytes = tuple[bytes, ...]


class Dialogue(Protocol):
    """What a server says: first the greeting, then an answer to each line."""

    def greeting(self) -> ReplyBytes: ...

    def answer(self, line: bytes) -> ReplyBytes: ...


def ok(text: str = "", data: str = "") -> ReplyBytes:
    """Make a positive status line: data that clients parse, then words that they do not."""
    words = " ".join(part for part in ("+OK", data, text) if part)
    return (words.encode("utf-8", "surrogateescape") + b"\r\n",)


def err(text: str) -> ReplyBytes:
    """Make a negative status line; a response code goes in front of the text."""
    return (f"-ERR {text}\r\n".encode("utf-8", "surrogateescape"),)
