"""A refusal is understood: the command is missing, the message is unavailable, or the server refuses for now."""

from collections.abc import Callable
from typing import Any

import pytest

from pymailbox import CommandError, MessageUnavailable, NotSupported, PermanentFailure, TemporaryFailure
from pymailbox.testing import Fault, Quirk, Server
from tests import case
from tests.drivers import Driver
from tests.timing import GENEROUS

MAILS = [b"Subject: %d\r\n\r\nbody %d\r\n" % (number, number) for number in range(3)]
LOGIN = 5  # CAPA, UTF8, AUTH, CAPA, STAT

FOR_NOW = (
    "internal error, try again later",
    "[SYS/TEMP] busy",
    "[IN-USE] mailbox busy",
    "[LOGIN-DELAY] not so fast",
    "Server Unavailable. 21",
    "mailbox is locked by another session",
    "Exceeded the login limit",
    "Account exceeded command or bandwidth limits",
    "Too many requests",
    "Temporarily unable to process command",
)
AMBIGUOUS = ("Unable to process command", "", "refused", "[X-OWN] no")
MISSING = (
    "unknown command",
    "Unrecognized command",
    "UIDL not implemented",
    "command not supported",
    "Invalid command",
    "syntax error",
    "UIDL is disabled",
)


def over(driver: Driver, server: Server, **options: Any) -> Any:
    """Return the mailbox of this server."""
    return driver.Mailbox(
        server.host, "me", "secret", port=server.port, security="none", **{"timeout": GENEROUS, **options}
    )


def sent(server: Server) -> tuple[str, ...]:
    """Return the commands after the login."""
    server.wait(GENEROUS)
    return server.sessions[0].commands[LOGIN:]


def test_uidl_refused_for_now_is_temporary_and_asked_again(driver: Driver) -> None:
    """A poller that mistook it for "this server has no UIDL" would download everything again."""
    for text in FOR_NOW + AMBIGUOUS:
        faults = [Fault.refuse("UIDL", nth=n, text=text) for n in range(1, 5)]
        with case(text), Server(MAILS, faults=faults) as server, over(driver, server) as inbox:
            asked: tuple[Callable[[], Any], ...] = (
                lambda: inbox.uids,
                lambda: inbox.new({"a"}),
                lambda: inbox.by_uid("a"),
                lambda: inbox[0].uid,
            )
            for ask in asked:
                with pytest.raises(TemporaryFailure) as caught:
                    ask()
                assert caught.value.retryable
                assert caught.value.usable
                assert (caught.value.response or "") == text
            assert len(inbox.new(set())) == 3
            assert None not in inbox.uids


def test_delete_with_uidl_refused_for_now_marks_the_message(driver: Driver) -> None:
    """UIDL is asked again when uids are needed."""
    for text in (*FOR_NOW, *AMBIGUOUS):
        with (
            case(text),
            Server(MAILS, faults=[Fault.refuse("UIDL", text=text)]) as server,
            over(driver, server) as inbox,
        ):
            inbox[0].delete()
            assert inbox[1].uid


def test_only_a_server_without_uidl_has_no_uids(driver: Driver) -> None:
    """If UIDL is not advertised, or the reply says that it is unknown: `NotSupported`, and it is not asked again."""
    for text in MISSING:
        with case(text), Server(MAILS, faults=[Fault.refuse("UIDL", nth=None, text=text)]) as server:
            with over(driver, server) as inbox:
                for _ in range(2):
                    with pytest.raises(NotSupported):
                        _ = inbox.uids
            assert sent(server) == ("UIDL", "QUIT")
    for text in ("refused", "", "Unable to process command"):
        with (
            case(text),
            Server(MAILS, uidl=False, faults=[Fault.refuse("UIDL", text=text)]) as server,
            over(driver, server) as inbox,
            pytest.raises(NotSupported),
        ):
            _ = inbox.uids
    for options in ({"quirks": Quirk.UIDL_REFUSED}, {"uidl": False}):
        with Server(MAILS, **options) as server, over(driver, server) as inbox, pytest.raises(NotSupported):  # type: ignore[arg-type]
            _ = inbox.uids


def test_a_permanent_failure_is_neither_missing_nor_temporary(driver: Driver) -> None:
    """[SYS/PERM] is for the operator to fix: it does not mean "no UIDL", and it is not retryable."""
    for command, ask in (
        ("UIDL", lambda inbox: inbox.uids),
        ("LIST", lambda inbox: inbox[0].size),
    ):
        faults = [Fault.refuse(command, text="[SYS/PERM] your mailbox is damaged")]
        with case(command), Server(MAILS, faults=faults) as server, over(driver, server) as inbox:
            with pytest.raises(PermanentFailure) as caught:
                ask(inbox)
            assert not caught.value.retryable
            ask(inbox)


def test_list_refused_for_now_is_asked_again(driver: Driver) -> None:
    """Sizes are None only for servers without LIST; bodies can be read without sizes."""
    for text in FOR_NOW + AMBIGUOUS:
        with (
            case(text),
            Server(MAILS, faults=[Fault.refuse("LIST", nth=n, text=text) for n in (1, 2)]) as server,
            over(driver, server) as inbox,
        ):
            with pytest.raises(TemporaryFailure) as caught:
                _ = inbox[0].size
            assert caught.value.retryable
            assert [message.raw for message in inbox.fetch()] == MAILS
            assert inbox[0].size == len(MAILS[0])
    with Server(MAILS, faults=[Fault.refuse("LIST", nth=None, text="unknown command")]) as server:
        with over(driver, server) as inbox:
            assert [message.size for message in inbox] == [None] * 3
        assert sent(server) == ("LIST", "QUIT")


def test_top_refused_for_now_is_asked_again(driver: Driver) -> None:
    """A server that was busy once does not make every message be downloaded for its headers."""
    for text in FOR_NOW:
        with case(text), Server(MAILS, faults=[Fault.refuse("TOP", nth=n, text=text) for n in (1, 2)]) as server:
            with over(driver, server) as inbox:
                for read in (lambda: inbox[0].subject, lambda: inbox[0].preview(1)):
                    with pytest.raises(CommandError) as caught:
                        read()
                    assert caught.value.retryable
                assert inbox[0].subject == "0"
            assert sent(server) == ("TOP 1 0", "TOP 1 1", "TOP 1 0", "QUIT")


def test_an_advertised_top_that_is_refused_without_a_reason_is_tried_again(driver: Driver) -> None:
    """The message is read by RETR, and TOP is tried again for the next one."""
    for text in AMBIGUOUS:
        with case(text), Server(MAILS, faults=[Fault.refuse("TOP", text=text)]) as server:
            with over(driver, server) as inbox:
                assert [inbox[index].subject for index in (0, 2)] == ["0", "2"]
            assert sent(server) == ("TOP 1 0", "RETR 1", "TOP 3 0", "QUIT")
    with Server(MAILS, quirks=Quirk.TOP_REFUSED) as server:
        with over(driver, server) as inbox:
            assert [inbox[index].subject for index in (0, 2)] == ["0", "2"]
        assert sent(server) == ("TOP 1 0", "RETR 1", "RETR 3", "QUIT")


def test_throttling_within_a_session_is_retryable(driver: Driver) -> None:
    """A busy server is not mistaken for an unavailable message; the session stays usable, and a retry succeeds."""
    for command in ("RETR", "TOP", "DELE"):
        for text in FOR_NOW:
            with (
                case(command, text),
                Server(MAILS, faults=[Fault.refuse(command, text=text)]) as server,
                over(driver, server) as inbox,
            ):
                read = {
                    "RETR": lambda: inbox[0].raw,
                    "TOP": lambda: inbox[0].subject,
                    "DELE": lambda: inbox[0].delete(),
                }[command]
                with pytest.raises(CommandError) as caught:
                    read()
                error = caught.value
                assert (error.retryable, error.usable) == (True, True)
                assert not isinstance(error, MessageUnavailable)
                assert "try again" in str(error)
                read()


def test_an_unavailable_message_is_not_retryable(driver: Driver) -> None:
    """Replies about the message are not mistaken for a temporary failure."""
    for text in ("no such message", "message 1 has been deleted", "Can't get the letter", "message is locked", ""):
        with case(text), Server(MAILS, faults=[Fault.refuse("RETR", text=text)]) as server:
            with over(driver, server) as inbox, pytest.raises(MessageUnavailable) as caught:
                _ = inbox[0].raw
            assert not caught.value.retryable
