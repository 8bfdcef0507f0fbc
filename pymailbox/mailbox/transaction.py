"""Transaction: the flows that open, change and end a session. Pure, shared by both mailboxes.

`delete` sends DELE at once, `undelete` sends RSET and DELE again for the others, `commit` sends QUIT, and `roll_back`
removes the marks and ends the session. Without QUIT a server deletes nothing, so whenever something is in doubt the
session ends without it.
"""

# Decisions 1, 2 and 5.

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pymailbox.account import AsyncPassword, Auth, Security
from pymailbox.display import safe_text
from pymailbox.errors import CommandError, CommitError, ConcurrentUse, ConnectionLost, LimitExceeded, MailboxError
from pymailbox.mailbox.reading import learn_sizes, learn_uids
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3 import commands, flows
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Command
from pymailbox.pop3.flows import Flow, ask, ask_all
from pymailbox.pop3.session import Session

__all__ = ["ask_state", "commit", "delete", "open_session", "roll_back", "undelete"]

M = TypeVar("M")

_NAMED = 10  # deletions that an error lists


def open_session(
    session: Session,
    security: Security,
    user: str | None,
    password: AsyncPassword | None,
    auth: Auth,
    *,
    utf8: bool,
    read_only: bool,
    top: bool,
) -> Flow[MailboxState[Any]]:
    """Open a session: greeting, TLS, capabilities, UTF8, login, capabilities again, STAT."""
    from pymailbox.pop3 import login  # imports all mechanisms, so not before they are needed

    yield from flows.establish(session, security)
    if utf8:
        yield from flows.ask_utf8(session)
    yield from login.login(session, user, password, auth)
    state = yield from ask_state(session, read_only=read_only)
    state.top_works = None if top else False
    return state


def ask_state(session: Session, *, read_only: bool) -> Flow[MailboxState[Any]]:
    """Ask for the capabilities after the login, and for the number and size of the messages.

    One after the other, as CAPA may withdraw PIPELINING, and a server that only claims to support it must not stall.
    """
    if session.may_ask_capa:
        try:
            session.learn((yield from ask(commands.capa())))
        except CommandError as refused:
            session.protocol.note("NO_CAPA_AFTER_LOGIN", str(refused))  # Q14
            session.learn(Capabilities())
    else:
        session.learn(Capabilities())
    stat = yield from ask(commands.stat())
    if stat.count > session.limits.listing_entries:
        raise LimitExceeded(
            f"the mailbox has {stat.count} messages, more than Limits.listing_entries; raise that limit",
            field="listing_entries",
        )
    return MailboxState(session, stat.count, stat.size, read_only)


def delete(state: MailboxState[M], numbers: Sequence[int]) -> Flow[None]:
    """Mark messages as deleted: DELE for each that is not marked.

    The first call asks UIDL and LIST before, because they omit marked messages. All replies are read, then the first
    refusal is raised, with all of them, by message number, in `refused`.
    """
    if state.read_only:
        raise ValueError("the mailbox was opened with read_only=True; open it without to delete messages")
    wanted = [number for number in dict.fromkeys(numbers) if number not in state.deleted]
    if not wanted:
        return
    learners: list[Callable[[MailboxState[Any], Any], None]] = []
    listings: list[Command[Any]] = []
    if state.uids is None and state.no_uids is None:
        learners.append(learn_uids)
        listings.append(commands.uidl(entries=state.entries))
    if state.sizes is None:
        learners.append(learn_sizes)
        listings.append(commands.list(entries=state.entries))
    results = yield from ask_all((*listings, *map(commands.dele, wanted)))
    for learn, result in zip(learners, results, strict=False):
        learn(state, result)
    _mark(state, wanted, results[len(listings) :])


def _mark(state: MailboxState[M], wanted: Sequence[int], results: Sequence[Any]) -> None:
    refused = {}
    for number, result in zip(wanted, results, strict=True):
        if isinstance(result, CommandError):
            refused[number] = result
        else:
            state.deleted[number] = None
    if refused:
        first = next(iter(refused.values()))
        first.refused = refused
        raise first


def undelete(state: MailboxState[M], numbers: Sequence[int] | None) -> Flow[None]:
    """Remove marks, None for all: RSET, and only after its +OK DELE again for the others.

    After a refused RSET the marks are in doubt, so the session ends without QUIT.
    """
    state.refusals.clear()  # messages may have been refused because they were marked
    released = set(state.deleted if numbers is None else numbers) & state.deleted.keys()
    if not released:
        return
    yield from _reset(state)
    if state.sizes is not None and any(state.sizes[number - 1] is None for number in released):
        state.sizes = None  # LIST omitted the marked messages (RFC 1939 §5): ask again
    state.ahead.stop()
    others = [number for number in state.deleted if number not in released]
    state.deleted.clear()
    if others:
        _mark(state, others, (yield from ask_all(map(commands.dele, others))))


def _reset(state: MailboxState[M]) -> Flow[None]:
    """Remove all marks on the server."""
    try:
        yield from ask(commands.rset())
    except CommandError as refused:
        state.session.protocol.fail("the server refused RSET, so the session was ended; nothing was deleted")
        refused.usable = False
        raise


def _named(state: MailboxState[M]) -> str:
    """Return the marked messages by number and, if known, uid: at most ten of them."""
    uids = state.uids or (None,) * state.count
    names = [
        f"message {number}, uid {safe_text(uid)}" if (uid := uids[number - 1]) else f"message {number}"
        for number in itertools.islice(state.deleted, _NAMED)
    ]
    return "; ".join((*names, "...") if len(names) < len(state.deleted) else names)


def _pending(state: MailboxState[M]) -> str:
    count = len(state.deleted)
    return "1 deletion pending" if count == 1 else f"{count} deletions pending"


def commit(state: MailboxState[M]) -> Flow[None]:
    """Send QUIT. With deletions pending, a refusal or no reply is `CommitError`; with none, the reply does not matter.

    If the session ended before QUIT was sent, nothing was deleted: `ConnectionLost`. A read-only mailbox does not send
    QUIT after a RETR (or a DELE on its connection), as some servers then hide or delete what was retrieved.
    """
    # Q58 and Q63; Q65 without a reply.
    dispatcher = state.session.dispatcher
    if state.read_only and (dispatcher.retrieved or dispatcher.marked):
        return
    command = commands.quit()
    try:
        yield from ask(command)
    except ConcurrentUse:
        raise  # nothing was sent
    except MailboxError as error:
        if not state.deleted:
            return
        if state.session.protocol.last_sent is not command:
            raise ConnectionLost(
                f"the session ended before QUIT was sent, so none of its {len(state.deleted)} deletions was committed"
                f" ({_named(state)}); reopen and delete again ({error.problem})",
                response=error.response,
                code=error.code,
            ) from error
        refused = isinstance(error, CommandError)
        raise CommitError(
            f"the server {'refused' if refused else 'did not answer'} QUIT with"
            f" {_pending(state)}; open a new session to see which were applied",
            unconfirmed_numbers=state.deleted,
            unconfirmed=[state.uids[number - 1] if state.uids else None for number in state.deleted],
            response=error.response,
            code=error.code,
        ) from error


def roll_back(state: MailboxState[M]) -> Flow[None]:
    """Remove the marks and end the session; send QUIT only if nothing was marked or retrieved, where it is harmless."""
    dispatcher = state.session.dispatcher
    if state.deleted:
        yield from undelete(state, None)
    elif dispatcher.marks_pending:  # set through `inbox.connection`
        yield from _reset(state)
    if not (dispatcher.marked or dispatcher.retrieved):
        yield from commit(state)
