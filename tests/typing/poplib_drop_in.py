"""A program for the standard library's poplib, with the types of typeshed's stub, that uses the drop-in.

Never run: `mypy --strict` checks it. Except for the hooks and the additions it passes with `import poplib`, too.
"""

import socket
import ssl
from collections.abc import Callable
from typing import BinaryIO, assert_type

from pymailbox import poplib


def every_method(host: str) -> None:
    """Methods have the argument and result types of the stub."""
    pop = poplib.POP3(host, 110, 30.0)
    assert_type(pop.getwelcome(), bytes)
    assert_type(pop.welcome, bytes)
    pop.set_debuglevel(1)
    assert_type(pop.user("me"), bytes)
    assert_type(pop.pass_("secret"), bytes)
    assert_type(pop.stat(), tuple[int, int])
    assert_type(pop.list(), tuple[bytes, list[bytes], int])
    assert_type(pop.retr(1), tuple[bytes, list[bytes], int])
    assert_type(pop.retr("1"), tuple[bytes, list[bytes], int])
    assert_type(pop.dele(1), bytes)
    assert_type(pop.noop(), bytes)
    assert_type(pop.rset(), bytes)
    assert_type(pop.rpop("me"), bytes)
    assert_type(pop.apop("me", "secret"), bytes)
    assert_type(pop.top(1, 0), tuple[bytes, list[bytes], int])
    assert_type(pop.uidl(), tuple[bytes, list[bytes], int])
    assert_type(pop.uidl(1), bytes)
    assert_type(pop.utf8(), bytes)
    assert_type(pop.capa(), dict[str, list[str]])
    assert_type(pop.stls(ssl.create_default_context()), bytes)
    assert_type(pop.quit(), bytes)
    pop.close()


def attributes(pop: poplib.POP3) -> tuple[str, str, int, socket.socket, BinaryIO]:
    """So do attributes."""
    pop.sock.settimeout(10)
    pop.file = pop.sock.makefile("rb")
    return pop.encoding, pop.host, pop.port, pop.sock, pop.file


def inside_tls(host: str) -> poplib.POP3:
    """POP3_SSL is a POP3."""
    try:
        return poplib.POP3_SSL(host, poplib.POP3_SSL_PORT, timeout=10.0, context=ssl.create_default_context())
    except poplib.error_proto as error:
        raise SystemExit(str(error)) from error


def constants() -> tuple[int, int, bytes, bytes, bytes, bool]:
    """So do constants."""
    return poplib.POP3_PORT, poplib.POP3_SSL_PORT, poplib.CR, poplib.LF, poplib.CRLF, poplib.HAVE_SSL


class Proxied(poplib.POP3):
    """Subclasses can override the hooks that existing programs override."""

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return socket.create_connection(("proxy.example.com", 1080), timeout)

    def _putcmd(self, line: str) -> None:
        super()._putcmd(line.upper())


def additions(host: str) -> None:
    """Methods that the standard library does not have."""
    poplib.verify_by_default()
    answer: Callable[[bytes], bytes] = bytes.upper
    with poplib.POP3_SSL(host) as pop:
        assert_type(pop, poplib.POP3_SSL)
        assert_type(pop.auth("X", answer), bytes)
        assert_type(pop.auth("PLAIN", initial_response="\0me\0secret"), bytes)
