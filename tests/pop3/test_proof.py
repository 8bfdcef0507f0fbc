"""PipelineProof: no result of a pipeline is returned before it is verified to belong to its command (decision 7)."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from attrs import define, field

from pymailbox.errors import CommandError, LimitExceeded, MailboxError, ProtocolError, Timeout
from pymailbox.pop3 import commands
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Command
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.session import Session
from tests import case
from tests.conversations import stuffed

COUNT = 200
#: A first burst, a full run and the beginning of another; slow tests have more runs.
MANY = pytest.mark.parametrize("count", [90, pytest.param(COUNT, marks=pytest.mark.slow)])
#: Whether the nth reply goes wrong.
Wrong = Callable[[int], bool]


def mail(number: int) -> bytes:
    """Return a message with its number in it; neighbours differ in size."""
    return b"Subject: m%d\r\n\r\nbody%s\r\n" % (number, b"." * (number % 7))


def never(_: int) -> bool:
    return False


def only(k: int) -> Wrong:
    """Make only the kth reply go wrong."""
    return lambda number: number == k


@define(eq=False)
class Server:
    """A POP3 server without a socket: lines in, bytes out. It counts replies from 1, without CAPA and login."""

    drops: Wrong = never
    doubles: Wrong = never
    #: The reply to LIST n.
    listed: Callable[[int], bytes] = lambda n: b"+OK %d %d\r\n" % (n, len(mail(n)))
    #: The message sent in place of another, when several are requested together.
    swapped: dict[int, int] = field(factory=dict)
    refused: frozenset[int] = frozenset()
    status: bytes = b"+OK\r\n"
    body: Callable[[int], bytes] = mail
    lines: list[str] = field(factory=list, init=False)
    #: The most commands that arrived together.
    most: int = field(default=0, init=False)
    replies: int = field(default=0, init=False)
    _together: bool = field(default=False, init=False)

    def answer(self, sent: bytes) -> bytes:
        """Answer all lines."""
        lines = sent.decode().split("\r\n")[:-1]
        self.most = max(self.most, len(lines))
        self.lines += lines
        self._together = len(lines) > 1
        return b"".join(map(self._reply, lines))

    def _reply(self, line: str) -> bytes:
        self.replies += 1
        if self.drops(self.replies):
            return b""
        return self.correct(line) * (2 if self.doubles(self.replies) else 1)

    def correct(self, line: str) -> bytes:
        """Return the correct reply to a line."""
        verb, _, rest = line.partition(" ")
        number = int(rest.split()[0]) if rest else 0
        if verb == "LIST":
            return self.listed(number)
        if verb == "STAT":
            return b"+OK %d 99999\r\n" % COUNT
        if verb not in ("RETR", "TOP"):
            return b"+OK\r\n"
        if number in self.refused:
            return b"-ERR no such message\r\n"
        body = self.body(self.swapped.get(number, number) if self._together else number)
        return self.status + stuffed(body if verb == "RETR" else body.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")


@define(eq=False)
class Talk:
    """A session with a `Server`; silence is a `Timeout`."""

    server: Server
    limits: Limits = field(factory=Limits)
    #: Which lines are answered twice, the second time late.
    late: Callable[[str], bool] | None = None
    #: How many other replies come before a second copy.
    displaced: int = 0
    #: Replies not sent yet.
    coming: list[bytes] = field(factory=list, init=False)
    copies: list[tuple[int, bytes]] = field(factory=list, init=False)
    session: Session = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.session = Session("host", self.limits)
        self.begin()

    def begin(self) -> None:
        """Begin another session with the quirks that the last one left."""
        self.session.begin(secure=True, loopback=False)
        greeting = self.session.dispatcher.single(commands.greeting())
        self.session.protocol.receive_data(b"+OK\r\n")
        self.session.dispatcher.next_chunk(greeting)
        self.session.learn(Capabilities({"PIPELINING": ()}))

    def next(self, batch: Batch[Any]) -> Any:
        """Return the next result, None if there is none; an error ends the session, as in a driver."""
        session = self.session
        try:
            session.dispatcher.take(batch)
            session.dispatcher.submit(batch)
            while not batch.results and not batch.complete:
                while (arrived := session.dispatcher.next_chunk(batch)) is not None:
                    owner, chunk = arrived
                    if owner.sink is not None:
                        owner.sink(chunk.data)
                if batch.results:
                    break
                came = self._exchange(session.protocol.data_to_send())
                if not came:
                    raise Timeout("silence")
                session.protocol.receive_data(came)
        except MailboxError as error:
            session.dispatcher.end(error)
            raise
        return batch.results.popleft() if batch.results else None

    def _exchange(self, sent: bytes) -> bytes:
        """Return the server's replies; with `late`, one for each line, so a second copy delays the others."""
        if self.late is None:
            return self.server.answer(sent)
        lines = sent.splitlines(keepends=True)
        for line in lines:
            reply = self.server.answer(line)
            self.coming.append(reply)
            due = [copy for left, copy in self.copies if not left]
            self.copies = [(left - 1, copy) for left, copy in self.copies if left]
            self.coming += due
            if self.late(line.decode()):
                if self.displaced:
                    self.copies.append((self.displaced - 1, reply))
                else:
                    self.coming.append(reply)
        ready, self.coming = self.coming[: max(1, len(lines))], self.coming[max(1, len(lines)) :]
        return b"".join(ready)

    def all(self, wanted: Iterable[Command[Any]]) -> tuple[list[Any], MailboxError | None]:
        """Return the results of a batch, including those before an error, and the error."""
        batch = Batch(iter(wanted))
        results: list[Any] = []
        try:
            while (result := self.next(batch)) is not None:
                results.append(result)
        except MailboxError as error:
            return [*results, *batch.results], error
        return results, None

    def one(self, command: Command[Any], sink: Callable[[bytes], object] | None = None) -> Any:
        """Return the result of one command."""
        return self.next(self.session.dispatcher.single(command, sink))


def retrs(numbers: Iterable[int], *, sizes: bool = True) -> list[Command[bytes]]:
    return [commands.retr(n, size=len(mail(n)) if sizes else None) for n in numbers]


def tops(numbers: Iterable[int]) -> list[Command[bytes]]:
    return [commands.top(n) for n in numbers]


def right(results: Sequence[Any]) -> bool:
    """Whether each result belongs to its place."""
    return all(result.startswith(b"Subject: m%d\r\n" % number) for number, result in enumerate(results, 1))


ASKED: dict[str, Callable[[Iterable[int]], list[Command[bytes]]]] = {
    "bodies": retrs,
    "bodies of unknown size": lambda numbers: retrs(numbers, sizes=False),
    "headers": tops,
}


def faults(count: int) -> Iterable[tuple[str, Wrong]]:
    """Yield faults by name: in one reply or checkpoint, in every nth, and at random."""
    yield from ((f"the {k}th", only(k)) for k in range(1, count + 10))
    yield from ((f"every {n}th", lambda k, n=n: k % n == 0) for n in (2, 3, 7, 8, 9, 10, 63, 64, 65, 66, 100))  # type: ignore[misc]
    for seed in range(count // 5):
        rng = random.Random(seed)
        share = rng.choice((0.005, 0.02, 0.1, 0.5))
        yield f"{share} at random, seed {seed}", lambda _, rng=rng, share=share: rng.random() < share  # type: ignore[misc]


@pytest.mark.threat(55)
@pytest.mark.parametrize("kind", ["drops", "doubles"])
@pytest.mark.parametrize("asked", ASKED)
@MANY
def test_a_reply_lost_or_doubled_never_shifts_results(count: int, asked: str, kind: str) -> None:
    """Whichever reply is lost or doubled, all results are right, the error is typed, and the next session completes."""
    for name, wrong in faults(count):
        with case(name):
            talk = Talk(Server(**{kind: wrong}))  # type: ignore[arg-type]
            results, error = talk.all(ASKED[asked](range(1, count + 1)))
            assert right(results)
            if error is None:
                assert len(results) == count
                continue
            assert isinstance(error, Timeout | ProtocolError)
            assert "the next session will not pipeline" in str(error)
            talk.server = Server()
            talk.begin()
            results, error = talk.all(ASKED[asked](range(1, count + 1)))
            assert (right(results), len(results), error) == (True, count, None)
            assert talk.server.most == 1


@pytest.mark.threat(55)
@MANY
def test_swapped_bodies_are_found_by_their_sizes(count: int) -> None:
    """Bodies sent under each other's numbers do not match their sizes in LIST, and differ when requested alone."""
    for first in range(1, count):
        with case(first):
            talk = Talk(Server(swapped={first: first + 1, first + 1: first}))
            results, error = talk.all(retrs(range(1, count + 1)))
            assert right(results)
            assert isinstance(error, ProtocolError)
            talk.begin()
            assert talk.all(retrs(range(1, count + 1))) == ([mail(n) for n in range(1, count + 1)], None)


@pytest.mark.threat(54)
@pytest.mark.parametrize("asked", ASKED)
def test_a_correct_server_is_pipelined(asked: str) -> None:
    """All results arrive; 8 commands are in flight at first, then many, with a checkpoint after at most 64."""
    server = Server(refused=frozenset({1, 2, 50, 64, 130, 131, 132}))
    talk = Talk(server)
    results, error = talk.all(ASKED[asked](range(1, COUNT + 1)))
    assert error is None
    for number, result in enumerate(results, 1):
        assert isinstance(result, CommandError) == (number in server.refused), number
        assert isinstance(result, CommandError) or result.startswith(b"Subject: m%d\r\n" % number), number
    assert server.most > 64
    assert [line.split()[0] for line in server.lines[:10]] == [
        *[server.lines[0].split()[0]] * 8,
        "LIST",
        server.lines[0][:4].strip(),
    ]
    runs = "".join("L" if line.startswith("LIST") else "." for line in server.lines).split("L")
    assert max(map(len, runs)) <= 64
    assert runs[-1] == ""  # a checkpoint comes last
    assert not {int(line[5:]) for line in server.lines if line.startswith("LIST")} & server.refused
    assert len(server.lines) < COUNT + 12


def test_a_server_without_list_n_is_read_one_at_a_time() -> None:
    """If `LIST n` is refused or has no number and size, all is read one at a time, in the next session too, without error."""
    odd = (
        b"-ERR no\r\n",
        b"+OK 001 1234\r\n",
        b"+OK 1234 8\r\n",
        b"+OK 200 99999\r\n",
        b"+OK\r\n",
        b"+OK 1234\r\n",
        b"+OK 1 1234 octets\r\n",
        b"+OK message 1: 7\r\n",
        b"+OK -1 7\r\n",
    )
    for status in odd:
        for asked in ASKED.values():
            with case(status):
                talk = Talk(Server(listed=lambda _, status=status: status))  # type: ignore[misc]
                results, error = talk.all(asked(range(1, COUNT + 1)))
                assert (right(results), len(results), error) == (True, COUNT, None)
                assert talk.server.most <= 8
                talk.server = Server(listed=talk.server.listed)
                talk.begin()
                results, error = talk.all(asked(range(1, COUNT + 1)))
                assert (right(results), len(results), error) == (True, COUNT, None)
                assert talk.server.most == 1


def test_a_checkpoint_with_another_number_is_a_mismatch() -> None:
    """A checkpoint answered with another number is an error once the server has answered one correctly."""
    for wrong in (1, 2, 3):
        with case(wrong):
            asked = iter(range(1, 100))
            talk = Talk(
                Server(listed=lambda n, wrong=wrong, asked=asked: b"+OK %d 9\r\n" % (n + (next(asked) == wrong)))
            )  # type: ignore[misc]
            results, error = talk.all(retrs(range(1, COUNT + 1)))
            assert right(results)
            if wrong == 1:  # nothing is known about this server yet, so it is read one at a time
                assert (len(results), error) == (COUNT, None)
                assert talk.server.most == 8
                continue
            assert isinstance(error, ProtocolError)
            assert len(results) == (8 if wrong == 2 else 72), len(results)


def test_refusals_of_a_whole_burst_are_requested_again() -> None:
    """If the first messages are gone, the refusals are requested again, one at a time, and the rest in a pipeline."""
    server = Server(refused=frozenset(range(1, 41)))
    talk = Talk(server)
    results, error = talk.all(retrs(range(1, COUNT + 1)))
    assert error is None
    assert [isinstance(result, CommandError) for result in results] == [True] * 40 + [False] * 160
    assert server.most > 64
    assert talk.session.may_pipeline


def test_wrong_sizes_in_list_are_found_out_once() -> None:
    """If bodies differ from their sizes in LIST, one is requested again; if it is the same, sizes are ignored."""
    talk = Talk(Server())
    wanted = [commands.retr(n, size=len(mail(n)) + 3) for n in range(1, COUNT + 1)]
    assert talk.all(wanted) == ([mail(n) for n in range(1, COUNT + 1)], None)
    assert talk.server.lines.count("RETR 1") == 2
    assert len(talk.server.lines) < COUNT + 12
    assert "SIZES_LIE" in talk.session.quirks
    assert talk.server.most > 64


def test_a_body_that_looks_like_a_reply_is_requested_again() -> None:
    """A message that begins with +OK is requested again, alone, and accepted if it is the same, pipelined or not."""
    numbers = {1, 8, 9, 60, 72, 73, 74, 200}
    talk = Talk(Server(body=lambda n: b"+OK %d 9\r\n" % n + mail(n) if n in numbers else mail(n)))
    results, error = talk.all(retrs(range(1, COUNT + 1), sizes=False))
    assert error is None
    assert results == [talk.server.body(n) for n in range(1, COUNT + 1)]
    assert [talk.server.lines.count(f"RETR {n}") for n in (1, 2, 60, 61)] == [2, 1, 2, 1]
    assert talk.one(commands.retr(9)) == talk.server.body(9)
    for number in (9, 10):
        before, chunks = talk.server.lines.count(f"RETR {number}"), []  # type: ignore[var-annotated]
        assert talk.one(commands.stream(number), chunks.append) == len(b"".join(chunks))
        assert b"".join(chunks) == talk.server.body(number)
        assert talk.server.lines.count(f"RETR {number}") - before == (2 if number == 9 else 1)


def test_a_surplus_reply_never_reaches_a_sink() -> None:
    """A late second copy is found before the sink gets a byte, with or without pipelining, however it is cut."""
    for pipelining in (True, False):
        for verb in ("DELE", "NOOP"):
            with case(pipelining, verb):
                talk = Talk(Server(), late=lambda line, verb=verb: line.startswith(verb))  # type: ignore[misc]
                talk.session.protocol.pipelining = pipelining
                talk.one(commands.dele(1) if verb == "DELE" else commands.noop())
                chunks: list[bytes] = []
                with pytest.raises(ProtocolError):
                    talk.one(commands.stream(2), chunks.append)
                assert not chunks


def test_the_first_bytes_of_a_stream_are_held_until_they_are_judged() -> None:
    """What may be the beginning of a reply is held until it is certain, and nothing is lost."""
    for body in (b"+O\r\n", b"+\r\n", b"", b"\r\n", b"+OK", b"+OKAY\r\n", b"-ERR\r\n"):
        with case(body):
            talk = Talk(Server())
            chunks: list[bytes] = []
            batch = talk.session.dispatcher.single(commands.stream(1), chunks.append)
            sent = 0
            while not batch.results:
                assert talk.session.protocol.data_to_send()
                sent += 1
                for byte in b"+OK\r\n" + stuffed(body):
                    talk.session.protocol.receive_data(bytes([byte]))
                    while (arrived := talk.session.dispatcher.next_chunk(batch)) is not None:
                        chunks.append(arrived[1].data)
            whole = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
            assert (b"".join(chunks), batch.results[0]) == (whole, len(whole))
            assert sent == (2 if body.startswith(b"+OK") else 1)


@pytest.mark.threat(53)
def test_a_command_after_an_abandoned_batch_is_right_or_an_error() -> None:
    """The next command is sent when the replies in flight are verified, and its result is right or an error."""
    for kind in ("drops", "doubles", ""):
        for k in range(1, 90 if kind else 2):
            for left_after in (1, 8, 9, 72):
                with case(kind, k, left_after):
                    talk = Talk(Server(**({kind: only(k)} if kind else {})))  # type: ignore[arg-type]
                    batch = Batch(iter(retrs(range(1, COUNT + 1))))
                    chunks: list[bytes] = []
                    try:
                        for number in range(1, left_after + 1):
                            assert talk.next(batch) == mail(number)
                        batch.abandoned = True
                        assert talk.one(commands.retr(150)) == mail(150)
                        assert talk.one(commands.top(151)).startswith(b"Subject: m151\r\n")
                        talk.one(commands.stream(152), chunks.append)
                        assert b"".join(chunks) == mail(152)
                    except (Timeout, ProtocolError):
                        assert kind
                        assert not chunks or b"".join(chunks) == mail(152)


def test_two_batches_in_turn_get_their_own_results() -> None:
    """Batches read alternately never have commands in flight together, and each gets its own results."""
    talk = Talk(Server())
    low, high = Batch(iter(retrs(range(1, 101)))), Batch(iter(tops(range(101, 201))))
    for number in range(1, 101):
        assert talk.next(low) == mail(number)
        assert talk.next(high).startswith(b"Subject: m%d\r\n" % (100 + number))


def test_checkpoints_take_messages_in_turn() -> None:
    """A shift would have to be a whole round for another reply to be mistaken for a checkpoint's."""
    talk = Talk(Server())
    _, error = talk.all(retrs(range(1, 2001)))
    assert error is None
    asked = [line for line in talk.server.lines if line.startswith("LIST")]
    assert len(asked) > 16
    for at in range(len(asked) - 8):
        assert len(set(asked[at : at + 8])) == 8, asked[at : at + 8]


def test_checkpoints_skip_marked_messages() -> None:
    """No checkpoint names a marked message, because LIST refuses those (RFC 1939 §5)."""
    talk = Talk(Server())
    talk.all(retrs(range(1, 101)))
    talk.all(map(commands.dele, range(1, 101)))
    seen = len(talk.server.lines)
    results, error = talk.all(retrs(range(101, COUNT + 1)))
    assert (len(results), error) == (100, None)
    checkpoints = [int(line[5:]) for line in talk.server.lines[seen:] if line.startswith("LIST")]
    assert min(checkpoints) > 100
    assert talk.server.most >= 64


def test_checkpoints_use_messages_again_after_rset() -> None:
    """After RSET checkpoints may name those messages again, so pipelining continues."""
    talk = Talk(Server())
    talk.all([*map(commands.dele, range(1, COUNT + 1)), commands.rset()])
    results, error = talk.all(retrs(range(1, COUNT + 1)))
    assert (results, error) == ([mail(number) for number in range(1, COUNT + 1)], None)
    assert "STAT" not in talk.server.lines
    assert talk.server.most >= 64


def test_results_held_are_bounded_by_the_window() -> None:
    """Messages much larger than expected are dropped beyond the window, and requested again in smaller runs."""
    big = {n: b"Subject: m%d\r\n\r\n" % n + b"x" * 3000 + b"\r\n" for n in range(1, 101)}
    talk = Talk(Server(body=big.__getitem__), Limits(window=10_000))
    batch = Batch(iter(commands.retr(n, expected=10) for n in range(1, 101)))
    results = []
    while (result := talk.next(batch)) is not None:
        assert talk.session.dispatcher._proof.octets <= 10_000 + 3100
        results.append(result)
    assert results == list(big.values())
    assert len(talk.server.lines) < 400


@pytest.mark.threat(55)
def test_a_second_copy_with_the_next_reply_is_found() -> None:
    """A second copy that arrives with the next reply is found, whatever it copies and whatever command follows."""
    small = range(1, 41)
    honest = Server().listed
    for verb in ("LIST", "RETR", "TOP", "DELE", "STAT"):
        for listed in (honest, lambda _: b"-ERR no\r\n", lambda _: b"+OK\r\n"):
            if verb == "TOP" and listed is not honest:
                continue  # read one at a time from the first RETR, so nothing verifies a whole message
            for then in (commands.retr, commands.top, commands.stream):
                with case(verb, listed(1), then):
                    talk = Talk(Server(listed=listed), late=lambda line, verb=verb: line.startswith(verb))  # type: ignore[misc]
                    session, chunks, wrong = talk.session, [], 0  # type: ignore[var-annotated]
                    try:
                        for wanted in (retrs(small), tops(small), [commands.dele(n) for n in range(150, 160)]):
                            batch: Batch[Any] = Batch(iter(wanted))
                            for number in small if len(wanted) > 10 else ():
                                result = talk.next(batch)
                                wrong += not (isinstance(result, bytes) and result.startswith(mail(number)[:13]))
                            while talk.next(batch) is not None:
                                pass
                        single: Batch[Any] = session.dispatcher.single(then(100), chunks.append)
                        result = talk.next(single)
                        if then is commands.stream:
                            wrong += b"".join(chunks) != mail(100)
                        else:
                            wrong += not result.startswith(mail(100)[:14])
                    except ProtocolError:
                        wrong += bool(chunks) and not mail(100).startswith(b"".join(chunks))
                    assert not wrong


@pytest.mark.threat(55)
def test_a_second_copy_after_other_replies_is_found() -> None:
    """A copy that arrives after other replies, even after its run's checkpoint, is found: later commands are verified too."""
    singles = (commands.retr, commands.top, commands.stream, commands.dele)
    for line in (*(f"RETR {n}" for n in (1, 2, 7, 8)), "LIST 1"):
        for displaced in range(1, 12):
            for then in singles:
                with case(line, displaced, then):
                    copies = iter([True])
                    talk = Talk(
                        Server(),
                        late=lambda sent, line=line, copies=copies: sent == f"{line}\r\n" and next(copies, False),
                    )  # type: ignore[misc]
                    talk.displaced = displaced
                    batch = Batch(iter(retrs(range(1, COUNT + 1))))
                    chunks: list[bytes] = []
                    try:
                        for number in range(1, 9):
                            assert talk.next(batch) == mail(number)
                        batch.abandoned = True
                        for number in (150, 151, 152):
                            result = talk.one(then(number), chunks.append)
                            if then in (commands.retr, commands.top):
                                assert result.startswith(mail(number)[:15])
                            elif then is commands.stream:
                                assert b"".join(chunks) == mail(number)
                                chunks.clear()
                        if then is commands.dele:
                            assert talk.one(commands.retr(153)) == mail(153)
                    except ProtocolError:
                        pass


def whole_listing(_: int) -> bytes:
    """Answer LIST as if no number had been given."""
    return b"+OK 200 messages\r\n" + b"".join(b"%d %d\r\n" % (n, len(mail(n))) for n in range(1, 201)) + b".\r\n"


def test_a_list_that_ignores_its_number_is_no_error() -> None:
    """Servers that answer `LIST n` with the whole listing (Q38), or with a dot, are read one at a time without error."""
    for listed in (whole_listing, lambda _: b"+OK\r\n1 9\r\n2 9\r\n.\r\n", lambda n: b"+OK %d 9 octets\r\n.\r\n" % n):
        for asked in ASKED.values():
            with case(listed(1)[:20]):
                talk = Talk(Server(listed=listed))
                results, error = talk.all(asked(range(1, COUNT + 1)))
                assert (right(results), len(results), error) == (True, COUNT, None)
                assert talk.server.most <= 8


def test_unsolicited_lines_are_bounded() -> None:
    """A listing without end in reply to `LIST n` is `LimitExceeded`."""
    talk = Talk(Server(listed=lambda _: b"+OK\r\n" + b"1 9\r\n" * 30_000), Limits(message=100_000))
    results, error = talk.all(retrs(range(1, 20)))
    assert (results, type(error)) == ([], LimitExceeded)


def test_a_checkpoint_refused_for_now_is_no_mismatch() -> None:
    """Throttling, or a message that is gone, is no mismatch: the next checkpoint decides, and all is read (Q73)."""
    for refused in ({2}, {3}, {2, 3}, {2, 4, 6}, set(range(2, 500))):
        for asked in ASKED.values():
            with case(refused):
                turns = iter(range(1, 1000))
                talk = Talk(
                    Server(
                        listed=lambda n, refused=refused, turns=turns: (  # type: ignore[misc]
                            b"-ERR Server Unavailable. 21\r\n" if next(turns) in refused else Server().listed(n)
                        )
                    )
                )
                results, error = talk.all(asked(range(1, COUNT + 1)))
                assert (right(results), len(results), error) == (True, COUNT, None)
                chunks: list[bytes] = []
                talk.one(commands.stream(150), chunks.append)
                assert b"".join(chunks) == mail(150)
                assert talk.one(commands.retr(151)) == mail(151)


def test_bodies_that_outgrow_the_window_are_all_read() -> None:
    """Bodies larger than their sizes in LIST are all read, even if they exceed the bytes that may be held."""
    body = b"Subject: m%d\r\n\r\n" + b"line\r\n" * 600
    talk = Talk(Server(body=lambda n: body % n), Limits(window=20_000))
    wanted = [commands.retr(n, size=len(body) - 1200) for n in range(1, 60)]
    assert talk.all(wanted) == ([body % n for n in range(1, 60)], None)


@pytest.mark.threat(55)
def test_a_surplus_refusal_is_found() -> None:
    """If all of a first burst is refused, a surplus refusal is found before anything is requested again."""
    for k in range(1, 9):
        with case(k):
            talk = Talk(Server(refused=frozenset(range(1, 9))), late=lambda line, k=k: line == f"RETR {k}\r\n")  # type: ignore[misc]
            results, error = talk.all(retrs(range(1, 41)))
            assert (results, type(error)) == ([], ProtocolError)
