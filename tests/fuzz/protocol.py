"""Feed damaged conversations to the protocol: the only outcomes allowed are results or `MailboxError`, however the data
is split.

python -m tests.fuzz.protocol 1000000          damaged transcripts, until that many replies were requested
python -m tests.fuzz.protocol atheris -max_total_time=300       guided by coverage (pip install atheris)
"""

import logging
import random
import sys
import time
from typing import Any

from pymailbox.errors import CommandError, MailboxError
from pymailbox.pop3 import commands
from pymailbox.pop3.command import Command
from pymailbox.pop3.dispatcher import Batch
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.session import Session
from tests.conversations import transcript

MAKERS: list[Any] = [
    commands.noop,
    commands.stat,
    commands.list,
    commands.uidl,
    commands.capa,
    commands.languages,
    commands.quit,
    commands.stls,
    lambda: commands.list(3),
    lambda: commands.uidl(3),
    lambda: commands.retr(1),
    lambda: commands.top(1, 0),
    lambda: commands.stream(1),
    lambda: commands.dele(1),
    lambda: commands.pass_("x"),
    lambda: commands.auth("PLAIN"),
    lambda: commands.respond(b""),
    lambda: commands.list(entries=3),
]
SMALL = Limits(status_line=120, listing_entries=40, message=4000, stream=6000, header=600, window=200_000)
SCRAPS = [
    b"",
    b"\r",
    b"\n",
    b".",
    b"\r\n",
    b"\r\n.\r\n",
    b"\n.\n",
    b"+OK\r\n",
    b"-ERR\r\n",
    b"+ ",
    b" ",
    b"\0",
    b"\xff",
    b"9" * 30,
    b"x" * 130,
]


class Foreign(AssertionError):
    """The outcome was not a result or a `MailboxError`, or it depended on how the data was split."""


def converse(asked: list[Command[Any]], pieces: list[bytes], limits: Limits, *, leave: int = -1) -> list[Any] | str:
    """Run one conversation through `Session`; return all results, or the name of the error that ended it.

    `leave` abandons the batch after that many pieces.
    """
    session = Session("fuzz", limits)
    session.protocol.pipelining = True
    batch: Batch[Any] = Batch(iter(asked))
    found: list[Any] = []
    try:
        for number, piece in enumerate([*pieces, None]):
            if number == leave:
                batch.abandoned = True
            if not batch.abandoned:
                session.dispatcher.take(batch)
                session.dispatcher.submit(batch)
            session.protocol.data_to_send()
            if piece is None:
                if batch.complete:
                    break
                session.protocol.receive_eof()
            else:
                session.protocol.receive_data(piece)
            streamed = 0
            while (arrived := session.dispatcher.next_chunk(batch)) is not None:
                streamed += len(arrived[1].data)
            while batch.results:
                result = batch.results.popleft()
                found.append(type(result).__name__ if isinstance(result, CommandError) else result)
    except MailboxError as error:
        str(error)
        if error.usable or session.protocol.failure is None:
            raise Foreign(f"{error!r} left the session usable") from error
        return type(error).__name__
    return found


def cut(wire: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at, turn = [], 0, 0
    while at < len(wire):
        size = sizes[turn % len(sizes)] if sizes else len(wire)
        pieces.append(wire[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def check(asked: list[Command[Any]], wire: bytes, sizes: list[int], leave: int) -> None:
    """Run the conversation whole, split, and abandoned; raise `Foreign` if an outcome is wrong or depends on the split."""
    for limits in (Limits(), SMALL):
        converse(asked, cut(wire, sizes), limits, leave=leave)
        whole, parts = converse(asked, [wire], limits), converse(asked, cut(wire, sizes), limits)
        if any(command.verb.barrier for command in asked):
            continue  # for a command that must wait its turn, whether data is early depends on the split
        if isinstance(whole, list) != isinstance(parts, list) or (isinstance(whole, list) and whole != parts):
            raise Foreign(f"{asked} {wire!r} {sizes}: {whole} whole, {parts} split")


def guided(data: bytes) -> None:
    """Run one input of the coverage-guided fuzzer: the number of commands, which, how to split, and the data."""
    if len(data) < 12:
        return
    count = data[0] % 6 + 1
    asked = [MAKERS[byte % len(MAKERS)]() for byte in data[1 : 1 + count]]
    sizes = [byte % 40 + 1 for byte in data[7:10]]
    check(asked, data[11:], sizes, data[10] % 8)


def damaged(rng: random.Random) -> int:
    """Run one damaged transcript; return how many replies it requested."""
    exchanges = transcript(rng.randrange(2**40), rng.randrange(1, 9))
    asked = [exchange.command for exchange in exchanges[1:]]
    if rng.random() < 0.2:
        rng.shuffle(asked)
    wire = bytearray(b"".join(exchange.wire for exchange in exchanges[1:]))
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at = rng.randrange(len(wire) + 1)
        wire[at : at + rng.choice((0, 0, 1, 2, 10))] = rng.choice(SCRAPS)
    if rng.random() < 0.1:
        wire = bytearray(bytes(wire).replace(b"\r\n", b"\n"))
    sizes = [rng.choice((1, 2, 3, 10, 100, 1000)) for _ in range(rng.randrange(1, 4))]
    check(asked, bytes(wire), sizes, rng.randrange(8))
    return len(asked)


def main() -> None:
    logging.disable(logging.CRITICAL)
    if sys.argv[1:2] == ["atheris"]:
        import atheris

        atheris.instrument_all()
        atheris.Setup([sys.argv[0], *sys.argv[2:]], guided)
        atheris.Fuzz()
        return
    wanted = int(sys.argv[1]) if sys.argv[1:] else 100_000
    seed = int(sys.argv[2]) if sys.argv[2:] else random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    began, replies = time.monotonic(), 0
    while replies < wanted:
        replies += damaged(rng)
    print(f"{replies} replies in {time.monotonic() - began:.0f} s, all as expected")


if __name__ == "__main__":
    main()
