"""Transaction: the flows that open, change and end a session. Pure, shared by both mailboxes.

`delete` sends DELE at once, `undelete` is RSET and DELE again for the others, `commit` is QUIT, `roll_back` takes
back the marks and leaves. Without QUIT a server deletes nothing: that is the safe side, and every doubt ends there.
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

_NAMED = 10  # deletions that an error names


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
    """Greeting, TLS, capabilities, UTF8, login, capabilities again, STAT."""
    from pymailbox.pop3 import login  # the mechanisms are many: imported when somebody logs in

    yield from flows.establish(session, security)
    if utf8:
        yield from flows.ask_utf8(session)
    yield from login.login(session, user, password, auth)
    state = yield from ask_state(session, read_only=read_only)
    state.top_works = None if top else False
    return state


def ask_state(session: Session, *, read_only: bool) -> Flow[MailboxState[Any]]:
    """Ask what the server can do now, and what the mailbox holds.

    One after the other: CAPA may take PIPELINING back, and a server that only lists it must not stall here.
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
            f"the mailbox has {stat.count} messages, more than Limits.listing_entries", field="listing_entries"
        )
    return MailboxState(session, stat.count, stat.size, read_only)


def delete(state: MailboxState[M], numbers: Sequence[int]) -> Flow[None]:
    """Mark messages: DELE for each that is not marked; the first time after UIDL and LIST, which leave out the marked.

    All replies are read; then the first refusal is raised, with `.refused` by number.
    """
    if state.read_only:
        raise ValueError("this mailbox was opened with read_only=True: nothing can be deleted through it")
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
    """Take back marks: RSET, and only after its +OK the DELEs of the others again; None takes back all.

    A refused RSET leaves the marks in doubt: the session is over, without QUIT.
    """
    state.refusals.clear()  # what a message was refused for may be taken back
    released = set(state.deleted if numbers is None else numbers) & state.deleted.keys()
    if not released:
        return
    yield from _reset(state)
    if state.sizes is not None and any(state.sizes[number - 1] is None for number in released):
        state.sizes = None  # LIST leaves out what is marked (RFC 1939 §5): ask again
    state.ahead.stop()
    others = [number for number in state.deleted if number not in released]
    state.deleted.clear()
    if others:
        _mark(state, others, (yield from ask_all(map(commands.dele, others))))


def _reset(state: MailboxState[M]) -> Flow[None]:
    """Take back all marks at the server."""
    try:
        yield from ask(commands.rset())
    except CommandError as refused:
        state.session.protocol.fail("RSET was refused, so the marks are in doubt; nothing was deleted")
        refused.usable = False
        raise


def _named(state: MailboxState[M]) -> str:
    """Return the messages that are marked, by number and, where it is known, uid; a few of very many."""
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
    """QUIT. With deletions pending, a refusal or silence is `CommitError`; without, nobody needs the answer.

    Where QUIT was not even sent nothing happened: `ConnectionLost`. A mailbox that only reads leaves without QUIT after
    a RETR or, sent on its connection, a DELE: some servers hide, or delete, what was retrieved once QUIT is said.
    """
    # Q58 and Q63; Q65 without a reply.
    dispatcher = state.session.dispatcher
    if state.read_only and (dispatcher.retrieved or dispatcher.marked):
        return
    command = commands.quit()
    try:
        yield from ask(command)
    except ConcurrentUse:
        raise  # nothing was said
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
    """Take back the marks and leave; QUIT is said only where it can change nothing: nothing was marked or retrieved."""
    dispatcher = state.session.dispatcher
    if state.deleted:
        yield from undelete(state, None)
    elif dispatcher.marks_pending:  # made on the connection below
        yield from _reset(state)
    if not (dispatcher.marked or dispatcher.retrieved):
        yield from commit(state)
