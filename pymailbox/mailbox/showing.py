"""Showing: what a notebook shows of a mailbox and its messages, from what is known. Pure, shared by both mailboxes."""

from typing import TYPE_CHECKING, Any, TypeVar

from pymailbox.display import first_and_last, format_size, local_time
from pymailbox.mailbox import reading
from pymailbox.mailbox.open_mailbox import AbstractMessage, OpenMailbox
from pymailbox.pop3.flows import Flow

if TYPE_CHECKING:
    from datetime import datetime

    from pymailbox.notebook import Card

__all__ = ["ask_for_card", "card_of", "listing_of"]

_SHOWN = 500  # characters of a sender or a subject

E = TypeVar("E", bound=AbstractMessage[Any])


def ask_for_card(opened: OpenMailbox[E, Any], message: E) -> Flow[str]:
    """Ask for a message that is to be shown; if it is too large to download just for that, for its headers.

    Return why the body is missing; "" if it is not.
    """
    if opened.raw_of(message) is not None:
        return ""
    yield from reading.size_hints(opened.state)
    size, window = opened.state.listed_size(message.number), opened.state.session.limits.window
    if size is None or size <= window:
        yield from opened.ask_raw(message)
        return ""
    if opened.cached_headers(message) is None:
        yield from opened.ask_headers(message)
    return (
        f"the message has {size:,} bytes, more than Limits.window ({window:,}), so it is not downloaded just to be"
        " shown; its content.show() shows it anyway"
    )


def card_of(opened: OpenMailbox[E, Any], message: E, note: str, *, remote: bool = False) -> "Card":
    """Return the card of a message from what is known of it, and a note."""
    from pymailbox.content.content import card

    raw = opened.raw_of(message)
    content = None if raw is None else opened.content_of(message, raw)
    title = f"Message {message.number}" + (", marked as deleted" if message.deleted else "")
    notes = [f"The text is missing: {note}"] if note else []
    return card(
        opened.known_headers(message),
        content,
        repr(message),
        title=title,
        notes=notes,
        outline=_outline(opened, message.number),
        remote=remote,
    )


def _outline(opened: OpenMailbox[Any, Any], number: int) -> "tuple[datetime | None, str, str]":
    """Return date, sender and subject of a message, as far as they are known."""
    headers = opened.state.outline.get(number)
    if headers is None:
        return None, "", ""
    return headers.date, str(headers.from_ or "")[:_SHOWN], headers.subject[:_SHOWN]


def listing_of(opened: OpenMailbox[Any, Any], title: str) -> str:
    """Return the table of the mailbox for a notebook, from what is known; asks nothing."""
    from pymailbox.notebook import listing

    state, rows = opened.state, []
    numbers = first_and_last(state.count)
    for number in numbers:
        date, sender, subject = _outline(opened, number)
        row = (number, local_time(date), sender, subject, state.listed_size(number), number in state.deleted)
        rows.append(row)
    size = "" if state.total_size is None else f", {format_size(state.total_size)}"
    messages = "1 message" if state.count == 1 else f"{state.count:,} messages"
    marks = f", {len(state.deleted):,} marked as deleted" if state.deleted else ""
    notes = []
    failure = state.session.protocol.failure
    if failure is not None:
        notes.append(f"The session has ended: {failure}")
    elif any(number not in state.outline for number in numbers):
        notes.append("Blank: not read yet. Reading a message, or to_records(), fills its row.")
    return listing(f"{title}: {messages}{size}{marks}", rows, state.count, notes)
