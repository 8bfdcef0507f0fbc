"""The drop-in keeps its contract where the standard library has no tests: hooks, failures, secrets and TLS."""

import contextlib
import hashlib
import io
import poplib as standard
import socket
import ssl
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import trustme

from pymailbox import poplib
from pymailbox.pop3.limits import Limits
from tests import case
from tests.poplib.script import Scripted, client, outcomes, served
from tests.replay import WatchedClock
from tests.timing import GENEROUS, Clock, assert_linear

HELLO = b"+OK hello <1896.697170952@pop.example.com>\r\n"
OK = b"+OK\r\n"


@pytest.fixture
def scripted(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Return a factory of POP3 objects that get canned replies; they are closed at the end."""
    opened: list[Any] = []

    def start(*replies: bytes, sizes: tuple[int, ...] = (1 << 20,)) -> Any:
        opened.append(client(poplib, [HELLO, *replies], sizes))
        return opened[-1]

    yield start
    for pop in opened:
        pop.close()
        pop.scripted.close()


# --- names ----------------------------------------------------------------------------------------------------


def test_names_are_the_standard_librarys() -> None:
    """The module and its classes have every name of the standard library, with equal constants and the same error class."""
    assert {name for name in vars(standard) if not name.startswith("__")} - set(vars(poplib)) <= {"errno"}
    for kind in ("POP3", "POP3_SSL"):
        assert set(dir(getattr(standard, kind))) <= set(dir(getattr(poplib, kind)))
    assert set(poplib.__all__) == set(standard.__all__)
    for name in ("CR", "LF", "CRLF", "POP3_PORT", "POP3_SSL_PORT", "HAVE_SSL", "_MAXLINE", "error_proto"):
        assert getattr(poplib, name) == getattr(standard, name)
    assert poplib.error_proto is standard.error_proto


def test_attributes_are_the_standard_librarys(scripted: Callable[..., Any]) -> None:
    """host, port, sock, file, welcome, timestamp, _debugging and _tls_established have the same meaning as there."""
    pop = scripted(OK)
    assert (pop.host, pop.port, pop.welcome) == ("pop.example.com", 110, HELLO[:-2])
    assert (pop._debugging, pop._tls_established, pop.encoding) == (0, False, "UTF-8")
    assert pop.sock is pop.scripted
    assert pop.timestamp.match(pop.welcome)[1] == b"<1896.697170952@pop.example.com>"
    assert pop.getwelcome() is pop.welcome


def test_audit_events_are_the_standard_librarys() -> None:
    """poplib.connect has host and port, poplib.putline the line without its end, after the object itself."""
    seen: list[tuple[Any, ...]] = []
    listening = True
    sys.addaudithook(lambda event, args: seen.append((event, *args)) if listening and "poplib" in event else None)
    pop = client(poplib, [HELLO, OK])
    with closing(pop), closing(pop.scripted):
        pop.noop()
    listening = False
    assert seen == [("poplib.connect", pop, "pop.example.com", 110), ("poplib.putline", pop, b"NOOP")]


# --- hooks ----------------------------------------------------------------------------------------------------


def test_maxline_is_read_at_each_call(scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """_MAXLINE limits the bytes of a status line including its end, with its value at the time of reading."""
    pop = scripted(b"+OK " + b"x" * 2042 + b"\r\n", b"+OK " + b"x" * 5000 + b"\r\n", b"+OK " + b"x" * 5000 + b"\r\n")
    assert len(pop.noop()) == 2046
    monkeypatch.setattr(poplib, "_MAXLINE", 65536)
    assert len(pop.noop()) == 5004
    monkeypatch.setattr(poplib, "_MAXLINE", 5005)
    with pytest.raises(poplib.error_proto, match=r"^line too long$"):
        pop.noop()


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_file_reads_the_same_buffer(scripted: Callable[..., Any], size: int) -> None:
    """Lines, bytes and replies can be read in turn, with `file` or the methods; nothing is lost or read twice."""
    pop = scripted(b"+OK\r\none\r\n..two\r\nthree\r\n.\r\n", b"+OK 1 2\r\n", sizes=(size,))
    pop._putcmd("RETR 1")
    assert pop.file.readline() == b"+OK\r\n"
    assert pop.file.read(2) == b"on"
    assert pop.file.readline() == b"e\r\n"
    assert pop._getline() == (b"..two", 7)
    assert pop.file.readline(3) == b"thr"
    assert pop.file.readline() == b"ee\r\n"
    assert pop._getline() == (b".", 3)
    assert pop.stat() == (1, 2)
    assert pop.file.read() == b""
    assert pop.file.readline() == b""


def test_a_message_can_be_read_line_by_line(scripted: Callable[..., Any]) -> None:
    """Programs can call `_getline` up to the dot, and long lines of a message work there too."""
    long = b"x" * 100_000
    pop = scripted(b"+OK\r\n" + long + b"\r\ny\r\n.\r\n", b"+OK 1 2\r\n", sizes=(7000,))
    assert pop._shortcmd("RETR 1") == b"+OK"
    lines = []
    while (line := pop._getline()[0]) != b".":
        lines.append(line)
    assert lines == [long, b"y"]
    assert pop.stat() == (1, 2)


def test_commands_can_be_sent_together(scripted: Callable[..., Any]) -> None:
    """With the underscore methods, a program can send several commands before it reads the replies."""
    pop = scripted(b"", b"+OK\r\na\r\n.\r\n+OK\r\nb\r\n.\r\n", OK)
    pop._putcmd("RETR 1")
    pop._putcmd("RETR 2")
    assert pop._getlongresp() == (b"+OK", [b"a"], 3)
    assert pop._getlongresp() == (b"+OK", [b"b"], 3)
    assert pop.noop() == b"+OK"


def test_overridden_methods_are_called() -> None:
    """The underscore methods call each other, so a subclass can override any of them."""
    seen: list[tuple[str, object]] = []

    class Watching(poplib.POP3):
        def _create_socket(self, timeout: float | None) -> socket.socket:
            return Scripted([HELLO, b"+OK\r\n..a\r\n.\r\n", OK])

        def _putcmd(self, line: str) -> None:
            seen.append(("putcmd", line))
            super()._putcmd(line)

        def _putline(self, line: bytes) -> None:
            seen.append(("putline", line))
            super()._putline(line)

        def _getline(self) -> tuple[bytes, int]:
            line = super()._getline()
            seen.append(("getline", line))
            return line

    with Watching("pop.example.com") as pop:
        assert pop.retr(1) == (b"+OK", [b".a"], 4)
        assert pop.quit() == b"+OK"
    assert seen == [
        ("getline", (HELLO[:-2], len(HELLO))),
        ("putcmd", "RETR 1"),
        ("putline", b"RETR 1"),
        ("getline", (b"+OK", 5)),
        ("getline", (b"..a", 5)),
        ("getline", (b".", 3)),
        ("putcmd", "QUIT"),
        ("putline", b"QUIT"),
        ("getline", (b"+OK", 5)),
    ]


@pytest.mark.parametrize("kind", ["makefile", "lines"])
def test_a_subclass_can_connect_in_its_own_way(kind: str) -> None:
    """An `__init__` that sets little more than sock and file, as in many programs, still gets the framing."""

    class Lines(io.BytesIO):
        read1 = None

    class Own(poplib.POP3):
        def __init__(self) -> None:
            replies = HELLO + b"+OK\r\nx\n.\n" + b"y" * 3000 + b"\r\n.\r\n"
            self.host = "pop.example.com"
            self.sock = Scripted([HELLO, replies[len(HELLO) :], OK])
            self.file = self.sock.makefile("rb") if kind == "makefile" else Lines(replies + OK)
            self._debugging = 0
            self.welcome = self._getresp()

    with Own() as pop:
        assert pop.welcome == HELLO[:-2]
        assert pop.retr(1) == (b"+OK", [b"x", b".", b"y" * 3000], 3006)
        pop.quit()


def test_a_program_can_log_in_by_hand(scripted: Callable[..., Any]) -> None:
    """In a program's own AUTH, a challenge is a positive response, and `_putline` sends the answer."""
    pop = scripted(b"+ \r\n", b"+OK logged in\r\n")
    assert pop._shortcmd("AUTH XOAUTH2") == b"+ "
    pop._putline(b"dXNlcj1tZQ==")
    assert pop._getresp() == b"+OK logged in"


# --- failures -------------------------------------------------------------------------------------------------


def test_no_argument_can_inject_a_command(scripted: Callable[..., Any]) -> None:
    """A control character anywhere in an argument is ValueError; nothing is sent, and the session continues."""
    for control in ("\r", "\n", "\0", "\t", "\x1b", "\x7f"):
        pop = scripted(OK)
        bad = f"1{control}DELE 1"
        calls = [
            *((name, bad) for name in ("user", "pass_", "rpop", "dele", "retr", "list", "uidl")),
            *((name, bad) for name in ("_shortcmd", "_longcmd", "_putcmd", "auth")),
            *((name, bad, "1") for name in ("top", "apop")),
            ("_putline", bad.encode()),
        ]
        for name, *arguments in calls:
            with (
                case(name, arguments),
                pytest.raises(ValueError, match=r"^Control characters not allowed in commands$"),
            ):
                getattr(pop, name)(*arguments)
        assert pop.scripted.sent == [], control
        assert pop.noop() == b"+OK", control


def test_quit_closes_whatever_the_reply(scripted: Callable[..., Any]) -> None:
    """A refused or unanswered QUIT raises, but the socket is closed."""
    for reply, argument in (
        (b"-ERR some deleted messages not removed\r\n", b"-ERR some deleted messages not removed"),
        (b"", "-ERR EOF"),
    ):
        pop = scripted(reply)
        with pytest.raises(poplib.error_proto) as caught:
            pop.quit()
        assert caught.value.args == (argument,)
        assert pop.scripted.fileno() == -1
        assert (pop.sock, pop.file) == (None, None)


def test_a_closed_session_raises_error_proto(scripted: Callable[..., Any]) -> None:
    """close() can be called again; everything else raises error_proto."""
    pop = scripted(OK)
    with pop:
        pass
    pop.close()
    assert pop.scripted.sent == []
    for call in (pop.noop, pop.quit, pop.capa, pop._getline):
        with pytest.raises(poplib.error_proto, match=r"^-ERR the connection is closed; create a new POP3 object$"):
            call()


def test_a_greeting_that_fails_closes_the_socket() -> None:
    """A refused, missing or invalid greeting raises and leaves no open socket."""
    for greeting, argument in (
        (b"-ERR busy\r\n", b"-ERR busy"),
        (b"", "-ERR EOF"),
        (b"HTTP/1.1 400\r\n", b"HTTP/1.1 400"),
    ):
        scripted = Scripted([greeting])

        class Own(poplib.POP3):
            def _create_socket(self, timeout: float | None, scripted: Scripted = scripted) -> socket.socket:
                return scripted

        with pytest.raises(poplib.error_proto) as caught:
            Own("pop.example.com")
        assert caught.value.args == (argument,)
        assert scripted.fileno() == -1


def test_parting_words_are_not_a_reply(scripted: Callable[..., Any]) -> None:
    """What a server sent before it closed is raised, not taken as the next reply, and no command is sent."""
    pop = scripted(b"+OK 1 1\r\n", OK)
    pop.stat()
    pop.scripted.server.sendall(b"-ERR autologout\r\n")
    with pytest.raises(poplib.error_proto) as caught:
        pop.dele(1)
    assert caught.value.args == (b"-ERR autologout",)
    assert pop.scripted.sent == [b"STAT\r\n"]
    with pytest.raises(poplib.error_proto, match=r"^-ERR the server closed the session$"):
        pop.quit()


def test_an_interruption_ends_the_session(scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C inside a command passes through; after that no command is sent, and certainly no QUIT."""
    pop = scripted(OK, OK)

    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    pop.file._receive = interrupt
    with pytest.raises(KeyboardInterrupt):
        pop.dele(1)
    with pytest.raises(poplib.error_proto, match=r"^-ERR the session broke off"):
        pop.quit()
    assert pop.scripted.sent == [b"DELE 1\r\n"]


def test_a_timeout_is_the_sockets_own(scripted: Callable[..., Any]) -> None:
    """Silence is TimeoutError after the socket's timeout, even if set later; then the session is over."""
    pop = scripted(b"", b"", OK)
    pop.sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        pop.noop()
    for call in (pop.noop, pop.stat, pop.quit):
        with pytest.raises(OSError, match="timed out") as caught:
            call()
        assert not isinstance(caught.value, poplib.error_proto)
    with pytest.raises(ValueError, match="timeout=0"):
        poplib.POP3("127.0.0.1", 1, timeout=0)


def dripping(begun: bytes, line: bytes, call: Callable[[Any], object], kind: type = poplib.POP3) -> None:
    """Drip the rest of a reply, a byte per second of the client's clock; assert that the client gives up in time."""
    clock = WatchedClock()
    begun_at = clock.now

    def serve(connection: socket.socket) -> None:
        connection.sendall(HELLO)
        connection.recv(100)
        connection.sendall(begun)
        with contextlib.suppress(OSError):
            for byte in line * 200:
                before = clock.readings  # the clock is read before each wait, and when data has arrived
                connection.sendall(bytes([byte]))
                if not clock.seen(connection, before):
                    return
                clock.advance(1)

    with served(serve) as port, kind("127.0.0.1", port, timeout=GENEROUS) as pop:
        pop.file._clock = clock
        with pytest.raises(TimeoutError, match="minimum_rate"):
            call(pop)
        assert GENEROUS <= clock.now - begun_at <= 2 * GENEROUS + 3
        with pytest.raises(OSError, match="too slow") as caught:
            pop.quit()
        assert not isinstance(caught.value, poplib.error_proto)


class LineByLine(poplib.POP3):
    """A subclass that reads each line itself."""

    def _getline(self) -> tuple[bytes, int]:
        return super()._getline()


def read_lines(pop: poplib.POP3) -> None:
    """Read a message line by line, as programs do that need no list."""
    pop._shortcmd("RETR 1")
    while pop._getline()[0] != b".":
        pass


def test_a_dripping_server_times_out() -> None:
    """A server that sends fewer than 100 bytes per second over one timeout is a TimeoutError.

    This is so even if it ends lines meanwhile, or the program reads line by line.
    """
    cases: list[tuple[str, bytes, bytes, Callable[[Any], object], type]] = [
        ("status", b"", b"+", lambda pop: pop.noop(), poplib.POP3),
        ("lines", OK, b"slow body\r\n", lambda pop: pop.retr(1), poplib.POP3),
        ("one line", OK, b"x", lambda pop: pop.retr(1), poplib.POP3),
        ("empty lines", OK, b"\r\n", lambda pop: pop.top(1, 0), poplib.POP3),
        ("listing", OK, b"1 2\r\n", lambda pop: pop.list(), poplib.POP3),
        ("uids", OK, b"1 a\r\n", lambda pop: pop.uidl(), poplib.POP3),
        ("a subclass", OK, b"a\r\n", lambda pop: pop.retr(1), LineByLine),
        ("by hand", OK, b"\r\n", read_lines, poplib.POP3),
        ("the file", OK, b"a\r\n", lambda pop: (pop._shortcmd("RETR 1"), list(pop.file)), poplib.POP3),
    ]
    for name, begun, line, call, kind in cases:
        with case(name):
            dripping(begun, line, call, kind)


def test_time_between_calls_does_not_count(scripted: Callable[..., Any]) -> None:
    """A program may spend any time on each line of a message, because the clock runs only while it waits for the server."""
    pop = scripted(OK + b"x\r\n" * 20 + b".\r\n", OK, sizes=(3,))
    clock = pop.file._clock = Clock()
    pop._shortcmd("RETR 1")
    while pop._getline()[0] != b".":
        clock.advance(1000)
    assert pop.noop() == b"+OK"


def test_a_message_is_limited() -> None:
    """`limits.message` limits a message or a listing; a subclass or an object can have different limits."""
    pop = client(poplib, [HELLO, OK + b"x" * 3000 + b"\r\n.\r\n", OK], [500])
    with closing(pop), closing(pop.scripted):
        pop.file.protocol.limits = Limits(message=2000)
        with pytest.raises(poplib.error_proto, match=r"POP3.limits.message"):
            pop.retr(1)


def short_lines(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield bodies of that size, with lines of several short lengths."""
    for line in (
        b"\n",
        b"\r\n",
        b"a\n",
        b"ab\n",
        b"ab\r\n",
        b"abcd\r\n",
        b"0123456789abcdefg\r\n",
        b"x" * 76 + b"\r\n",
    ):
        first = b"first\r\n" if line.endswith(b"\r\n") else b"first\n"
        yield repr(line), first + line * ((size - len(first)) // len(line))


def test_memory_of_a_list_of_lines_is_bounded() -> None:
    """However short its lines, a message or listing takes at most five times `limits.message`, or is error_proto."""
    most = 200_000

    class Small(poplib.POP3):
        limits = Limits(message=most)

    class SmallByLine(LineByLine):
        limits = Limits(message=most)

    calls: list[tuple[type, Callable[[Any], object]]] = [
        (Small, lambda pop: pop.retr(1)),
        (Small, lambda pop: pop.uidl()),
        (SmallByLine, lambda pop: pop.retr(1)),
    ]
    for number, (kind, call) in enumerate(calls):
        for name, body in short_lines(most - 10):
            with case(number, name):
                reply = OK + body + b"\r\n.\r\n"

                def serve(connection: socket.socket, reply: bytes = reply) -> None:
                    connection.sendall(HELLO)
                    connection.recv(100)
                    with contextlib.suppress(OSError):
                        connection.sendall(reply)

                with served(serve) as port, kind("127.0.0.1", port, timeout=GENEROUS) as pop:
                    tracemalloc.start()
                    try:
                        result = call(pop)
                    except poplib.error_proto as error:
                        result = error
                    most_taken = tracemalloc.get_traced_memory()[1]
                    tracemalloc.stop()
                    assert most_taken < 5 * most
                    honest = len(body.split(b"\n")[1]) >= 18
                    assert isinstance(result, tuple) == honest, "a message with 19 bytes per line is returned"


def test_a_long_line_read_alone_takes_linear_time() -> None:
    """A line that arrives in many pieces is joined only once, even if a program reads just that line."""

    def prepare(n: int) -> Callable[[], object]:
        pop = client(poplib, [HELLO])
        pieces = iter([b"x" * 100] * n + [b"\r\n"])
        pop.file._receive = lambda _: next(pieces)

        def read() -> None:
            with closing(pop), closing(pop.scripted):
                assert pop._getline() == (b"x" * 100 * n, 100 * n + 2)

        return read

    assert_linear(prepare, 2_000)


# --- line ends ------------------------------------------------------------------------------------------------


def test_top_with_bare_lfs_is_read_as_by_the_standard_library() -> None:
    """A TOP body with bare LFs that ends in LF . CRLF, after a CRLF status line, gives the same result as there."""
    bodies = [
        b"From: a\nSubject: b\n\n",
        b"\n",
        b"",
        b"..\n...\n..x\n",
        b"a\n\nbody\r\nmixed\n",
        b"a\r\n\r\nas it should be\r\n",
        b"x" * 1000 + b"\n" + b"y" * 1000 + b"\n",
    ]
    for body in bodies:
        for end in (b".\r\n", b".\n"):
            if end == b".\n" and b"\r" in body:
                continue
            replies = [HELLO, OK + body + end, b"+OK 1 2\r\n", OK]
            calls = [("top", 1, 0), ("stat",), ("quit",)]
            for size in (1, 2, 3, 7, 1 << 20):
                with case(body, end, size):
                    assert outcomes(poplib, replies, calls, [size]) == outcomes(standard, replies, calls)


def test_a_message_ends_as_the_rfc_says() -> None:
    """Unlike with TOP, a bare LF before a dot does not end a message after a CRLF status line."""
    replies = [HELLO, OK + b"x\n.\r\ny\r\n.\r\n", OK]
    found = outcomes(poplib, replies, [("retr", 1), ("quit",)])
    assert found[1:] == [("value", (b"+OK", [b"x", b".", b"y"], 8)), ("value", b"+OK")]


# --- secrets --------------------------------------------------------------------------------------------------


def test_debugging_shows_no_secret(scripted: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Commands and lines are printed as usual, with passwords, digests and SASL responses as `***`."""
    pop = scripted(OK, OK, OK, b"+ \r\n", OK, b"+OK 1 2\r\n")
    pop.set_debuglevel(2)
    pop.user("me")
    pop.pass_("hunter2")
    pop.apop("me", "hunter2")
    pop.auth("PLAIN", lambda _: "\0me\0hunter2")
    pop.stat()
    printed = capsys.readouterr().out
    digest = hashlib.md5(b"<1896.697170952@pop.example.com>hunter2", usedforsecurity=False).hexdigest()
    for secret in ("hunter2", digest, "AG1lAGh1bnRlcjI="):
        assert secret not in printed
    assert printed.splitlines()[:4] == ["*cmd* 'USER me'", "*put* b'USER me'", "*get* b'+OK\\r\\n'", "*resp* b'+OK'"]
    for line in ("*cmd* 'PASS ***'", "*put* b'PASS ***'", "*cmd* 'APOP ***'", "*cmd* 'AUTH ***'", "*cmd* '***'"):
        assert line in printed.splitlines()
    assert "*stat* [b'+OK', b'1', b'2']" in printed.splitlines()
    assert pop.scripted.sent[1] == b"PASS hunter2\r\n"


# --- login ----------------------------------------------------------------------------------------------------


def test_auth_takes_an_initial_response_or_a_callable(scripted: Callable[..., Any]) -> None:
    """AUTH works with an initial response (`=` if empty), with a callable for the challenges, or with neither."""
    pop = scripted(OK, OK, b"+ UmVhZHk=\r\n", b"+ \r\n", b"+OK in\r\n", b"+ \r\n", b"-ERR cancelled\r\n", b"+ \r\n")
    assert pop.auth("PLAIN", initial_response=b"\0me\0secret") == b"+OK"
    assert pop.auth("EXTERNAL", initial_response="") == b"+OK"
    seen: list[bytes] = []

    def answer(challenge: bytes) -> str:
        seen.append(challenge)
        return "mé"

    assert pop.auth("X", answer) == b"+OK in"
    assert seen == [b"Ready", b""]
    with pytest.raises(poplib.error_proto, match="cancelled"):
        pop.auth("X", lambda _: b"*")
    assert pop.auth("X") == b"+ "
    assert pop.scripted.sent == [
        line + b"\r\n"
        for line in (
            b"AUTH PLAIN AG1lAHNlY3JldA==",
            b"AUTH EXTERNAL =",
            b"AUTH X",
            b"bcOp",
            b"bcOp",
            b"AUTH X",
            b"*",
            b"AUTH X",
        )
    ]
    with pytest.raises(ValueError, match="mutually exclusive"):
        pop.auth("X", answer, b"")


@pytest.mark.parametrize("challenge", [b"+ not base64!\r\n", b"+ YQ==\r\n"])
def test_a_broken_login_ends_the_session(scripted: Callable[..., Any], challenge: bytes) -> None:
    """After bad base64, endless challenges or a failing callable, the server would read a command as the response."""
    pop = scripted(challenge, *[challenge] * 20)
    with pytest.raises(poplib.error_proto):
        pop.auth("X", lambda _: b"a")
    assert len(pop.scripted.sent) <= 11
    sent = len(pop.scripted.sent)
    with pytest.raises(poplib.error_proto):
        pop.quit()
    assert len(pop.scripted.sent) == sent

    def fail(_: bytes) -> bytes:
        raise LookupError("no token")

    pop = scripted(b"+ \r\n", OK)
    with pytest.raises(LookupError):
        pop.auth("X", fail)
    with pytest.raises(poplib.error_proto, match=r"^-ERR the login was interrupted$"):
        pop.quit()


# --- TLS ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Create a certificate authority."""
    return trustme.CA()


def tls(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context for 127.0.0.1, and a client's that trusts it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return server, trusting


def read_line(connection: socket.socket) -> bytes:
    """Read exactly up to the end of a line."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            break
        line += byte
    return line


def test_pop3_ssl_reads_and_deletes(authority: trustme.CA) -> None:
    """Inside TLS, a message of many records arrives, and commands work after unsolicited session tickets."""
    server, trusting = tls(authority)

    def serve(connection: socket.socket) -> None:
        with server.wrap_socket(connection, server_side=True) as secure:
            secure.sendall(HELLO)
            for reply in (OK, b"+OK\r\n" + b"x" * 74 * 1000 + b"\r\n.\r\n", OK):
                read_line(secure)
                secure.sendall(reply)

    with served(serve) as port:
        pop = poplib.POP3_SSL("127.0.0.1", port, timeout=GENEROUS, context=trusting)
        assert isinstance(pop.sock, ssl.SSLSocket)
        assert pop.sock.context is trusting is pop.context
        with pytest.raises(poplib.error_proto, match="already established"):
            pop.stls()
        assert pop.noop() == b"+OK"
        assert pop.retr(1) == (b"+OK", [b"x" * 74_000], 74_002)
        assert pop.quit() == b"+OK"


def test_an_untrusted_certificate_is_an_ssl_error(authority: trustme.CA) -> None:
    """With a verifying context, the `ssl` error passes through and no socket stays open."""
    server, _ = tls(authority)

    def serve(connection: socket.socket) -> None:
        with pytest.raises(ssl.SSLError):
            server.wrap_socket(connection, server_side=True)

    with served(serve) as port, pytest.raises(ssl.SSLCertVerificationError):
        poplib.POP3_SSL("127.0.0.1", port, timeout=GENEROUS, context=ssl.create_default_context())


@pytest.mark.parametrize("injected", [b"", b"+OK 9 9\r\n"])
def test_stls_refuses_injected_plaintext(authority: trustme.CA, injected: bytes) -> None:
    """STLS starts TLS only with an empty buffer; plaintext after its reply is error_proto, and ends the session."""
    server, trusting = tls(authority)

    def serve(connection: socket.socket) -> None:
        connection.sendall(HELLO)
        read_line(connection)
        connection.sendall(b"+OK\r\nstls\r\n.\r\n")
        read_line(connection)
        connection.sendall(OK + injected)
        if injected:
            assert connection.recv(100) == b""
            return
        with server.wrap_socket(connection, server_side=True) as secure:
            assert read_line(secure) == b"QUIT\r\n"
            secure.sendall(OK)

    with served(serve) as port, poplib.POP3("127.0.0.1", port, timeout=GENEROUS) as pop:
        if injected:
            with pytest.raises(poplib.error_proto, match="unencrypted"):
                pop.stls(trusting)
            with pytest.raises(poplib.error_proto):
                pop.pass_("secret")
        else:
            assert pop.stls(context=trusting) == b"+OK"
            assert pop._tls_established
            with pytest.raises(poplib.error_proto, match="already established"):
                pop.stls()
            assert pop.quit() == b"+OK"


def test_keyfile_and_certfile_are_those_of_this_python(tmp_path: Any, authority: trustme.CA) -> None:
    """If the running Python has these arguments, they are deprecated and exclude a context."""
    certificate = authority.issue_cert("me@example.com")
    path = tmp_path / "mine.pem"
    if sys.version_info >= (3, 12):
        with pytest.raises(TypeError):
            poplib.POP3_SSL("127.0.0.1", 1, keyfile=str(path))
        return
    certificate.private_key_and_cert_chain_pem.write_to_path(path)
    with pytest.raises(ValueError, match="mutually"):
        poplib.POP3_SSL("127.0.0.1", 1, keyfile=str(path), context=ssl.create_default_context())
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.warns() as caught, pytest.raises(ConnectionRefusedError):
        poplib.POP3_SSL("127.0.0.1", port, None, str(path))
    assert DeprecationWarning in [warning.category for warning in caught]
