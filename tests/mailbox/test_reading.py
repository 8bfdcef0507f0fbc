"""Whatever a mailbox reads in a pipeline belongs to the right message, or it is an error (decision 7); both drivers."""

from collections.abc import Callable
from typing import Any

import pytest

from pymailbox import ConnectionLost, MailboxError, ProtocolError, Timeout
from pymailbox.pop3 import commands
from pymailbox.testing import Fault, Quirk, Server
from tests import case
from tests.drivers import Driver
from tests.timing import GENEROUS, hurry

MAILS = [b"Subject: m%d\r\n\r\nbody%s\r\n" % (n, b"." * (n % 5)) for n in range(1, 141)]


def bodies(inbox: Any) -> list[tuple[int, str]]:
    return [(message.number, message.raw[:20].split(b"\r\n")[0].decode()) for message in inbox.fetch()]


def headers(inbox: Any) -> list[tuple[int, str]]:
    return [(message.number, f"Subject: {message.subject}") for message in inbox]


def pipeline(inbox: Any) -> list[tuple[int, str]]:
    results = inbox.connection.pipeline([commands.retr(n) for n in range(1, len(MAILS) + 1)])
    return [(n, result[:20].split(b"\r\n")[0].decode()) for n, result in enumerate(results, 1)]


READINGS: dict[str, tuple[str, Callable[[Any], list[tuple[int, str]]]]] = {
    "fetch": ("RETR", bodies),
    "headers": ("TOP", headers),
    "pipeline": ("RETR", pipeline),
}
RIGHT = [(n, f"Subject: m{n}") for n in range(1, len(MAILS) + 1)]


@pytest.mark.threat(55)
@pytest.mark.parametrize("reading", READINGS)
def test_a_doubled_reply_ends_the_session(driver: Driver, reading: str) -> None:
    """Whichever reply it is; the next session of the same object reads everything without pipelining."""
    verb, read = READINGS[reading]
    for faulty, nth in ((verb, 1), (verb, 5), (verb, 8), (verb, 9), (verb, 72), (verb, 130), ("LIST", 2), ("LIST", 3)):
        with (
            case(faulty, nth),
            Server(MAILS, faults=[Fault.duplicate(faulty, nth, session=1)], lock=False) as server,
            driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox,
        ):
            with pytest.raises((ProtocolError, ConnectionLost)):
                assert read(inbox) == RIGHT
                inbox.keep_alive()  # the next command finds a doubled last reply
            inbox.reopen()
            assert read(inbox) == RIGHT


@pytest.mark.threat(55)
@pytest.mark.parametrize("reading", READINGS)
def test_a_lost_reply_ends_the_session(driver: Driver, reading: str) -> None:
    """It is an error within the timeout; the next session of the same object reads everything."""
    verb, read = READINGS[reading]
    for nth in (8, 73):
        with (
            case(nth),
            Server(MAILS, faults=[Fault.replace(verb, nth, reply=b"", session=1)], lock=False) as server,
            driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox,
        ):
            hurry(inbox.connection)  # only in this session
            with pytest.raises((Timeout, ProtocolError), match="the next session will not pipeline"):
                read(inbox)
            inbox.reopen()
            assert read(inbox) == RIGHT


@pytest.mark.threat(55)
def test_a_program_that_saves_and_then_deletes_loses_nothing(driver: Driver) -> None:
    """If the server drops pipelined commands, each message is saved under its own uid or is still on the server."""
    saved: dict[str, bytes] = {}
    with Server(MAILS, quirks=Quirk.DROPS_PIPELINED) as server:
        inbox = driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS)
        for session in range(3):
            try:
                with inbox:
                    if session == 0:
                        hurry(inbox.connection)
                    inbox.delete([message for message in inbox if message.uid in saved])
                    for message in inbox.fetch(inbox.new(saved)):
                        assert message.uid is not None
                        saved[message.uid] = message.raw
            except MailboxError:
                continue
        server.wait(GENEROUS)
        assert sorted(saved.values()) == sorted(MAILS)
        assert server.messages == ()


@pytest.mark.threat(55)
def test_a_server_that_hangs_up_on_a_pipeline_is_read_by_the_next_session(driver: Driver) -> None:
    """The next session of the same object reads everything without pipelining."""
    with Server(MAILS, quirks=Quirk.HANGS_UP_ON_PIPELINE, lock=False) as server:
        for verb, read in READINGS.values():
            with case(verb), driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox:
                with pytest.raises(ConnectionLost, match="the next session will not pipeline"):
                    read(inbox)
                inbox.reopen()
                assert read(inbox) == RIGHT


@pytest.mark.threat(55)
def test_after_a_mismatch_only_verified_bodies_are_readable(driver: Driver) -> None:
    """Messages fetched before it keep their verified bodies; all others are `ConnectionLost`."""
    faults = [Fault.duplicate("RETR", 100)]
    with (
        Server(MAILS, faults=faults) as server,
        driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox,
    ):
        messages = list(inbox)
        with pytest.raises(ProtocolError):
            list(inbox.fetch(messages))
        given = 0
        for message, mail in zip(messages, MAILS, strict=True):
            try:
                assert message.raw == mail
                given += 1
            except ConnectionLost:
                pass
        assert 8 <= given < 100


@pytest.mark.threat(53)
def test_commands_after_a_fetch_left_early_are_correct(driver: Driver) -> None:
    """Their results are right, or an error if a reply in the abandoned pipeline was doubled."""
    for nth in (None, 20, 40, 72):
        faults = [Fault.duplicate("RETR", nth)] if nth else []
        with (
            case(nth),
            Server(MAILS, faults=faults) as server,
            driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS, read_only=True) as inbox,
        ):
            try:
                for message in inbox.fetch():
                    assert message.raw == MAILS[message.number - 1]
                    if message.number == 9:
                        break
                assert inbox[135].raw == MAILS[135]
                assert inbox[136].subject == "m137"
            except (ProtocolError, ConnectionLost):
                assert nth


def test_a_message_deleted_during_a_fetch_is_not_yielded(driver: Driver) -> None:
    """It is skipped although its RETR was sent; after undelete() it can be read as before."""
    with Server(MAILS) as server, driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox:
        numbers = []
        for message in inbox.fetch():
            numbers.append(message.number)
            if message.number == 5:
                inbox.delete(inbox[10:50])
        assert numbers == [*range(1, 11), *range(51, len(MAILS) + 1)]
        inbox.undelete()
        assert [message.raw for message in inbox[10:20]] == MAILS[10:20]
        assert inbox[30].subject == "m31"
        inbox.rollback()
