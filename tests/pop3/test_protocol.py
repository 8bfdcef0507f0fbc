"""Protocol: bytes become the right replies or an error, however they arrive.

The rules: RFC 1939 §3 (status lines, stuffed dots, the end mark), RFC 2449 §6.6 (pipelining), and
decisions 4, 5, 6, 9 and 11.
"""

import io
import poplib
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pymailbox.errors import ConnectionLost, LimitExceeded, MailboxError, ProtocolError
from pymailbox.pop3 import commands
from pymailbox.pop3.command import Chunk, Command, Reply
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.protocol import Protocol
from tests import case
from tests.conversations import (
    Exchange,
    awkward_body,
    events,
    outcome,
    ready,
    results,
    stuffed,
    transcript,
)
from tests.timing import assert_linear

BODIES = [
    b"",
    b"\r\n",
    b".\r\n",
    b"..\r\n",
    b".first\r\nsecond\r\n",
    b"Subject: x\r\n\r\n.\r\n..\r\n...\r\nlast\r\n",
    b"\n.\n\r.\r\r\n",
    b"\r\r\n.\r.\r\n",
    b"\r\n\r\n\r\n",
    b"\0\xff\r\n",
    b"a" * 3000 + b"\r\n",
]

CHUNKS = st.lists(st.integers(0, 60), max_size=60)


def cut(wire: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `wire` into pieces of these sizes, repeated."""
    pieces, at, turn = [], 0, 0
    while at < len(wire):
        size = sizes[turn % len(sizes)] + 1 if sizes else len(wire)
        pieces.append(wire[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def wire_of(exchanges: list[Exchange]) -> bytes:
    return b"".join(exchange.wire for exchange in exchanges)


def asked(exchanges: list[Exchange]) -> list[Command[Any]]:
    return [exchange.command for exchange in exchanges]


def expected(exchanges: list[Exchange]) -> list[Any]:
    return [exchange.result for exchange in exchanges]


# --- any split of the bytes gives the same replies ------------------------------------------------------------


@pytest.mark.parametrize("make", [commands.retr, commands.stream], ids=["kept", "streamed"])
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
@pytest.mark.threat(42)
def test_a_reply_cut_at_every_byte_is_the_same(make: Any, newline: bytes) -> None:
    """A multi-line reply has the same body wherever it is cut once or twice; the greeting fixes the line ends."""
    for body in (body.replace(b"\r\n", newline) for body in BODIES):
        wire = b"+OK\r\n".replace(b"\r\n", newline) + stuffed(body, newline)
        if len(wire) < 100:
            places = [(i, j) for i in range(len(wire)) for j in range(i, len(wire))]
        else:
            places = [(i, i) for i in range(len(wire))]
        for first, second in places:
            with case(body, first, second):
                protocol = ready([commands.greeting(), make(1)])
                pieces = [b"+OK" + newline, wire[:first], wire[first:second], wire[second:]]
                found = events(protocol, pieces)
                chunks = b"".join(event.data for event in found if isinstance(event, Chunk))
                reply = found[-1]
                assert isinstance(reply, Reply)
                assert (reply.body if make is commands.retr else chunks) == body
                assert reply.octets == len(body)
                assert protocol.idle
                assert not protocol.pending


@given(st.integers(0, 2**32), CHUNKS)
def test_any_split_gives_the_same_results(seed: int, sizes: list[int]) -> None:
    """A transcript in pieces of any size gives the same results as the whole."""
    exchanges = transcript(seed)
    assert results(ready(asked(exchanges)), cut(wire_of(exchanges), sizes), eof=False) == expected(exchanges)


@pytest.mark.threat(42)
def test_byte_by_byte_gives_the_same_results() -> None:
    """A transcript one byte at a time gives the same results."""
    for seed in range(40):
        exchanges = transcript(seed)
        wire = wire_of(exchanges)
        with case(seed):
            assert results(ready(asked(exchanges)), (wire[i : i + 1] for i in range(len(wire)))) == expected(exchanges)


@given(st.binary(max_size=400), CHUNKS)
def test_stuffing_and_unstuffing_is_the_identity(body: bytes, sizes: list[int]) -> None:
    """Any message, stuffed and then read, comes back byte for byte (RFC 1939 §3)."""
    body = body + b"\r\n" if body else b""
    wire = b"+OK\r\n" + stuffed(body)
    assert results(ready([commands.retr(1)]), cut(wire, sizes)) == [body]


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"x", b"\r\n"]), max_size=40), CHUNKS)
def test_only_crlf_dot_crlf_ends_a_body(parts: list[bytes], sizes: list[int]) -> None:
    """Only CRLF . CRLF ends a body, in any mixture of CR, LF and dots."""
    body = b"".join(parts) + b"\r\n"
    assert results(ready([commands.retr(1)]), cut(b"+OK\r\n" + stuffed(body), sizes)) == [body]


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"x", b"\n."]), max_size=40), CHUNKS, st.booleans())
def test_in_lf_mode_a_line_of_one_dot_ends_a_body(parts: list[bytes], sizes: list[int], carriage: bool) -> None:
    """In LF mode a line of one dot, with or without a CR after it, ends a body; everything else is content."""
    lines = (b"".join(parts)).split(b"\n")
    lines = [line if line != b"\r" else b"y\r" for line in lines]  # ".\r" would be stuffed to "..\r": see below
    body = b"\n".join(lines) + b"\n"
    wire = stuffed(body, b"\n")
    if carriage:
        wire = wire[:-1] + b"\r\n"
    protocol = ready([commands.greeting(), commands.retr(1)])
    assert results(protocol, cut(b"+OK\n+OK\n" + wire, sizes)) == ["", body]


def test_an_empty_body_in_a_packet_after_its_status_line() -> None:
    """The status line uses up the buffer, and the next packet is only the end of an empty body."""
    for make in (commands.retr, commands.stream):
        for first in (b"+OK\r\n", b"+OK\r", b"+OK"):
            protocol = ready([commands.greeting(), make(1), commands.noop()])
            rest = b"+OK\r\n.\r\n"[len(first) :]
            assert results(protocol, [b"+OK\r\n", first, rest, b"+OK done\r\n"])[2:] == ["done"]


def test_the_first_line_is_unstuffed_too() -> None:
    """A dot is removed from the first line too, as it follows the end of the status line."""
    assert results(ready([commands.retr(1)]), [b"+OK\r\n..\r\n..x\r\n.\r\n"]) == [b".\r\n.x\r\n"]


def test_a_line_that_was_not_stuffed_loses_its_dot() -> None:
    """A line that begins with a dot loses it, even if the server did not stuff it (RFC 1939 §3; Q53)."""
    assert results(ready([commands.retr(1)]), [b"+OK\r\n.hidden\r\n.\r\n"]) == [b"hidden\r\n"]


def in_single_bytes(line: bytes, end: bytes = b"") -> Callable[[int], Callable[[], object]]:
    """Return a function that prepares the reading of a body of n such lines, one byte at a time."""

    def prepare(n: int) -> Callable[[], object]:
        body = line * n + end
        wire = b"+OK\r\n" + stuffed(body)
        pieces = [wire[i : i + 1] for i in range(len(wire))]

        def read() -> None:
            assert results(ready([commands.retr(1)]), pieces) == [body]

        return read

    return prepare


def test_the_cost_of_a_long_body_in_small_pieces_is_linear() -> None:
    """A body one byte at a time costs linear time: nothing is searched or copied again."""
    assert_linear(in_single_bytes(b"x", b"\r\n"), 12_000)
    assert_linear(in_single_bytes(b"\r\n"), 5_000)
    assert_linear(in_single_bytes(b".\r\n"), 3_000)


@pytest.mark.slow
def test_the_cost_of_a_very_long_body_in_small_pieces_is_linear() -> None:
    """The same up to a quarter of a megabyte, at which even a single repeated copy would show."""
    assert_linear(in_single_bytes(b"x", b"\r\n"), 60_000)
    assert_linear(in_single_bytes(b"\r\n"), 30_000)
    assert_linear(in_single_bytes(b".\r\n"), 20_000)


# --- truncated replies ------------ -----------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [6, pytest.param(25, marks=pytest.mark.slow)])
def test_the_end_of_the_stream_at_every_byte_is_connection_lost(seeds: int) -> None:
    """The end of the stream at any byte raises `ConnectionLost`, after the replies that were complete."""
    for seed in range(seeds):
        exchanges = transcript(seed, 4)
        wire = wire_of(exchanges)
        for end in range(len(wire)):
            with case(seed, end):
                protocol = ready(asked(exchanges))
                found = results(protocol, [wire[:end]])
                assert found == expected(exchanges)[: len(found)]
                assert len(found) < len(exchanges)
                with pytest.raises(ConnectionLost) as caught:
                    results(protocol, [], eof=True)
                assert caught.value.command == exchanges[len(found)].command.redacted
                assert not caught.value.usable


# --- random bytes ------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.lists(st.binary(max_size=60), max_size=20), st.booleans())
@settings(max_examples=300)
def test_random_bytes_raise_only_mailbox_errors(seed: int, pieces: list[bytes], eof: bool) -> None:
    """Any bytes give results or a `MailboxError`."""
    outcome(ready(asked(transcript(seed))), pieces, eof=eof)


@given(st.integers(0, 2**32), st.data())
@settings(max_examples=300)
def test_damaged_transcripts_raise_only_mailbox_errors(seed: int, data: st.DataObject) -> None:
    """A transcript with bytes changed, lost or inserted gives results or a `MailboxError`."""
    exchanges = transcript(seed)
    wire = bytearray(wire_of(exchanges))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire) - 1))
        wire[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b"\r", b"\n", b".", b"\r\n", b"\r\n.\r\n", b"+OK\r\n", b"-ERR", b" ", b"\xff", b"9"])
        )
    outcome(ready(asked(exchanges)), cut(bytes(wire), data.draw(CHUNKS)))


# --- status lines ------------------------------------------------------------------------------------------------


@pytest.mark.threat(6)
def test_only_ok_and_err_are_statuses() -> None:
    """A status is `+OK` or `-ERR` before a space or the line end; anything else is a `ProtocolError`."""
    for line in (
        b"+",
        b"+ERR no",
        b"+OKLAHOMA",
        b"OK",
        b"-ERROR",
        b"+ OK",
        b"",
        b" +OK",
        b"HTTP/1.1 200 OK",
        b"* OK IMAP",
        b"\0",
        b"+OK\tx",
    ):
        with case(line):
            protocol = ready([commands.pass_("x")])
            with pytest.raises(ProtocolError) as caught:
                results(protocol, [line + b"\r\n"])
            assert caught.value.command == "PASS ***"
            assert protocol.failure


def test_plus_is_a_challenge_only_where_one_may_come() -> None:
    """`+ ...` is a reply only to AUTH and its responses (RFC 5034 §4)."""
    reply = events(ready([commands.auth("PLAIN")]), [b"+ \r\n"])[0]
    assert isinstance(reply, Reply)
    assert reply.status == b"+"
    with pytest.raises(ProtocolError):
        results(ready([commands.noop()]), [b"+ \r\n"])


def test_the_text_follows_one_space() -> None:
    """A bare status has an empty text; everything after one space is text, unchanged."""
    found = events(ready([commands.noop()] * 4), [b"+OK\r\n+OK \r\n-ERR\r\n+OK  a\0b\r \r\n"])
    assert [event.text for event in found if isinstance(event, Reply)] == [b"", b"", b"", b" a\0b\r "]


def test_crlf_mode_refuses_a_bare_lf_status() -> None:
    """Once status lines end in CRLF, one that ends in a bare LF is a `ProtocolError` (decision 6)."""
    with pytest.raises(ProtocolError):
        results(ready([commands.noop(), commands.noop()]), [b"+OK\r\n+OK\n"])


def test_lf_mode_accepts_crlf() -> None:
    """In LF mode the CR before the LF is optional."""
    assert results(ready([commands.noop()] * 3), [b"+OK a\n+OK b\r\n+OK c\n"]) == ["a", "b", "c"]


def test_crlf_mode_keeps_lf_dots_in_bodies() -> None:
    """A dot between bare LFs is content in CRLF mode."""
    body = b"a\n.\nb\r.\rc\n.\r\nd\r\n"
    assert results(ready([commands.retr(1)]), [b"+OK\r\n" + body + b".\r\n"]) == [body]


def test_tls_fixes_line_ends_anew() -> None:
    """Inside TLS the first status line fixes line ends again, and pipelining waits for a new CAPA."""
    protocol = ready([commands.stls()])
    events(protocol, [b"+OK\r\n"])
    protocol.reset_for_tls()
    assert not protocol.pipelining
    protocol.send(commands.noop())
    protocol.data_to_send()
    assert results(protocol, [b"+OK x\n"]) == ["x"]


@pytest.mark.parametrize("late", [b"+OK\r\n", b"x"])
def test_tls_refuses_data_received_before_it(late: bytes) -> None:
    """Data received before the handshake is never read as if it had come through TLS (RFC 2595 §4)."""
    protocol = ready([commands.stls()])
    events(protocol, [b"+OK\r\n"])
    protocol.receive_data(late)
    with pytest.raises(ProtocolError):
        protocol.reset_for_tls()
    with pytest.raises(ConnectionLost):
        protocol.send(commands.noop())


# --- first in, first out -------------------------------------------------------------------------------------------


class Interleaving(RuleBasedStateMachine):
    """However commands and replies interleave, the nth reply belongs to the nth command and no other."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol = Protocol(Limits(window=3000))
        self.sent: list[int] = []  # numbers of the commands sent
        self.on_the_wire = b""
        self.got: list[int] = []
        self.next_number = 1
        self.answered = 0

    @rule(count=st.integers(1, 90))
    def queue(self, count: int) -> None:
        for _ in range(count):
            self.protocol.send(evolve(commands.retr(self.next_number), expected=40))
            self.next_number += 1

    @rule(listed=st.booleans())
    def list_pipelining(self, listed: bool) -> None:
        self.protocol.pipelining = listed

    @rule()
    def transmit(self) -> None:
        lines = self.protocol.data_to_send().split(b"\r\n")[:-1]
        self.sent += [int(line.split()[1]) for line in lines]

    @precondition(lambda self: self.answered < len(self.sent))
    @rule(count=st.integers(1, 40))
    def answer(self, count: int) -> None:
        for number in self.sent[self.answered :][:count]:
            self.on_the_wire += b"+OK\r\n..%d\r\n.\r\n" % number if number % 3 else b"-ERR %d\r\n" % number
            self.answered += 1

    @rule(size=st.integers(0, 200))
    def deliver(self, size: int) -> None:
        self.protocol.receive_data(self.on_the_wire[:size])
        self.on_the_wire = self.on_the_wire[size:]
        while (event := self.protocol.next_event()) is not None:
            assert isinstance(event, Reply)
            number = int((event.body or event.text).strip(b".\r\n"))
            assert event.command.arguments == b"%d" % number
            self.got.append(number)

    @invariant()
    def in_order(self) -> None:
        assert self.sent == sorted(self.sent)
        assert self.got == self.sent[: len(self.got)]
        assert len(self.protocol._owed) == len(self.sent) - len(self.got)

    @invariant()
    def within_the_window(self) -> None:
        assert self.protocol._flight <= max(40, 3000)
        assert self.protocol._flight == 40 * len(self.protocol._owed)
        assert self.protocol._expected == 40 * self.protocol.owed


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=40, stateful_step_count=40)


# --- unsolicited data ----------------------------------------------------------------------------------------------


def test_unsolicited_data_ends_the_session() -> None:
    """An unsolicited line is never kept as a reply to the next command (decision 5)."""
    protocol = ready([commands.noop()])
    assert results(protocol, [b"+OK\r\n"]) == [""]
    with pytest.raises(ProtocolError):
        results(protocol, [b"+OK deleted\r\n"])
    with pytest.raises(ConnectionLost):
        protocol.send(commands.dele(1))


@pytest.mark.threat(60)
def test_data_after_the_last_reply_invalidates_it() -> None:
    """A reply that arrives together with unsolicited data is not trusted."""
    for extra in (b"+", b"+OK\r\n", b"x" * 10):
        protocol = ready([commands.dele(1)])
        protocol.receive_data(b"+OK\r\n" + extra)
        with pytest.raises(ProtocolError):
            protocol.next_event()  # the reply is never returned


def test_an_unsolicited_err_is_connection_lost() -> None:
    """-ERR when no reply is due means that the server closes: `ConnectionLost` with its text."""
    protocol = ready([])
    with pytest.raises(ConnectionLost, match="the server closed the session") as caught:
        results(protocol, [b"-ERR [SYS/TEMP] idle for too long\r\n"])
    assert caught.value.code == "SYS/TEMP"


@pytest.mark.threat(51)
def test_extra_lines_after_err_end_the_session() -> None:
    """-ERR with more lines ends the session, as the second line is a reply to nothing."""
    with pytest.raises(ProtocolError):
        results(ready([commands.retr(1)]), [b"-ERR no such message\r\nreally not\r\n"])
    with pytest.raises(ProtocolError):
        results(ready([commands.retr(1), commands.retr(2)]), [b"-ERR no such message\r\nreally not\r\n"])


# --- limits ----------------------------------------------------------------------------------------------------------

SMALL = Limits(status_line=100, listing_entries=50, message=2000, stream=3000, header=500)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_data_beyond_a_limit_is_an_error(size: int) -> None:
    """Data beyond a limit is `LimitExceeded` with the field's name, however it is cut, and ends the session."""
    beyond: list[tuple[Command[Any], bytes, str]] = [
        (commands.noop(), b"x" * 101, "status_line"),
        (commands.noop(), b"+OK " + b"x" * 100 + b"\r\n", "status_line"),
        (commands.retr(1), b"+OK\r\n" + b"x" * 2001, "message"),
        (commands.retr(1), b"+OK\r\n" + b"x\r\n" * 700 + b".\r\n", "message"),
        (commands.stream(1), b"+OK\r\n" + b"x" * 3001, "stream"),
        (commands.capa(), b"+OK\r\n" + b"UIDL\r\n" * 100, "header"),
        (commands.capa(), b"+OK\r\n" + b"X" * 101, "status_line"),
        (commands.list(), b"+OK\r\n" + b"1 1\r\n" * 52, "listing_entries"),
        (commands.list(entries=5), b"+OK\r\n" + b"1 1\r\n" * 6 + b".\r\n", "listing_entries"),
        (commands.list(), b"+OK\r\n" + b"1" * 101, "status_line"),
        (commands.uidl(), b"+OK\r\n1 a\r\n2 " + b"x" * 99 + b"\r\n.\r\n", "status_line"),
        (commands.uidl(), b"+OK\r\n" + (b"1 " + b"x" * 80 + b"\r\n") * 40, "message"),
    ]
    for command, wire, name in beyond:
        with case(command, wire):
            protocol = ready([command], SMALL)
            with pytest.raises(LimitExceeded) as caught:
                results(protocol, [wire[i : i + size] for i in range(0, len(wire), size)])
            assert caught.value.field == name
            assert f"Limits.{name}" in str(caught.value)
            with pytest.raises(ConnectionLost):
                protocol.send(commands.noop())


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_data_up_to_a_limit_is_accepted(size: int) -> None:
    """Data of exactly the size of a limit is accepted."""
    within: list[tuple[Command[Any], bytes]] = [
        (commands.noop(), b"+OK " + b"x" * 95 + b"\r\n"),
        (commands.retr(1), b"+OK\r\n" + b"x" * 1998 + b"\r\n.\r\n"),
        (commands.stream(1), b"+OK\r\n" + b"x" * 2998 + b"\r\n.\r\n"),
        (commands.list(), b"+OK\r\n" + b"1 1\r\n" * 50 + b".\r\n"),
        (commands.uidl(), b"+OK\r\n1 " + b"x" * 97 + b"\r\n.\r\n"),
    ]
    for command, wire in within:
        with case(command, wire):
            assert len(results(ready([command], SMALL), [wire[i : i + size] for i in range(0, len(wire), size)])) == 1


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 25), CHUNKS)
def test_the_longest_line_of_a_listing_is_bounded_exactly(lengths: list[int], most: int, sizes: list[int]) -> None:
    """A listing is refused if and only if a line with its CR exceeds `Limits.status_line`."""
    body = b"".join(b"x" * length + b"\r\n" for length in lengths)
    protocol = ready([commands.list()], Limits(status_line=most + 4))
    answer = outcome(protocol, cut(b"+OK\r\n" + stuffed(body), sizes), eof=False)
    assert isinstance(answer, LimitExceeded) == any(length + 1 > most + 4 for length in lengths)


def test_memory_of_an_endless_listing_line_is_bounded() -> None:
    """A listing whose line never ends is stopped after `Limits.status_line` bytes, not after `Limits.message`."""
    protocol = ready([commands.uidl()])
    events(protocol, [b"+OK\r\n1 ", *[b"x" * 100] * 81])
    assert protocol._pieces.size <= 8192
    with pytest.raises(LimitExceeded):
        events(protocol, [b"x" * 100])


def test_memory_of_a_body_is_bounded_whatever_the_packets() -> None:
    """A message or listing takes at most three times its size until it is read, however the server cuts it."""
    body = b"".join([b"%d %070d\r\n" % (number, number) for number in range(1, 500)])
    kinds = [(commands.retr(1), body), (commands.list(), body)]
    for command, sent in kinds:
        for size in (1, 16, 1000, 16_384):
            with case(command.line, size):
                wire = memoryview(b"+OK\r\n" + stuffed(sent))
                protocol = ready([command])
                tracemalloc.start()
                found = events(protocol, (bytes(wire[at : at + size]) for at in range(0, len(wire), size)))
                most = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert isinstance(found[0], Reply)
                assert found[0].body == sent
                assert most < 3 * len(sent)


# --- discarding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 13, 100_000])
def test_discarding_keeps_nothing(size: int) -> None:
    """While the reply at the head is unwanted, its body comes in chunks, and its end is still found."""
    body = awkward_body(random.Random(1), 20_000)
    wire = b"+OK\r\n" + stuffed(body)
    protocol = ready([commands.retr(1), commands.noop()], Limits(message=10))
    protocol.discarding = True
    found = events(protocol, [wire[i : i + size] for i in range(0, len(wire), size)])
    assert isinstance(found[-1], Reply)
    assert found[-1].octets == len(body)
    assert not protocol._pieces.size
    protocol.discarding = False
    assert results(protocol, [b"+OK x\r\n"]) == ["x"]


def test_discarding_may_begin_in_the_middle_of_a_body() -> None:
    """The part of a body kept so far is released when the reply becomes unwanted."""
    protocol = ready([commands.retr(1)])
    events(protocol, [b"+OK\r\nfirst half\r\n", b"more\r\n"])
    assert protocol._pieces.size
    protocol.discarding = True
    found = events(protocol, [b"second half\r\n.\r\n"])
    assert not protocol._pieces.size
    assert isinstance(found[-1], Reply)
    assert found[-1].octets == len(b"first half\r\nmore\r\nsecond half\r\n")


# --- the window ----------------------------------------------------------------------------------------------------------


def test_without_pipelining_one_command_is_sent_at_a_time() -> None:
    """Without PIPELINING a command waits until the previous one is answered."""
    protocol = Protocol()
    for number in (1, 2, 3):
        protocol.send(commands.retr(number))
    for number in (1, 2, 3):
        assert protocol.data_to_send() == b"RETR %d\r\n" % number
        assert protocol.data_to_send() == b""
        results(protocol, [b"-ERR\r\n"])


def test_the_window_starts_small_and_doubles() -> None:
    """The window starts at 64 commands and doubles with each round trip of good replies, up to 4096."""
    protocol = Protocol(pipelining=True)
    for number in range(1, 40_000):
        protocol.send(commands.dele(number))
    trips = []
    for _ in range(10):
        count = protocol.data_to_send().count(b"\r\n")
        trips.append(count)
        results(protocol, [b"+OK\r\n" * count])
    assert trips == [64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096, 4096]


def test_the_window_is_bounded_in_bytes() -> None:
    """Replies in flight are expected to have at most `Limits.window` bytes, but a single reply may have more."""
    protocol = Protocol(Limits(window=10_000), pipelining=True)
    for expected in (4000, 4000, 4000, 50_000, 10):
        protocol.send(commands.retr(1, expected=expected))
    sent = []
    while protocol.owed:
        count = protocol.data_to_send().count(b"\r\n")
        sent.append(count)
        results(protocol, [b"-ERR\r\n" * count])
    assert sent == [2, 1, 1, 1]


@pytest.mark.parametrize(
    "alone",
    [commands.pass_("x"), commands.apop("me", "x", b"<a@b>"), commands.auth("PLAIN"), commands.stls(), commands.quit()],
)
def test_barriers_wait_for_earlier_replies(alone: Command[Any]) -> None:
    """Nothing is in flight before PASS, APOP, AUTH, STLS and QUIT, and nothing is sent after them."""
    protocol = Protocol(pipelining=True)
    for command in (commands.noop(), commands.noop(), alone, commands.noop(), commands.noop()):
        protocol.send(command)
    sent = []
    while protocol.owed:
        count = protocol.data_to_send().count(b"\r\n")
        sent.append(count)
        results(protocol, [b"+OK\r\n" * count])
    assert sent == [2, 1, 2]


def test_room_is_what_may_be_sent_now() -> None:
    """`room()` returns the number of commands that `data_to_send` would return, and the bytes of their replies."""
    protocol = Protocol(Limits(window=10_000))
    assert protocol.room() == (1, 10_000)
    protocol.send(commands.noop())
    assert protocol.room()[0] == 0
    protocol.pipelining = True
    assert protocol.room() == (63, 10_000 - commands.noop().expected)
    protocol.send(commands.quit())
    assert protocol.room()[0] == 0


# --- the failed state -----------------------------------------------------------------------------------------------------


def test_a_failed_protocol_stays_failed() -> None:
    """After `fail` every use raises `ConnectionLost` with the first reason, and nothing more is sent or read."""
    protocol = ready([commands.retr(1)])
    protocol.receive_data(b"+OK\r\nhalf a")
    protocol.fail("first")
    protocol.fail("second")
    protocol.receive_data(b"+OK\r\n")
    assert not protocol.pending
    assert protocol.data_to_send() == b""
    assert protocol.owed == 0
    for use in (lambda: protocol.send(commands.noop()), protocol.next_event):
        with pytest.raises(ConnectionLost, match="first"):
            use()


def test_an_interruption_inside_fails_the_protocol() -> None:
    """Other exceptions (KeyboardInterrupt, MemoryError) fail the protocol too, and are passed on."""

    class Interrupted(dict[str, str]):
        def __contains__(self, name: object) -> bool:
            raise KeyboardInterrupt

    protocol = ready([commands.noop()], quirks=Interrupted())
    protocol.receive_data(b"+ok\r\n")
    with pytest.raises(KeyboardInterrupt):
        protocol.next_event()
    with pytest.raises(ConnectionLost):
        protocol.next_event()


def test_quirks_are_noted_once(caplog: pytest.LogCaptureFixture) -> None:
    """A quirk is logged once to `pymailbox.quirks`, with its occurrence made printable."""
    protocol = ready([commands.noop()] * 2)
    with caplog.at_level("INFO", "pymailbox.quirks"):
        results(protocol, [b"+ok \x1b[31m\r\n+ok again\r\n"])
    assert protocol.quirks == {"LOWERCASE_STATUS": "+ok \\x1b[31m"}
    assert len(caplog.records) == 1
    assert "\x1b" not in caplog.text


# --- the standard library as an oracle --------------------------------------------------------------------------------------


class Silent:
    """A socket that accepts everything and sends nothing."""

    def sendall(self, data: bytes) -> None:
        pass


def standard(wire: bytes) -> poplib.POP3:
    """Return a `poplib.POP3` that reads `wire`."""
    client = poplib.POP3.__new__(poplib.POP3)
    client.sock = Silent()  # type: ignore[assignment]
    client.file = io.BytesIO(wire)  # type: ignore[assignment]
    client._debugging = 0  # type: ignore[attr-defined]
    return client


LINE = st.one_of(
    st.binary(max_size=80).map(lambda line: line.replace(b"\r", b"").replace(b"\n", b"")),
    st.sampled_from([b"", b"..", b"...x", b"Subject: x", b". ", b"..."]),
)


@given(st.lists(LINE, max_size=20), CHUNKS)
def test_bodies_read_as_in_poplib_where_poplib_is_right(lines: list[bytes], sizes: list[int]) -> None:
    """Bodies with lines below 2,048 bytes and no stray CR or LF read as in poplib."""
    wire = b"+OK follows\r\n" + stuffed(b"".join(line + b"\r\n" for line in lines))
    for verb, command in (("retr", commands.retr(1)), ("uidl", commands.retr(1))):
        client = standard(wire)
        _, theirs, _ = client.retr(1) if verb == "retr" else client.uidl()
        assert results(ready([command]), cut(wire, sizes)) == [b"".join(line + b"\r\n" for line in theirs)]


@given(st.integers(0, 10**9), st.integers(0, 10**12))
def test_stat_reads_as_in_poplib(count: int, size: int) -> None:
    """STAT reads as in poplib."""
    wire = b"+OK %d %d\r\n" % (count, size)
    assert results(ready([commands.stat()]), [wire]) == [commands.Stat(*standard(wire).stat())]


# --- other services ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        (b"* OK IMAP4rev1 ready\r\n", "IMAP"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP"),
        (b"220 smtp ready\r\n", "SMTP"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "TLS"),
    ],
)
@pytest.mark.threat(7)
def test_another_service_is_named(wire: bytes, name: str) -> None:
    """A service of another protocol is named, so the user knows what to change (Q9)."""
    error = outcome(ready([commands.greeting()]), [wire])
    assert isinstance(error, MailboxError)
    assert name in str(error)


def test_a_body_that_seems_to_end_in_lf_is_noticed_however_it_is_cut() -> None:
    """Any split gives the same result, kept, streamed or dropped; and a body that continues is a body."""
    for body, seems in (
        (b"a\n.\r\n", True),
        (b"a\n.\n", True),
        (b"\n.\r\n", True),
        (b"a\n.\r\nb", False),
        (b"a\r\n", False),
        (b"a\n..\r\n", False),
        (b"", False),
    ):
        for command in (commands.top(1, 0), commands.retr(1), commands.stream(1), commands.uidl()):
            for size in (1, 2, 3, 4, 100):
                for discarding in (False, True):
                    with case(body, command, size, discarding):
                        protocol = ready([command])
                        protocol.discarding = discarding
                        for piece in cut(b"+OK\r\n" + body, [size - 1]):
                            protocol.receive_data(piece)
                            while protocol.next_event() is not None:
                                pass
                        assert protocol.seems_ended is seems
                        protocol.receive_data(b"\r\n.\r\n")
                        while not isinstance(event := protocol.next_event(), Reply):
                            assert event is not None
                        assert not protocol.seems_ended
