"""What a mailbox hands out of a pipeline, over both drivers: the right message's or an error (decision 7)."""

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
def test_a_reply_doubled_on_the_wire(driver: Driver, reading: str) -> None:
    """A reply sent twice, whichever it is, ends the session; the next one of that object reads all, one by one."""
    verb, read = READINGS[reading]
    for faulty, nth in ((verb, 1), (verb, 5), (verb, 8), (verb, 9), (verb, 72), (verb, 130), ("LIST", 2), ("LIST", 3)):
        with (
            case(faulty, nth),
            Server(MAILS, faults=[Fault.duplicate(faulty, nth, session=1)], lock=False) as server,
            driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox,
        ):
            with pytest.raises((ProtocolError, ConnectionLost)):
                assert read(inbox) == RIGHT
                inbox.keep_alive()  # what is doubled at the very end is met by the next command
            inbox.reopen()
            assert read(inbox) == RIGHT


@pytest.mark.threat(55)
@pytest.mark.parametrize("reading", READINGS)
def test_a_reply_lost_on_the_wire(driver: Driver, reading: str) -> None:
    """A reply that never comes is an error within the timeout; the next session of that object reads all."""
    verb, read = READINGS[reading]
    for nth in (8, 73):
        with (
            case(nth),
            Server(MAILS, faults=[Fault.replace(verb, nth, reply=b"", session=1)], lock=False) as server,
            driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox,
        ):
            hurry(inbox.connection)  # in this session alone
            with pytest.raises((Timeout, ProtocolError), match="the next session will not pipeline"):
                read(inbox)
            inbox.reopen()
            assert read(inbox) == RIGHT


@pytest.mark.threat(55)
def test_a_program_that_saves_and_then_deletes_loses_nothing(driver: Driver) -> None:
    """On a server that loses what is sent ahead, each mail is saved under its own uid, or is still there."""
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
def test_a_server_that_ends_the_session_on_a_pipeline(driver: Driver) -> None:
    """It is read to its end by the next session of that object."""
    with Server(MAILS, quirks=Quirk.HANGS_UP_ON_PIPELINE, lock=False) as server:
        for verb, read in READINGS.values():
            with case(verb), driver.Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox:
                with pytest.raises(ConnectionLost, match="the next session will not pipeline"):
                    read(inbox)
                inbox.reopen()
                assert read(inbox) == RIGHT


@pytest.mark.threat(55)
def test_messages_held_from_before_a_mismatch(driver: Driver) -> None:
    """After a mismatch messages still give what was proven, and nothing else."""
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
def test_a_command_after_a_fetch_left_early(driver: Driver) -> None:
    """What is asked for over a pipeline that was left early is right, or an error where a reply was doubled."""
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


def test_what_is_deleted_during_a_fetch_is_not_yielded(driver: Driver) -> None:
    """A message that is marked after it was asked for is left out; taken back, it reads as before."""
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
