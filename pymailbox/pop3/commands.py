"""The commands of POP3: one function per command takes its arguments and returns a `Command[T]`.

Arguments are checked before anything is sent: ValueError for message numbers below 1, and for control characters (C0
and DEL, in the *encoded* bytes) in any text. Nothing here does I/O.

The greeting and a SASL response are commands too: the first sends nothing, the second has no verb.
"""

import base64
import binascii
import builtins
import operator
from typing import Any, overload

from attrs import Attribute, field, frozen

from pymailbox.display import Secret, SecretBytes, secret, type_name
from pymailbox.errors import AuthenticationError, LimitExceeded, MessageUnavailable, ProtocolError, TemporaryFailure
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Body, Chunk, Command, Note, Reply, Verb
from pymailbox.pop3.listings import number_of, read_sizes, read_uids

__all__ = [
    "Body",
    "Challenge",
    "Chunk",
    "Command",
    "Reply",
    "Stat",
    "apop",
    "auth",
    "capa",
    "dele",
    "greeting",
    "lang",
    "languages",
    "list",
    "noop",
    "pass_",
    "quit",
    "respond",
    "retr",
    "rpop",
    "rset",
    "stat",
    "stls",
    "stream",
    "top",
    "uidl",
    "user",
    "utf8",
]


@frozen
class Stat:
    """The result of STAT: the number of messages and their total size in octets (None if the server sent no number).

    >>> from pymailbox.pop3 import Connection
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: one\\r\\n\\r\\n"]) as server:
    ...     with Connection(server.host, server.port, security="none") as pop:
    ...         pop.login("me", "secret")
    ...         pop.stat()
    Stat(count=1, size=16)
    """

    count: int
    size: int | None


@frozen
class Challenge:
    """The server's reply in a SASL exchange."""

    #: The challenge; None if it was not valid base64.
    data: bytes | None = field(repr=False)
    #: Whether the status was +OK.
    final: bool


# --- arguments ------------------------------------------------------------------------------------------------


_LARGEST = 10**18 - 1  # the largest that `number_of` reads; no server has so many messages


def _number(value: int, name: str = "message number", least: int = 1) -> bytes:
    if type(value) is int and least <= value <= _LARGEST:
        return b"%d" % value
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    value = operator.index(value)
    if value < least:
        raise ValueError(f"{name} must be {least} or more, not {value}")
    if value > _LARGEST:
        raise ValueError(f"{name} must be {_LARGEST} or less")
    return b"%d" % value


def text(value: str, name: str) -> bytes:
    """Encode an argument as UTF-8; ValueError, without showing it, if it has control characters."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type_name(value)}")
    value = Secret(value)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} has a lone surrogate, which UTF-8 cannot encode; pass bytes or fix the text")
    return secret_bytes(value.encode(), name)


def secret_bytes(value: str | bytes, name: str) -> bytes:
    """Return a password as bytes: text as UTF-8, bytes unchanged; ValueError if it has control characters."""
    if not isinstance(value, bytes):
        return text(value, name)
    data = SecretBytes(value)
    del value
    if any(byte < 0x20 or byte == 0x7F for byte in data):
        raise ValueError(f"{name} must not contain control characters")
    return data


def no_control_octets(_: object, attribute: "Attribute[Any]", value: str | bytes) -> None:
    """Refuse control characters in a field of str or bytes, without showing it (an attrs validator)."""
    secret_bytes(value, attribute.name)


def no_control_characters(_: object, attribute: "Attribute[Any]", value: str) -> None:
    """Refuse control characters in a field of str, without showing it (an attrs validator)."""
    text(value, attribute.name)


def _word(value: str, name: str) -> bytes:
    data = text(value, name)
    if not data or b" " in data:
        raise ValueError(f"{name} must be one word, without spaces")
    return data


# --- replies --------------------------------------------------------------------------------------------------


def _reply_text(reply: Reply, _: Note) -> str:
    return reply.message


def _stat(reply: Reply, note: Note) -> Stat:
    words = reply.text.split()
    count = number_of(words[0]) if words else None
    if count is None:
        raise ProtocolError(
            "STAT returned no number of messages", command=reply.command.redacted, response=reply.message
        )
    most = reply.command.entries
    if most is not None and count > most:
        problem = f"STAT counted {count} messages; raise Limits.listing_entries if this server can be trusted"
        raise LimitExceeded(problem, field="listing_entries", command=reply.command.redacted)
    size = number_of(words[1]) if len(words) > 1 else None
    if size is None:  # Q31, Q32
        given = words[1] if len(words) > 1 else b""
        quirk = "NEGATIVE_STAT_SIZE" if given[:1] == b"-" else "STAT_SIZE_IN_WORDS" if given else "STAT_WITHOUT_SIZE"
        note(quirk, reply.message)
    return Stat(count, size)


def _sizes(reply: Reply, note: Note) -> dict[int, int | None]:
    return read_sizes(reply.body or b"", note)


def _uids(reply: Reply, note: Note) -> dict[int, str | None]:
    return read_uids(reply.body or b"", note)


def _one(reply: Reply) -> bytes:
    """Return what follows the message number in a reply to LIST n or UIDL n; ProtocolError for another number."""
    words = reply.text.split(None, 1)
    if not words or number_of(words[0]) != int(reply.command.arguments):
        raise ProtocolError(
            "the reply is about a different message",
            command=reply.command.redacted,
            response=reply.message,
        )
    return words[1].strip() if len(words) > 1 else b""


def _one_size(reply: Reply, note: Note) -> int | None:
    words = _one(reply).split(None, 1)
    size = number_of(words[0]) if words else None
    if size is None:
        note("LIST_JUNK_SIZE" if words else "LIST_WITHOUT_SIZE", reply.message)  # Q34
    return size


def _one_uid(reply: Reply, note: Note) -> str | None:
    uid = _one(reply)
    if not uid:
        note("BLANK_UID", reply.message)
    return uid.decode("utf-8", "surrogateescape") if uid else None


def _body(reply: Reply, _: Note) -> bytes:
    return reply.body or b""


def _octets(reply: Reply, _: Note) -> int:
    return reply.octets


def _lines(reply: Reply) -> builtins.list[str]:
    return (reply.body or b"").decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")


def _capabilities(reply: Reply, _: Note) -> Capabilities:
    return Capabilities.from_lines(_lines(reply))


def _languages(reply: Reply, _: Note) -> dict[str, str]:
    pairs = (line.strip().partition(" ") for line in _lines(reply))
    return {tag: description.strip() for tag, _, description in pairs if tag}


def _challenge(reply: Reply, _: Note) -> Challenge:
    try:
        data: bytes | None = base64.b64decode(reply.text.strip(), validate=True)
    except binascii.Error:
        data = None
    return Challenge(data, reply.status == b"+OK")


# --- the verbs ------------------------------------------------------------------------------------------------

_GONE = "message unavailable: no such number, or it is marked as deleted"
_LOGIN: dict[str, Any] = {
    "barrier": True,
    "secret": True,
    "error": AuthenticationError,
    "problem": "the server refused the login; check the user name and password",
}

_GREETING = Verb(
    b"",
    _reply_text,
    barrier=True,
    error=TemporaryFailure,
    problem="the server is not accepting connections right now; try again later",
)
_STAT = Verb(b"STAT", _stat)
_LIST = Verb(b"LIST", _sizes, Body.LISTING)
_LIST_ONE = Verb(b"LIST", _one_size, error=MessageUnavailable, problem=_GONE)
_UIDL = Verb(b"UIDL", _uids, Body.LISTING)
_UIDL_ONE = Verb(b"UIDL", _one_uid, error=MessageUnavailable, problem=_GONE)
_RETR = Verb(b"RETR", _body, Body.KEPT, error=MessageUnavailable, problem=_GONE)
_STREAM = Verb(b"RETR", _octets, Body.STREAMED, error=MessageUnavailable, problem=_GONE)
_TOP = Verb(b"TOP", _body, Body.KEPT, error=MessageUnavailable, problem=_GONE)
_DELE = Verb(
    b"DELE",
    _reply_text,
    error=MessageUnavailable,
    problem="message not marked as deleted: no such number, or it is already marked",
)
_RSET = Verb(b"RSET", _reply_text)
_NOOP = Verb(b"NOOP", _reply_text)
_QUIT = Verb(b"QUIT", _reply_text, barrier=True)
_USER = Verb(b"USER", _reply_text, error=AuthenticationError, problem="the server does not accept this user name")
_PASS = Verb(b"PASS", _reply_text, **_LOGIN)
_APOP = Verb(b"APOP", _reply_text, **_LOGIN)
_RPOP = Verb(b"RPOP", _reply_text, **_LOGIN)
_AUTH = Verb(b"AUTH", _challenge, accepts_challenge=True, **_LOGIN)
_RESPONSE = Verb(b"", _challenge, accepts_challenge=True, **_LOGIN)
_CAPA = Verb(b"CAPA", _capabilities, Body.TEXT)
_STLS = Verb(b"STLS", _reply_text, barrier=True, problem="the server refused to start TLS")
_UTF8 = Verb(b"UTF8", _reply_text)
_LANG = Verb(b"LANG", _reply_text)
_LANGUAGES = Verb(b"LANG", _languages, Body.TEXT)


# --- the commands, in the order of the RFCs -------------------------------------------------------------------


def greeting() -> Command[str]:
    """Wait for the greeting, which the server sends by itself (RFC 1939 §4); sends nothing."""
    return Command(_GREETING)


def stat(*, entries: int | None = None) -> Command[Stat]:
    """STAT: return the number of messages and their total size in octets (RFC 1939 §5).

    `LimitExceeded` is raised for more than `entries` messages.
    """
    return Command(_STAT, entries=entries)


@overload
def list(number: None = None, *, entries: int | None = None) -> Command[dict[int, int | None]]: ...
@overload
def list(number: int) -> Command[int | None]: ...
def list(number: int | None = None, *, entries: int | None = None) -> Command[Any]:
    """LIST: return sizes in octets by message number, or the size of message `number` (RFC 1939 §5).

    `LimitExceeded` is raised for more than `entries` lines.
    """
    return Command(_LIST, entries=entries) if number is None else Command(_LIST_ONE, _number(number))


@overload
def uidl(number: None = None, *, entries: int | None = None) -> Command[dict[int, str | None]]: ...
@overload
def uidl(number: int) -> Command[str | None]: ...
def uidl(number: int | None = None, *, entries: int | None = None) -> Command[Any]:
    """UIDL: return uids by message number, or the uid of message `number` (RFC 1939 §7).

    `LimitExceeded` is raised for more than `entries` lines.
    """
    return Command(_UIDL, entries=entries) if number is None else Command(_UIDL_ONE, _number(number))


def retr(number: int, *, expected: int = 8192, size: int | None = None) -> Command[bytes]:
    """RETR: return message `number` (RFC 1939 §5).

    `size` is the size in octets that LIST returned: in a pipeline, a body of another size is requested again. If it is
    unknown, `expected` is an estimate.
    """
    return Command(_RETR, _number(number), expected if size is None else size, size=size)


def stream(number: int, *, expected: int = 8192) -> Command[int]:
    """RETR: pass message `number` on in chunks, and return its size in octets (RFC 1939 §5).

    `expected` is an estimate of its size.
    """
    return Command(_STREAM, _number(number), expected)


def top(number: int, lines: int = 0, *, expected: int = 2048) -> Command[bytes]:
    """TOP: return the header of message `number`, a blank line and the first `lines` lines of its body (RFC 1939 §7).

    `expected` is an estimate of how many octets that is.
    """
    return Command(_TOP, _number(number) + b" " + _number(lines, "lines", 0), expected)


def dele(number: int) -> Command[str]:
    """DELE: mark message `number` as deleted; QUIT commits (RFC 1939 §5)."""
    return Command(_DELE, _number(number))


def rset() -> Command[str]:
    """RSET: remove all marks (RFC 1939 §5)."""
    return Command(_RSET)


def noop() -> Command[str]:
    """NOOP: do nothing except restart the server's idle timer (RFC 1939 §5)."""
    return Command(_NOOP)


def quit() -> Command[str]:
    """QUIT: commit the deletions and end the session (RFC 1939 §6)."""
    return Command(_QUIT)


def user(name: str) -> Command[str]:
    """USER: send the user `name`; PASS follows (RFC 1939 §7)."""
    return Command(_USER, text(name, "user"))


def pass_(password: str | bytes) -> Command[str]:
    """PASS: send the password, which may contain spaces; bytes are sent unchanged (RFC 1939 §7)."""
    password = secret(password)
    return Command(_PASS, secret_bytes(password, "password"))


def apop(name: str, password: str | bytes, timestamp: bytes) -> Command[str]:
    """APOP: log in as `name` with the MD5 of the greeting's timestamp and the password (RFC 1939 §7)."""
    import hashlib  # loads OpenSSL, and few log in this way

    password = secret(password)
    digest = hashlib.md5(timestamp + secret_bytes(password, "password"), usedforsecurity=False).hexdigest()
    return Command(_APOP, _word(name, "user") + b" " + digest.encode())


def rpop(name: str) -> Command[str]:
    """RPOP: log in as `name` of a trusted host (RFC 1081); here because `poplib` has it."""
    return Command(_RPOP, text(name, "user"))


def auth(mechanism: str, initial: bytes | None = None) -> Command[Challenge]:
    """AUTH: start an exchange of the SASL `mechanism`, optionally with an `initial` response (RFC 5034 §4)."""
    line = _word(mechanism, "mechanism")
    if initial is not None:
        line += b" " + (base64.b64encode(initial) or b"=")
    return Command(_AUTH, line)


def respond(response: bytes | None) -> Command[Challenge]:
    """Answer a SASL challenge with `response`; None cancels the exchange with `*` (RFC 5034 §4)."""
    return Command(_RESPONSE, b"*" if response is None else base64.b64encode(response))


def capa() -> Command[Capabilities]:
    """CAPA: return the capabilities that the server advertises (RFC 2449 §5)."""
    return Command(_CAPA, expected=512)


def stls() -> Command[str]:
    """STLS: ask to start TLS, which follows the +OK (RFC 2595 §4)."""
    return Command(_STLS)


def utf8() -> Command[str]:
    """UTF8: let the server send messages with UTF-8 headers unchanged (RFC 6856 §2)."""
    return Command(_UTF8)


def lang(tag: str) -> Command[str]:
    """LANG: choose the language of the server's texts by its tag; `*` is the server's default (RFC 6856 §3)."""
    return Command(_LANG, _word(tag, "language tag"))


def languages() -> Command[dict[str, str]]:
    """LANG: return the names of the languages of the server's texts by tag (RFC 6856 §3)."""
    return Command(_LANGUAGES, expected=512)
