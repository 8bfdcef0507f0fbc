"""What a refusal within a session means: this command is missing, this message cannot be had, or ask again later."""

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
    """Return the mailbox of that server."""
    return driver.Mailbox(
        server.host, "me", "secret", port=server.port, security="none", **{"timeout": GENEROUS, **options}
    )


def sent(server: Server) -> tuple[str, ...]:
    """What was said after the login."""
    server.wait(GENEROUS)
    return server.sessions[0].commands[LOGIN:]


def test_uidl_refused_for_the_moment_is_temporary_and_asked_again(driver: Driver) -> None:
    """A poller that takes it for "this server has no UIDL" downloads everything again; uids come the next time."""
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


def test_delete_beside_a_uidl_refused_for_the_moment_learns_nothing(driver: Driver) -> None:
    """The message is marked, and UIDL is asked again when somebody needs it."""
    for text in (*FOR_NOW, *AMBIGUOUS):
        with (
            case(text),
            Server(MAILS, faults=[Fault.refuse("UIDL", text=text)]) as server,
            over(driver, server) as inbox,
        ):
            inbox[0].delete()
            assert inbox[1].uid


def test_only_a_server_without_uidl_has_none(driver: Driver) -> None:
    """Not listed, or words that say so: `NotSupported`, and nobody asks again."""
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


def test_a_fault_that_stays_is_neither(driver: Driver) -> None:
    """[SYS/PERM] is the operator's: not "no UIDL", and not worth trying again."""
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


def test_list_refused_for_the_moment_is_asked_again(driver: Driver) -> None:
    """The sizes come the next time; None is for servers without LIST, and bodies are had without sizes."""
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


def test_top_refused_for_the_moment_is_asked_again(driver: Driver) -> None:
    """No message is downloaded for its headers because the server was busy once; TOP is asked again."""
    for text in FOR_NOW:
        with case(text), Server(MAILS, faults=[Fault.refuse("TOP", nth=n, text=text) for n in (1, 2)]) as server:
            with over(driver, server) as inbox:
                for read in (lambda: inbox[0].subject, lambda: inbox[0].preview(1)):
                    with pytest.raises(CommandError) as caught:
                        read()
                    assert caught.value.retryable
                assert inbox[0].subject == "0"
            assert sent(server) == ("TOP 1 0", "TOP 1 1", "TOP 1 0", "QUIT")


def test_a_top_that_is_listed_and_refused_in_other_words_is_tried_again(driver: Driver) -> None:
    """This message is read by RETR; whether TOP works is asked again with the next."""
    for text in AMBIGUOUS:
        with case(text), Server(MAILS, faults=[Fault.refuse("TOP", text=text)]) as server:
            with over(driver, server) as inbox:
                assert [inbox[index].subject for index in (0, 2)] == ["0", "2"]
            assert sent(server) == ("TOP 1 0", "RETR 1", "TOP 3 0", "QUIT")
    with Server(MAILS, quirks=Quirk.TOP_REFUSED) as server:
        with over(driver, server) as inbox:
            assert [inbox[index].subject for index in (0, 2)] == ["0", "2"]
        assert sent(server) == ("TOP 1 0", "RETR 1", "RETR 3", "QUIT")


def test_throttling_within_a_session_is_retryable_and_says_so(driver: Driver) -> None:
    """A busy server is told from a message that cannot be had; the session goes on, and the next try succeeds."""
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


def test_a_message_that_cannot_be_had_is_just_that(driver: Driver) -> None:
    """Nothing that passes is read into words about the message."""
    for text in ("no such message", "message 1 has been deleted", "Can't get the letter", "message is locked", ""):
        with case(text), Server(MAILS, faults=[Fault.refuse("RETR", text=text)]) as server:
            with over(driver, server) as inbox, pytest.raises(MessageUnavailable) as caught:
                _ = inbox[0].raw
            assert not caught.value.retryable
