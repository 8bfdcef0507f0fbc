"""The error handling of programs written for the standard library's poplib works with the drop-in.

The programs are the loops of real ones, reduced to their error handling. Each runs with both modules against the same
server, which cuts, resets, stalls or refuses at some reply; both see the same errors and end the same way.
"""

import contextlib
import poplib as standard
import socket
import struct
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pymailbox import poplib
from tests import case
from tests.poplib.script import served
from tests.timing import GENEROUS

REPLIES = {
    b"USER": b"+OK\r\n",
    b"PASS": b"+OK\r\n",
    b"STAT": b"+OK 2 16\r\n",
    b"LIST": b"+OK\r\n1 8\r\n2 8\r\n.\r\n",
    b"UIDL": b"+OK\r\n1 a\r\n2 b\r\n.\r\n",
    b"RETR": b"+OK\r\nA: b\r\n\r\nx\r\n.\r\n",
    b"TOP": b"+OK\r\nA: b\r\n\r\n.\r\n",
    b"DELE": b"+OK\r\n",
    b"RSET": b"+OK\r\n",
    b"NOOP": b"+OK\r\n",
    b"QUIT": b"+OK\r\n",
}
VERBS = (b"USER", b"PASS", b"STAT", b"UIDL", b"RETR", b"DELE", b"QUIT")


class Server:
    """A server that answers up to a verb, sends a part of that reply, and does `end`: cut, reset, stall or refuse."""

    def __init__(self, verb: bytes, end: str, part: int = 0) -> None:
        self.verb, self.end, self.part = verb, end, part
        self.heard: list[bytes] = []

    def connect(self, module: ModuleType, port: int) -> Any:
        """Connect a POP3 object of `module` that does not wait long for a stalled reply."""
        pop = module.POP3("127.0.0.1", port, timeout=GENEROUS)
        send = pop._putcmd

        def putcmd(line: str) -> None:
            if self.end == "stall" and line.split()[0].encode() == self.verb:
                pop.sock.settimeout(0.2)
            send(line)

        pop._putcmd = putcmd
        return pop

    def __call__(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            connection.sendall(b"+OK hello\r\n")
            for line in lines:
                verb = line.split()[0].upper()
                self.heard.append(verb)
                if verb != self.verb:
                    connection.sendall(REPLIES[verb])
                    continue
                if self.end == "refuse":
                    connection.sendall(b"-ERR no\r\n")
                    continue
                connection.sendall(REPLIES[verb][: self.part])
                if self.end == "stall":
                    self.heard += [line.split()[0] for line in lines]
                if self.end == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return


# --- the programs: each appends its results, and how it ended -------------------------------------------------

Connect = Callable[[], Any]


def retriever(module: ModuleType, connect: Connect, got: list[object]) -> None:
    """Run a mail retriever: any error of either kind ends the round, and quit is always tried."""
    try:
        server = connect()
        try:
            server.user("me")
            server.pass_("secret")
            for line in server.uidl()[1]:
                number = int(line.split()[0])
                got.append(server.retr(number)[1])
                server.dele(number)
        finally:
            server.quit()
        got.append("done")
    except (module.error_proto, OSError):
        got.append("failed")


def by_kind(module: ModuleType, connect: Connect, got: list[object]) -> None:
    """Run a downloader that continues after a refusal, but not after the connection breaks."""
    server = connect()
    try:
        server.user("me")
        server.pass_("secret")
        for number in range(1, server.stat()[0] + 1):
            try:
                got.append(server.retr(number)[1])
                server.dele(number)
            except module.error_proto:
                got.append("refused")
        got.append("done")
    except OSError:
        got.append("broken")
    except module.error_proto:
        got.append("refused")
    finally:
        try:
            server.quit()
        except (module.error_proto, OSError):
            server.close()


def quiet_quit(module: ModuleType, connect: Connect, got: list[object]) -> None:
    """Run a checker that reports the kind of error, and ignores errors of quit in two except clauses."""
    server = connect()
    try:
        server.user("me")
        server.pass_("secret")
        got.append(server.stat())
        got.append(server.retr(1)[1])
    except module.error_proto as error:
        got.append(type(error).__name__)
    except TimeoutError:
        got.append("timeout")
    except OSError:
        got.append("broken")
    try:
        server.quit()
    except module.error_proto:
        pass
    except OSError:
        pass


def closing(module: ModuleType, connect: Connect, got: list[object]) -> None:
    """Run a synchronizer that tries several times, and always closes."""
    for attempt in range(3):
        server = None
        try:
            if attempt:
                raise OSError("the network is down")
            server = connect()
            server.user("me")
            server.pass_("secret")
            got.append([server.retr(number)[1] for number in (1, 2)])
            server.quit()
            break
        except (module.error_proto, OSError):
            got.append("again")
        finally:
            if server is not None:
                server.close()


PROGRAMS = (retriever, by_kind, quiet_quit, closing)


def run(module: ModuleType, program: Callable[..., None], server: Server) -> list[object]:
    """Run a program against a server; return its results."""
    got: list[object] = []
    opened: list[Any] = []

    with served(server) as port:

        def connect() -> Any:
            opened.append(server.connect(module, port))
            return opened[-1]

        try:
            program(module, connect, got)
        finally:
            for pop in opened:
                with contextlib.suppress(module.error_proto, OSError):
                    pop.close()
    return got


def test_programs_end_as_with_the_standard_library() -> None:
    """A program that handles a cut, a reset, a stall or a refusal at any reply handles it with the drop-in too."""
    for program in PROGRAMS:
        for end in ("cut", "reset", "stall", "refuse"):
            for verb in (b"PASS", b"RETR", b"QUIT") if end == "stall" else VERBS:
                with case(program.__name__, end, verb):
                    theirs, ours = (run(module, program, Server(verb, end)) for module in (standard, poplib))
                    assert ours == theirs


def test_no_quit_is_sent_after_the_connection_breaks() -> None:
    """After a cut, a reset or a stall no QUIT is sent, so the server deletes nothing. After a refusal it is sent."""
    for program in (retriever, by_kind, quiet_quit):
        for end in ("cut", "reset", "stall", "refuse"):
            with case(program.__name__, end):
                server = Server(b"RETR", end)
                run(poplib, program, server)
                assert (server.heard[-1] == b"QUIT") == (end == "refuse")


def test_later_calls_raise_what_the_standard_library_raises() -> None:
    """After a reset or a stall every call raises a plain OSError; after a cut, an error of both kinds."""
    calls = ("stat", "list", "uidl", "noop", "rset", "capa", "quit")
    for end in ("reset", "stall", "cut"):
        for part in (0, 4, 7):
            for module in (standard, poplib):
                server = Server(b"RETR", end, part)
                with served(server) as port, case(end, part, module.__name__):
                    pop = server.connect(module, port)
                    with pytest.raises((module.error_proto, OSError)):
                        pop.retr(1)
                    for name in calls:
                        with pytest.raises((OSError, module.error_proto)) as caught:
                            getattr(pop, name)()
                        if end != "cut":
                            assert isinstance(caught.value, OSError)
                            assert not isinstance(caught.value, module.error_proto)
                        elif module is poplib:
                            assert isinstance(caught.value, OSError)
                            assert isinstance(caught.value, module.error_proto)
                    pop.close()
                    assert module is standard or server.heard == [b"RETR"]


def test_after_a_reset_the_pipe_is_broken() -> None:
    """A program can still distinguish a broken connection from other errors of the system."""
    with served(Server(b"NOOP", "reset")) as port:
        pop = poplib.POP3("127.0.0.1", port, timeout=GENEROUS)
        with pytest.raises(ConnectionResetError):
            pop.noop()
        with pytest.raises(BrokenPipeError):
            pop.quit()
