"""Reading: the flows that get sizes, uids, headers and bodies. Pure, shared by both mailboxes.

Headers are read by TOP n 0, which leaves no trace on the server, and prefetched in a pipeline while messages are read
in a regular order; by RETR only if TOP does not work. Bodies are read by RETR, and prefetched only by `fetch()`.
"""

# See decision 11 for messages that are not prefetched.

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal, TypeVar

from pymailbox.errors import (
    AuthenticationError,
    CommandError,
    LimitExceeded,
    MessageUnavailable,
    NotSupported,
    PermanentFailure,
    TemporaryFailure,
)
from pymailbox.mailbox.state import FIRST_AHEAD, MailboxState
from pymailbox.pop3 import commands
from pymailbox.pop3.command import Command
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.flows import Flow, Next, Stream, ask
from pymailbox.pop3.refusal import is_unknown_command

__all__ = [
    "body",
    "first_lines",
    "headers",
    "learn_sizes",
    "learn_uids",
    "size_hints",
    "sizes",
    "stream",
    "top",
    "total",
    "uids",
]

M = TypeVar("M")
T = TypeVar("T")

_BLANK_LINE = re.compile(rb"(?:\A|\n)\r?\n")


def sizes(state: MailboxState[M]) -> Flow[tuple[int | None, ...]]:
    """Return the sizes in bytes by index: one LIST for the whole mailbox, once; all None if the server has no LIST.

    A refusal that may be temporary raises `TemporaryFailure`, and the next call asks again.
    """
    if state.sizes is None:
        learn_sizes(state, (yield from _listing(state, commands.list(entries=state.entries))))
    assert state.sizes is not None
    return state.sizes


def _listing(state: MailboxState[M], command: Command[dict[int, T]]) -> Flow[dict[int, T] | CommandError]:
    """Return the reply to LIST or UIDL, or the refusal of a server that does not have the command."""
    if not state.count:  # some servers refuse LIST on an empty mailbox (Q33)
        return {}
    try:
        return (yield from ask(command))
    except CommandError as refused:
        if not _is_missing(state, refused):
            raise _for_now(refused) from refused
        return refused


def learn_sizes(state: MailboxState[M], result: dict[int, int | None] | CommandError) -> None:
    """Store the result of LIST; a refusal that may be temporary changes nothing."""
    if isinstance(result, CommandError):
        if not _is_missing(state, result):
            return
        state.session.protocol.note("NO_LIST", str(result))
        result = {}
    state.sizes = tuple(state.aligned(result, "LIST"))


def size_hints(state: MailboxState[M]) -> Flow[None]:
    """Ask for the sizes unless they are known; bodies can be read without them, so ignore a refusal."""
    with suppress(CommandError):
        yield from sizes(state)


def _is_missing(state: MailboxState[M], refused: CommandError) -> bool:
    """Whether the server refused a command because it does not have it.

    That can be if it does not advertise the command, or if the text of its reply says so.
    """
    if type(refused) not in (CommandError, MessageUnavailable):  # a code or a text with another meaning
        return False
    verb = (refused.command or "").partition(" ")[0]
    capabilities = state.session.capabilities
    listed = verb == "LIST" or (capabilities is not None and verb in capabilities)  # LIST is not optional
    return not listed or is_unknown_command(refused.response or "")


def _for_now(refused: CommandError) -> CommandError:
    """Return a refusal as a `TemporaryFailure`, unless its type already says whether it is temporary."""
    if isinstance(refused, TemporaryFailure | PermanentFailure | AuthenticationError):
        return refused
    return TemporaryFailure(
        refused.problem if refused.retryable else "the server supports this command but refused it; try again later",
        command=refused.command,
        response=refused.response,
        code=refused.code,
        retry_after=refused.retry_after,
    )


def total(state: MailboxState[M]) -> Flow[int]:
    """Return the size of the whole mailbox in bytes: by STAT, or the sum of LIST if STAT had no number."""
    # Negative, or in words: Q31, Q32.
    if state.total_size is None:
        listed = yield from sizes(state)
        state.total_size = sum(size or 0 for size in listed)
    return state.total_size


def uids(state: MailboxState[M]) -> Flow[tuple[str | None, ...]]:
    """Return the uids by index: one UIDL for the whole mailbox, once; `NotSupported` if the server has no UIDL.

    A refusal that may be temporary raises `TemporaryFailure`, and the next call asks again.
    """
    if state.uids is None and state.no_uids is None:
        learn_uids(state, (yield from _listing(state, commands.uidl(entries=state.entries))))
    if state.uids is None:
        raise NotSupported(
            "the server has no UIDL, so messages have no persistent identifiers",
            command="UIDL",
            response=state.no_uids.response if state.no_uids else None,
        )
    return state.uids


def learn_uids(state: MailboxState[M], result: dict[int, str | None] | CommandError) -> None:
    """Store the result of UIDL; a refusal that may be temporary changes nothing."""
    if isinstance(result, CommandError):
        state.no_uids = result if _is_missing(state, result) else None
    else:
        state.uids = tuple(state.aligned(result, "UIDL"))


# --- headers --------------------------------------------------------------------------------------------------


def headers(state: MailboxState[M], number: int, skip: Callable[[int], bool]) -> Flow[tuple[bytes, bool]]:
    """Return the header block of a message and False, or, if TOP does not work, the whole message and True.

    `skip(number)` is true for a message that need not be prefetched, because its headers are cached.
    """
    if state.top_works is False:
        return (yield from body(state, number)), True
    ahead = state.ahead
    step = ahead.asked(number)
    if number in state.deleted:
        raise _deleted(number)
    result = yield from _ahead(state, number, step, skip)
    if result is None:
        try:
            result = yield from ask(commands.top(number, 0))
        except CommandError as refused:
            result = refused
    if isinstance(result, CommandError):
        return (yield from _instead_of_top(state, number, result)), True
    state.top_works = True
    if not state.top_sends_body and _has_body(result):
        state.session.protocol.note("TOP_IGNORES_COUNT", f"TOP {number} 0 returned {len(result)} bytes")  # Q55
        state.top_sends_body = True
        ahead.stop()
    return result, False


def _ahead(
    state: MailboxState[M], number: int, step: int, skip: Callable[[int], bool]
) -> Flow[bytes | CommandError | None]:
    """Return the prefetched result for `number`, starting a pipeline if there is a pattern; otherwise None."""
    ahead = state.ahead
    while ahead.batch is not None and ahead.numbers and ahead.numbers[0] in state.deleted:
        yield Next(ahead.batch)  # marked since its TOP was sent: no longer needed
        ahead.numbers.popleft()
    if ahead.batch is not None and ahead.numbers and ahead.numbers[0] != number:
        ahead.stop()
    if ahead.batch is None:
        if not step or not state.top_works or state.top_sends_body or not state.session.protocol.pipelining:
            return None
        ahead.batch = Batch(_tops(state, number, step, skip), depth=FIRST_AHEAD)
    result: bytes | CommandError | None = yield Next(ahead.batch)
    if result is None or ahead.numbers.popleft() != number:
        ahead.stop()
        return None
    ahead.used()
    return result


def _tops(state: MailboxState[M], number: int, step: int, skip: Callable[[int], bool]) -> Iterator[Command[bytes]]:
    for planned in state.plan(number, step, skip):
        state.ahead.numbers.append(planned)
        yield commands.top(planned, 0)


def _instead_of_top(state: MailboxState[M], number: int, refused: CommandError) -> Flow[bytes]:
    """Return the whole message by RETR after TOP was refused.

    The reply to RETR shows whether TOP or only this message is unavailable (Q16). If TOP was refused temporarily, or
    has worked before, raise the refusal; the next call tries TOP again.
    """
    if state.top_works or refused.retryable:
        raise refused
    raw = yield from body(state, number)
    state.top_works = False if _is_missing(state, refused) else None
    state.ahead.stop()
    state.session.protocol.note("TOP_REFUSED", str(refused))
    return raw


def _body_begins(block: bytes) -> int:
    blank = _BLANK_LINE.search(block)
    return blank.end() if blank is not None else len(block)


def _has_body(block: bytes) -> bool:
    return _body_begins(block) < len(block) - 2


def first_lines(raw: bytes, lines: int) -> bytes:
    """Return the headers of a message and the first lines of its body, as TOP does."""
    end = _body_begins(raw)
    while lines and end < len(raw):
        end = raw.find(b"\n", end) + 1 or len(raw)
        lines -= 1
    return raw[:end]


def top(state: MailboxState[M], number: int, lines: int) -> Flow[tuple[bytes, bool]]:
    """Return the headers with the first lines of the body and False, or, if TOP does not work, all of it and True."""
    if number in state.deleted:
        raise _deleted(number)
    if state.top_works is False:
        return (yield from body(state, number)), True
    try:
        block = yield from ask(commands.top(number, lines))
    except CommandError as refused:
        return (yield from _instead_of_top(state, number, refused)), True
    state.top_works = True
    return block, False


# --- bodies ---------------------------------------------------------------------------------------------------


def body(state: MailboxState[M], number: int) -> Flow[bytes]:
    """Return the whole message."""
    if number in state.deleted:
        raise _deleted(number)
    _check_size(state, number, "message")
    return (yield from ask(commands.retr(number, expected=state.size_hint(number))))


def stream(state: MailboxState[M], number: int, sink: Callable[[bytes], object]) -> Flow[int]:
    """Pass the whole message to `sink` in chunks; return its size in bytes."""
    if number in state.deleted:
        raise _deleted(number)
    _check_size(state, number, "stream")
    size: int = yield Stream(commands.stream(number, expected=state.size_hint(number)), sink)
    return size


def _check_size(state: MailboxState[M], number: int, limit: Literal["message", "stream"]) -> None:
    """Raise `LimitExceeded` before RETR if LIST has given a size beyond the limit; the session stays usable."""
    size = state.sizes[number - 1] if state.sizes is not None else None
    most: int | None = getattr(state.session.limits, limit)
    if size is not None and most is not None and size > most:
        raise LimitExceeded(
            f"message {number} has {size} bytes according to LIST, more than Limits.{limit} ({most}); raise that limit"
            + (", or save() the message, which does not hold it in memory" if limit == "message" else ""),
            field=limit,
            command=f"RETR {number}",
            usable=True,
        )


def _deleted(number: int) -> MessageUnavailable:
    return MessageUnavailable(f"message {number} is marked as deleted; undelete() it to read it again")
