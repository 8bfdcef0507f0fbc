"""Dispatcher: every result reaches the batch that waits for it, within the window (decisions 7 and 11). No I/O."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pymailbox.errors import CommandError, ConnectionLost, LimitExceeded, ProtocolError, Timeout
from pymailbox.pop3 import commands
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Command
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.session import Session
from tests.conversations import stuffed


def greeted(limits: Limits | None = None, *, listed: bool = True, **options: Any) -> Session:
    """Return a session after its greeting."""
    session = Session("host", limits or Limits(), **options)
    greeting = session.dispatcher.single(commands.greeting())
    feed(session, greeting, b"+OK\r\n")
    session.learn(Capabilities({"PIPELINING": ()} if listed else {}))
    return session


def feed(session: Session, wanted: Batch[Any], *pieces: bytes) -> None:
    for piece in pieces:
        session.protocol.receive_data(piece)
        while (arrived := session.dispatcher.next_chunk(wanted)) is not None:
            owner, chunk = arrived
            if owner.sink is not None:
                owner.sink(chunk.data)


def fill(session: Session, batch: Batch[Any]) -> list[bytes]:
    """Let the batch send as much as it may; return the lines."""
    session.dispatcher.take(batch)
    session.dispatcher.submit(batch)
    return session.protocol.data_to_send().split(b"\r\n")[:-1]


def answers(lines: Iterable[bytes]) -> bytes:
    """Answer commands like a server with empty messages."""
    return b"".join(
        b"+OK %s 0\r\n" % line[5:] if line[:5] == b"LIST " else b"+OK\r\n.\r\n" if line[:4] == b"RETR" else b"+OK\r\n"
        for line in lines
    )


def retrs(numbers: Iterable[int], expected: int = 10) -> Iterator[Command[bytes]]:
    return (commands.retr(number, expected=expected) for number in numbers)


def test_a_single_command_gets_its_result() -> None:
    """One command yields one result and nothing more."""
    session = greeted()
    batch = session.dispatcher.single(commands.noop())
    assert session.protocol.data_to_send() == b"NOOP\r\n"
    feed(session, batch, b"+OK done\r\n")
    assert list(batch.results) == ["done"]
    assert batch.complete


@pytest.mark.threat(54)
def test_results_in_order_with_refusals_as_values() -> None:
    """The nth result belongs to the nth command; a refusal is a value and fails only its own command."""
    session = greeted()
    batch = Batch(iter(retrs((1, 2, 3))))
    assert fill(session, batch) == [b"RETR 1", b"RETR 2", b"RETR 3"]
    feed(session, batch, b"+OK\r\none\r\n.\r\n-ERR no\r\n+OK\r\nth", b"ree\r\n.\r\n")
    assert not batch.results  # no result is released before it is verified
    assert session.protocol.data_to_send() == b"LIST 1\r\n"
    feed(session, batch, b"+OK 1 5\r\n")
    first, second, third = batch.results
    assert (first, third) == (b"one\r\n", b"three\r\n")
    assert isinstance(second, CommandError)
    assert batch.complete


def test_the_window_is_filled_in_one_go() -> None:
    """As many commands are sent at once as the window has room for."""
    session = greeted()
    batch = Batch(iter(commands.noop() for _ in range(1000)))
    assert len(fill(session, batch)) == 64
    assert fill(session, batch) == []
    feed(session, batch, b"-ERR\r\n" * 10)
    assert len(fill(session, batch)) == 20  # ten were answered, and the window grew by ten
    assert batch.pending == 74


def test_the_window_is_bounded_in_bytes() -> None:
    """Replies in flight are expected to stay below `Limits.window`; a command that does not fit waits, none is lost."""
    session = greeted(Limits(window=1000))
    batch = Batch(iter(retrs(range(1, 100), expected=300)))
    sent = fill(session, batch)
    assert len(sent) == 3
    retrieved: list[bytes] = []
    while not batch.complete:
        retrieved += [line for line in sent if line.startswith(b"RETR")]
        feed(session, batch, answers(sent))
        sent = session.protocol.data_to_send().split(b"\r\n")[:-1] or fill(session, batch)
        assert session.protocol._flight <= 1000
    assert retrieved == [b"RETR %d" % number for number in range(1, 100)]
    assert len(batch.results) == 99


def test_a_reply_larger_than_the_window_goes_alone() -> None:
    """A message larger than the window is requested when nothing else is in flight."""
    session = greeted(Limits(window=1000))
    batch = Batch(iter(commands.retr(n, expected=size) for n, size in ((1, 10), (2, 5000), (3, 10))))
    assert fill(session, batch) == [b"RETR 1"]
    feed(session, batch, b"-ERR\r\n")
    assert fill(session, batch) == [b"RETR 2"]
    feed(session, batch, b"-ERR\r\n")
    assert fill(session, batch) == [b"RETR 3"]


def test_without_pipelining_one_command_is_sent_at_a_time() -> None:
    """Without PIPELINING, the next command is taken when the previous one is answered."""
    session = greeted(pipelining=False)
    taken: list[int] = []

    def wanted() -> Iterator[Command[bytes]]:
        for number in (1, 2, 3):
            taken.append(number)
            yield commands.retr(number)

    batch = Batch(iter(wanted()))
    for number in (1, 2, 3):
        assert fill(session, batch) == [b"RETR %d" % number]
        assert fill(session, batch) == []
        assert taken[-1] == number
        feed(session, batch, b"-ERR\r\n")
    assert fill(session, batch) == []
    assert batch.complete


def test_pipelining_can_be_switched_off() -> None:
    """`pipelining=False` never pipelines, and PIPELINING is not used unless the server advertises it."""
    assert not greeted(pipelining=False).protocol.pipelining
    assert not greeted(listed=False, pipelining=True).protocol.pipelining
    assert greeted(pipelining=True).protocol.pipelining


def test_pass_waits_for_user_and_stat_for_pass() -> None:
    """PASS waits until USER is answered, and STAT until PASS is."""
    session = greeted()
    batch = Batch(iter([commands.user("me"), commands.pass_("x"), commands.stat(), commands.noop()]))
    for lines, replies in (
        ([b"USER me"], b"+OK\r\n"),
        ([b"PASS x"], b"+OK\r\n"),
        ([b"STAT", b"NOOP"], b"+OK 0 0\r\n+OK\r\n"),
    ):
        assert fill(session, batch) == lines
        feed(session, batch, replies)
    assert list(batch.results) == ["", "", commands.Stat(0, 0), ""]


def test_depth_bounds_what_is_in_flight() -> None:
    """`depth` limits a batch to that many commands in flight, and can be raised."""
    session = greeted()
    batch = Batch(iter(retrs(range(1, 100))), depth=5)
    assert len(fill(session, batch)) == 5
    assert batch.depth
    batch.depth += 2
    assert len(fill(session, batch)) == 2


def test_a_command_waits_for_the_batch_before_it() -> None:
    """A command given while a batch is in flight waits until that is verified; each gets its own results."""
    session = greeted()
    batch = Batch(iter(retrs((1, 2))))
    fill(session, batch)
    single = session.dispatcher.single(commands.noop())
    session.protocol.data_to_send()
    feed(session, single, b"+OK\r\none\r\n.\r\n+OK\r\ntwo\r\n.\r\n")
    assert session.protocol.data_to_send() == b"LIST 1\r\n"
    feed(session, single, b"+OK 1 5\r\n")
    assert session.protocol.data_to_send() == b"NOOP\r\n"
    feed(session, single, b"+OK mine\r\n")
    assert list(single.results) == ["mine"]
    assert list(batch.results) == [b"one\r\n", b"two\r\n"]


def test_a_batch_with_nothing_in_flight_may_queue_one_command() -> None:
    """However full the window is, a batch with nothing in flight may queue one command; it would wait forever."""
    session = greeted(Limits(window=100))
    first, second = Batch(iter(retrs(range(1, 9), expected=100))), Batch(iter(retrs(range(20, 29), expected=100)))
    assert fill(session, first) == [b"RETR 1"]
    assert fill(session, second) == []
    feed(session, second, b"-ERR\r\n")
    assert session.protocol.data_to_send() == b"RETR 20\r\n"
    assert len(first.results) == 1


def test_the_callers_iterator_may_raise() -> None:
    """An error from the iterator is passed on; commands taken before it are sent later."""

    def wanted() -> Iterator[Command[bytes]]:
        yield commands.retr(1)
        raise KeyError("from the caller")

    session = greeted()
    batch = Batch(iter(wanted()))
    with pytest.raises(KeyError):
        session.dispatcher.take(batch)
    assert fill(session, batch) == [b"RETR 1"]


# --- abandoned batches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_replies_to_an_abandoned_batch_are_dropped(size: int) -> None:
    """After a batch is abandoned, the next command reads the replies in flight, keeps none, and gets its own."""
    session = greeted()
    batch = Batch(iter(retrs(range(1, 1000))))
    sent = len(fill(session, batch))
    batch.abandoned = True
    single = session.dispatcher.single(commands.noop())
    wire = (b"+OK\r\n" + stuffed(b".body\r\n" * 20)) * (sent - 1) + b"-ERR\r\n"
    assert session.protocol.data_to_send() == b""  # it waits
    feed(session, single, *(wire[i : i + size] for i in range(0, len(wire), size)))
    assert session.protocol.data_to_send() == b"LIST 1\r\n"
    feed(session, single, b"+OK 1 9\r\n")
    assert session.protocol.data_to_send() == b"NOOP\r\n"
    feed(session, single, b"+OK mine\r\n")
    assert list(single.results) == ["mine"]
    assert not batch.results


def test_replies_to_an_abandoned_batch_are_bounded_by_the_window() -> None:
    """More than `Limits.window` for an abandoned batch ends the session, and less is not kept in memory."""
    session = greeted(Limits(window=10_000))
    batch = Batch(iter(retrs((1, 2, 3))))
    fill(session, batch)
    batch.abandoned = True
    single = session.dispatcher.single(commands.noop())
    feed(session, single, b"+OK\r\n", *[b"x" * 1000] * 9)
    assert not session.protocol._pieces.size
    with pytest.raises(ConnectionLost, match=r"Limits\.window"):
        feed(session, single, *[b"x" * 1000] * 2)
    with pytest.raises(ConnectionLost):
        session.dispatcher.single(commands.noop())


def test_the_rest_of_an_abandoned_body_is_dropped() -> None:
    """If a batch is abandoned in the middle of a body, that body is dropped too."""
    session = greeted(Limits(window=10_000))
    batch = Batch(iter(retrs((1,))))
    fill(session, batch)
    feed(session, batch, b"+OK\r\nfirst half\r\n")
    batch.abandoned = True
    single = session.dispatcher.single(commands.noop())
    feed(session, single, b"second half\r\n.\r\n")
    assert session.protocol.data_to_send() == b"NOOP\r\n"
    feed(session, single, b"+OK mine\r\n")
    assert list(single.results) == ["mine"]
    assert not batch.results


def test_replies_kept_for_another_batch_are_bounded() -> None:
    """Replies for a batch that is still wanted are kept, up to `Limits.message` in total."""
    session = greeted(Limits(message=10_000))
    batch = Batch(iter(retrs(range(1, 6))))
    fill(session, batch)
    single = session.dispatcher.single(commands.noop())
    reply = b"+OK\r\n" + b"x" * 4000 + b"\r\n.\r\n"
    feed(session, single, reply, reply)
    with pytest.raises(LimitExceeded) as caught:
        feed(session, single, reply)
    assert caught.value.field == "message"


def test_commands_of_an_abandoned_batch_are_not_sent() -> None:
    """Commands not sent when their batch is abandoned are never sent, because RETR and DELE leave traces."""
    session = greeted(Limits(window=1000))
    batch = Batch(iter(commands.dele(number) for number in range(1, 100)))
    session.dispatcher.take(batch)
    session.dispatcher.submit(batch)
    sent = session.protocol.data_to_send().count(b"\r\n")
    batch.abandoned = True
    single = session.dispatcher.single(commands.noop())
    out = session.protocol.data_to_send()
    for _ in range(sent):
        feed(session, single, b"+OK\r\n")
        out += session.protocol.data_to_send()
    assert out == b"NOOP\r\n"


def test_a_stream_that_nobody_wants_any_more_is_not_requested_again() -> None:
    """A stream that begins with +OK is requested again, to verify it, but not after its batch is abandoned."""
    session = greeted()
    batch = Batch(iter([commands.stream(1)]))
    assert fill(session, batch) == [b"RETR 1"]
    feed(session, batch, b"+OK\r\n+OK\r\n")
    batch.abandoned = True
    single = session.dispatcher.single(commands.noop())
    feed(session, single, b"second half\r\n.\r\n")
    assert session.protocol.data_to_send() == b"NOOP\r\n"
    feed(session, single, b"+OK mine\r\n")
    assert list(single.results) == ["mine"]


# --- ending the session ---------------------------------------------------------------------------------------------------------


def test_a_reply_that_does_not_parse_ends_the_session() -> None:
    """An invalid reply ends the session (decision 5)."""
    session = greeted()
    batch = session.dispatcher.single(commands.stat())
    session.protocol.data_to_send()
    with pytest.raises(ProtocolError):
        feed(session, batch, b"+OK many\r\n")
    with pytest.raises(ConnectionLost):
        session.dispatcher.single(commands.noop())


def test_a_stall_with_several_in_flight_ends_pipelining() -> None:
    """After a pipeline stalls, later connections of the same object do not pipeline (decision 7)."""
    session = greeted()
    fill(session, Batch(iter(retrs(range(1, 10)))))
    session.dispatcher.end(Timeout("silence"))
    assert "DROPS_PIPELINED" in session.quirks
    session.begin(secure=False, loopback=True)
    assert "DROPS_PIPELINED" in session.quirks
    greeting = session.dispatcher.single(commands.greeting())
    feed(session, greeting, b"+OK\r\n")
    session.learn(Capabilities({"PIPELINING": ()}))
    assert not session.protocol.pipelining


def test_a_stall_after_the_first_reply_ends_pipelining() -> None:
    """If the second of two commands sent together was lost, pipelining is to blame, although one reply is due."""
    session = greeted()
    batch = Batch(iter(retrs((1, 2))))
    fill(session, batch)
    feed(session, batch, b"-ERR\r\n")
    session.dispatcher.end(Timeout("silence"))
    assert not session.may_pipeline


def test_a_stall_with_one_in_flight_does_not_end_pipelining() -> None:
    """Silence after a single command says nothing about pipelining, even after a pipeline that succeeded."""
    session = greeted()
    batch = Batch(iter(retrs((1, 2))))
    fill(session, batch)
    feed(session, batch, answers([b"RETR 1", b"RETR 2"]))
    feed(session, batch, answers(session.protocol.data_to_send().split(b"\r\n")[:-1]))
    assert len(batch.results) == 2
    session.dispatcher.single(commands.noop())
    session.protocol.data_to_send()
    session.dispatcher.end(Timeout("silence"))
    assert session.may_pipeline
    assert not session.quirks


def test_a_close_on_the_first_pipeline_ends_pipelining() -> None:
    """A server that closes on its first pipeline is not pipelined again; a later close is just a lost connection (Q14)."""
    session = greeted()
    batch = Batch(iter(retrs(range(1, 200))))
    fill(session, batch)
    feed(session, batch, b"-ERR\r\n")
    hang_up(session, batch)
    assert "HANGS_UP_ON_PIPELINE" in session.quirks
    assert not session.may_pipeline

    session = greeted()
    batch = Batch(iter(retrs(range(1, 2000))))
    sent = fill(session, batch)
    for _ in range(4):
        feed(session, batch, answers(sent))
        sent = session.protocol.data_to_send().split(b"\r\n")[:-1] or fill(session, batch)
    assert len(sent) > 64
    hang_up(session, batch)
    assert session.may_pipeline


def test_a_close_on_many_commands_or_on_a_checkpoint_ends_pipelining() -> None:
    """A server that answers a first burst and then closes or resets the connection is not pipelined again."""
    for hung_up in (hang_up, reset):
        session = greeted()
        batch = Batch(iter(retrs(range(1, 2000))))
        feed(session, batch, answers(fill(session, batch)))
        assert session.protocol.data_to_send().startswith(b"LIST ")
        hung_up(session, batch)
        assert not session.may_pipeline

        session = greeted()
        batch = Batch(iter(retrs(range(1, 2000))))
        for _ in range(2):
            feed(session, batch, answers(fill(session, batch) or session.protocol.data_to_send().split(b"\r\n")[:-1]))
        assert len(fill(session, batch)) > 64
        hung_up(session, batch)
        assert "HANGS_UP_ON_PIPELINE" in session.quirks


def test_a_session_that_was_over_does_not_end_pipelining() -> None:
    """A session that we closed with replies due, or that broke earlier, says nothing about the server's pipelining."""
    for reason in ("the connection was closed", "the connection to host broke"):
        session = greeted()
        fill(session, Batch(iter(retrs(range(1, 10)))))
        session.protocol.fail(reason)
        with pytest.raises(ConnectionLost) as caught:
            session.dispatcher.single(commands.noop())
        session.dispatcher.end(caught.value)
        assert session.may_pipeline
        assert not session.quirks


def reset(session: Session, _: Batch[Any]) -> None:
    """Reset the connection, as the driver sees it."""
    error = ConnectionLost("the connection broke")
    error.__cause__ = ConnectionResetError()
    session.dispatcher.end(error)


def hang_up(session: Session, batch: Batch[Any]) -> None:
    """Close the server's side, as the driver sees it."""
    session.protocol.receive_eof()
    with pytest.raises(ConnectionLost) as caught:
        session.dispatcher.next_chunk(batch)
    session.dispatcher.end(caught.value)


def test_a_fresh_connection_keeps_only_the_quirks() -> None:
    """After `begin` no reply is due, and nothing is known except the quirks."""
    session = greeted()
    fill(session, Batch(iter(retrs(range(1, 10)))))
    session.dispatcher.end(ConnectionLost("gone"))
    session.begin(secure=True, loopback=False)
    assert session.protocol.owed == 0
    assert session.protocol.failure is None
    assert (session.capabilities, session.secure, session.loopback) == (None, True, False)


# --- any order of use ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32))
@example(5897772)  # a first burst that is refused in full
@settings(max_examples=150)
def test_any_order_of_batches_and_commands(seed: int) -> None:
    """However batches, commands, abandonment and packets interleave, each batch gets its own results only."""
    rng = random.Random(seed)
    session = greeted(Limits(window=5000))
    unanswered: list[bytes] = []
    wire = b""
    batches: list[Batch[Any]] = []
    nobody: Batch[Any] = Batch(iter(()))
    number = 0

    def reply(line: bytes) -> bytes:
        if line == b"STAT":
            return b"+OK 1 7\r\n"
        tag = line.split()[1]
        if line.startswith(b"LIST"):
            return b"+OK %s 7\r\n" % tag
        return rng.choice([b"+OK\r\n..%s\r\n.\r\n" % tag, b"-ERR %s\r\n" % tag])

    def check(batch: Batch[Any]) -> None:
        for result in batch.results:
            tag = result.response if isinstance(result, CommandError) else result.strip(b".\r\n").decode()
            assert int(tag) == batch.first + batch.count  # type: ignore[attr-defined]
            batch.count += 1  # type: ignore[attr-defined]
        batch.results.clear()

    class Counted(Batch[Any]):
        first = 0
        size = 0
        count = 0

    for _ in range(60):
        action = rng.randrange(6)
        if action == 0:
            size = rng.randrange(1, 80)
            batch = Counted(iter([evolve(commands.retr(n), expected=50) for n in range(number + 1, number + size + 1)]))
            batch.first, batch.size, number = number + 1, size, number + size
            batches.append(batch)
        elif action == 1 and batches:
            chosen = rng.choice(batches)
            if not chosen.abandoned:
                session.dispatcher.take(chosen)
                session.dispatcher.submit(chosen)
        elif action == 2 and batches and rng.random() < 0.2:
            rng.choice(batches).abandoned = True
        elif action == 3:
            unanswered += session.protocol.data_to_send().split(b"\r\n")[:-1]
        elif action == 4 and unanswered:
            count = rng.randrange(1, len(unanswered) + 1)
            wire += b"".join(map(reply, unanswered[:count]))
            del unanswered[:count]
        elif wire:
            size = rng.randrange(1, len(wire) + 1)
            feed(session, rng.choice([*batches, nobody]), wire[:size])
            wire = wire[size:]
        for batch in batches:
            if not batch.abandoned:
                check(batch)
    for batch in batches:
        while not (batch.abandoned or batch.complete):
            session.dispatcher.take(batch)
            session.dispatcher.submit(batch)
            feed(session, batch, wire)
            unanswered += session.protocol.data_to_send().split(b"\r\n")[:-1]
            wire = b"".join(map(reply, unanswered))
            unanswered.clear()
            check(batch)
        if not batch.abandoned:
            check(batch)
        assert batch.abandoned or batch.count == batch.size  # type: ignore[attr-defined]
