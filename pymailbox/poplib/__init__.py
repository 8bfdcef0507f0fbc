"""A drop-in replacement for the standard library's `poplib`: just change the import to `from pymailbox import poplib`.

Names, arguments, results and exceptions are those of the standard library, even the underscore methods that subclasses
use; `error_proto` is the same class. Underneath are pymailbox's framing and limits. Defects of the standard library
that no program can depend on are fixed; `docs/poplib.md` lists each difference. This module never sends a command that
the program did not ask for, and in particular never QUIT.
"""

import binascii
import re
import socket
import sys
import warnings
from builtins import list as _list  # POP3 has a method of that name
from collections.abc import Callable
from contextlib import suppress
from poplib import error_proto
from types import TracebackType
from typing import BinaryIO, NoReturn, Self, cast, overload

from pymailbox.pop3.limits import Limits
from pymailbox.poplib.lines import checked, redacted
from pymailbox.poplib.reader import Reader, SessionOver, lines_by

try:
    import ssl

    from pymailbox.poplib.tls import UnverifiedTLSWarning as UnverifiedTLSWarning
    from pymailbox.poplib.tls import default_context
    from pymailbox.poplib.tls import verify_by_default as verify_by_default

    HAVE_SSL = True
except ImportError:
    HAVE_SSL = False

__all__ = ["POP3", "error_proto"]

POP3_PORT, POP3_SSL_PORT = 110, 995
CR, LF, CRLF = b"\r", b"\n", b"\r\n"

#: Most bytes of a status line, including its end. It is read at each call, because programs assign to it. It does not
#: limit the lines of a message or a listing.
_MAXLINE = 2048
_LINE_OF_MAIL = 1 << 24  # most bytes of such a line if it is read alone; the longest honest ones have some megabytes

_DEFAULT_TIMEOUT: float | None = vars(socket)["_GLOBAL_DEFAULT_TIMEOUT"]
_LongResp = tuple[bytes, _list[bytes], int]


class POP3:
    """A POP3 session, like the standard library's `poplib.POP3`.

    Results are bytes; a message is a tuple of the response, the list of its lines, and its size in bytes. A refusal or
    an invalid reply raises `error_proto`; the socket's own errors (`OSError`) pass through. After a lost connection or
    a timeout the session is over: every later call, even `quit`, sends nothing and raises `OSError`, and the deletions
    are not committed. A `with` block closes the connection at its end without QUIT; call `quit()` to commit deletions.

    >>> from pymailbox import poplib
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: hello\\r\\n\\r\\nworld\\r\\n"]) as server:
    ...     with poplib.POP3(server.host, server.port) as pop:
    ...         text = pop.user("me"), pop.pass_("secret")
    ...         print(pop.stat(), pop.retr(1)[1:])
    ...         text = pop.quit()
    (1, 25) ([b'Subject: hello', b'', b'world'], 25)
    """

    encoding = "UTF-8"
    #: Limits on what the server may send: `limits.message` bytes for a message or listing, and five times that in
    #: memory for its list of lines, however short they are.
    limits = Limits()

    # Subclasses that connect in other ways may set only some of these.
    host: str
    port: int
    welcome: bytes
    sock: socket.socket
    _reader: Reader | None = None
    _debugging = 0
    _tls_established = False

    def __init__(self, host: str, port: int = POP3_PORT, timeout: float | None = _DEFAULT_TIMEOUT) -> None:
        self.host = host
        self.port = port
        sys.audit("poplib.connect", self, host, port)
        self.sock = self._create_socket(timeout)
        try:
            self._reader = Reader(self.sock, self.limits)
            self.welcome = self._getresp()
        except BaseException:
            self.close()
            raise

    def _create_socket(self, timeout: float | None) -> socket.socket:
        if timeout is not None and not timeout:
            raise ValueError("Non-blocking socket (timeout=0) is not supported")
        return socket.create_connection((self.host, self.port), timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def file(self) -> BinaryIO:
        """A reader over the same buffer as the replies; assign a binary file to read the replies from it instead."""
        return cast(BinaryIO, self._reader)

    @file.setter
    def file(self, file: BinaryIO) -> None:
        self._reader = file if file is None or isinstance(file, Reader) else Reader(file, self.limits)

    # --- out and in ---------------------------------------------------------------------------------------

    def _putline(self, line: bytes) -> None:
        checked(line)
        if self._debugging > 1:
            print("*put*", repr(redacted(line)))
        sys.audit("poplib.putline", self, line)
        reader = self._open()
        reader.ready(line)
        try:
            self.sock.sendall(line + CRLF)
        except BaseException as error:
            reader.break_off(error)
            raise

    def _putcmd(self, line: str) -> None:
        command = checked(bytes(line, self.encoding))
        if self._debugging:
            print("*cmd*", repr(redacted(command).decode(self.encoding, "replace")))
        self._putline(command)

    def _getline(self) -> tuple[bytes, int]:
        """Return one line without its end, and its size in bytes including the end."""
        reader = self._open()
        # If no reply is due, a program is reading a listing or a message line by line, without a list of lines.
        longest = _MAXLINE if reader.protocol.at_status else max(_MAXLINE, _LINE_OF_MAIL)
        line = reader.readline(longest + 1)
        if len(line) > longest:
            reader.give_up("line too long")
            raise error_proto("line too long")
        if self._debugging > 1:
            print("*get*", repr(line))
        if line[-1:] != LF:
            reader.give_up("EOF")
            raise error_proto("-ERR EOF")
        return line[: -2 if line[-2:] == CRLF else -1], len(line)

    def _getresp(self) -> bytes:
        resp, _ = self._getline()
        if self._debugging > 1:
            print("*resp*", repr(resp))
        if resp.partition(b" ")[0].upper() in (b"+OK", b"+"):
            return resp
        if resp[:1] not in (b"+", b"-"):
            self._open().give_up("the server's line is not a POP3 status")
        raise error_proto(resp)

    def _getlongresp(self) -> _LongResp:
        resp = self._getresp()
        if getattr(self._getline, "__func__", None) is not POP3._getline:
            return (resp, *lines_by(self._getline, self._open().bound))
        return (resp, *self._open().lines())

    def _shortcmd(self, line: str) -> bytes:
        self._putcmd(line)
        return self._getresp()

    def _longcmd(self, line: str) -> _LongResp:
        self._putcmd(line)
        return self._getlongresp()

    def _open(self) -> Reader:
        if self._reader is None:
            raise SessionOver("-ERR the connection is closed; create a new POP3 object")
        return self._reader

    # --- the session --------------------------------------------------------------------------------------

    def getwelcome(self) -> bytes:
        """Return the greeting."""
        return self.welcome

    def set_debuglevel(self, level: int) -> None:
        """Print commands (1), or commands and lines (2), as they are sent and received, with secrets as `***`."""
        self._debugging = level

    def user(self, user: str) -> bytes:
        """USER: send the user name; call `pass_` next (RFC 1939 §7)."""
        return self._shortcmd(f"USER {user}")

    def pass_(self, pswd: str) -> bytes:
        """PASS: send the password; the mailbox is then locked until `quit` (RFC 1939 §7)."""
        return self._shortcmd(f"PASS {pswd}")

    def auth(
        self,
        mechanism: str,
        authobject: Callable[[bytes], bytes | str | None] | None = None,
        initial_response: bytes | str | None = None,
    ) -> bytes:
        """AUTH: log in with a SASL mechanism, and return the last response (RFC 5034 §4).

        `authobject` is called with each decoded challenge, and returns the answer, or b"*" to cancel. To send an
        initial response with the command, pass `initial_response` instead.
        """
        if authobject is not None and initial_response is not None:
            raise ValueError("authobject and initial_response are mutually exclusive")
        command = f"AUTH {mechanism}"
        if initial_response is not None:
            command += " " + (self._base64(initial_response) or "=")
        resp = self._shortcmd(command)
        if authobject is None:
            return resp
        rounds = 0
        while resp.partition(b" ")[0] == b"+":
            rounds += 1
            try:
                if rounds > self.limits.sasl_rounds:
                    raise error_proto("-ERR too many challenges from the server (POP3.limits.sasl_rounds)")
                answer = authobject(binascii.a2b_base64(resp[1:].strip(), strict_mode=True))
            except BaseException as error:
                self._open().give_up("the login was interrupted")  # the server would read a command as the answer
                if isinstance(error, binascii.Error):
                    raise error_proto(resp) from error
                raise
            resp = self._shortcmd("*" if answer in (b"*", "*") else self._base64(answer or b""))
        return resp

    def _base64(self, text: bytes | str) -> str:
        return binascii.b2a_base64(
            text.encode(self.encoding) if isinstance(text, str) else text, newline=False
        ).decode()

    def stat(self) -> tuple[int, int]:
        """STAT: return the number of messages and their total size in bytes (RFC 1939 §5)."""
        words = self._shortcmd("STAT").split()
        if self._debugging:
            print("*stat*", repr(words))
        # Some servers return a negative size for 2 GiB or more; it is useless, but the count is not.
        if len(words) < 3 or not words[1].isdigit() or not words[2].removeprefix(b"-").isdigit():
            raise error_proto("-ERR STAT returned no count and size")
        return int(words[1]), int(words[2])

    @overload
    def list(self, which: None = None) -> _LongResp: ...
    @overload
    def list(self, which: object) -> bytes: ...
    def list(self, which: object = None) -> _LongResp | bytes:
        """LIST: return a line `number size` for each message, or the response for one (RFC 1939 §5)."""
        return self._longcmd("LIST") if which is None else self._shortcmd(f"LIST {which}")

    def retr(self, which: object) -> _LongResp:
        """RETR: return the response, lines and size of a message (RFC 1939 §5)."""
        return self._longcmd(f"RETR {which}")

    def dele(self, which: object) -> bytes:
        """DELE: mark a message as deleted; `quit` deletes it (RFC 1939 §5)."""
        return self._shortcmd(f"DELE {which}")

    def noop(self) -> bytes:
        """NOOP: do nothing, which restarts the server's idle timer (RFC 1939 §5)."""
        return self._shortcmd("NOOP")

    def rset(self) -> bytes:
        """RSET: remove all deletion marks (RFC 1939 §5)."""
        return self._shortcmd("RSET")

    def quit(self) -> bytes:
        """QUIT: commit the deletions, and close the connection whatever the reply (RFC 1939 §6)."""
        try:
            return self._shortcmd("QUIT")
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection without QUIT: nothing is committed. May be called again."""
        reader, self._reader = self._reader, None
        sock, self.sock = getattr(self, "sock", None), cast("socket.socket", None)
        try:
            if reader is not None:
                reader.close()
        finally:
            if sock is not None:
                with suppress(OSError):  # it may be closed already
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()

    def rpop(self, user: str) -> bytes:
        """RPOP: log in as a trusted host (RFC 1081)."""
        return self._shortcmd(f"RPOP {user}")

    timestamp = re.compile(rb"\+OK.[^<]*(<.*>)")

    def apop(self, user: str, password: str) -> bytes:
        """APOP: log in with a digest of the greeting's timestamp and the password (RFC 1939 §7)."""
        import hashlib

        stamp = self.timestamp.match(self.welcome)
        if stamp is None:
            raise error_proto("-ERR APOP not supported by server")
        digest = hashlib.md5(stamp[1] + bytes(password, self.encoding), usedforsecurity=False)
        return self._shortcmd(f"APOP {user} {digest.hexdigest()}")

    def top(self, which: object, howmuch: object) -> _LongResp:
        """TOP: return response, lines and size of a message's header and first body lines (RFC 1939 §7)."""
        return self._longcmd(f"TOP {which} {howmuch}")

    @overload
    def uidl(self, which: None = None) -> _LongResp: ...
    @overload
    def uidl(self, which: object) -> bytes: ...
    def uidl(self, which: object = None) -> _LongResp | bytes:
        """UIDL: return a line `number uid` for each message, or the response for one (RFC 1939 §7)."""
        return self._longcmd("UIDL") if which is None else self._shortcmd(f"UIDL {which}")

    def utf8(self) -> bytes:
        """UTF8: allow the server to send UTF-8 headers; call it before login (RFC 6856 §2)."""
        return self._shortcmd("UTF8")

    def capa(self) -> dict[str, _list[str]]:
        """CAPA: return the parameters of each capability, as the server writes them (RFC 2449 §5)."""
        try:
            _, lines, _ = self._longcmd("CAPA")
        except error_proto as error:
            if self._open().failed:
                raise
            raise error_proto("-ERR CAPA not supported by server") from error
        caps: dict[str, _list[str]] = {}
        for line in lines:
            words = line.decode("utf-8", "backslashreplace").split()
            if words:
                known = caps.setdefault(words[0], [])
                known += [word for word in words[1:] if word not in known]
        return caps

    def stls(self, context: "ssl.SSLContext | None" = None) -> bytes:
        """STLS: start TLS on a plaintext connection (RFC 2595 §4); without a context, see `verify_by_default`."""
        if not HAVE_SSL:
            raise error_proto("-ERR TLS support missing")
        if self._tls_established:
            raise error_proto("-ERR TLS session already established")
        if not any(name.upper() == "STLS" for name in self.capa()):
            raise error_proto("-ERR STLS not supported by server")
        if context is None:
            context = default_context()
        resp = self._shortcmd("STLS")
        reader = self._open()
        reader.reset_for_tls()
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
        except BaseException as error:
            reader.break_off(error)
            raise
        self._reader = Reader(self.sock, self.limits)
        self._tls_established = True
        return resp


if HAVE_SSL:

    class POP3_SSL(POP3):  # noqa: N801 - the standard library's name
        """A POP3 session inside TLS, like the standard library's `poplib.POP3_SSL`.

        As there, no certificate is verified without a context; `verify_by_default` changes that.
        """

        if sys.version_info >= (3, 12):

            def __init__(
                self,
                host: str,
                port: int = POP3_SSL_PORT,
                *,
                timeout: float | None = _DEFAULT_TIMEOUT,
                context: ssl.SSLContext | None = None,
            ) -> None:
                self.context = default_context() if context is None else context
                POP3.__init__(self, host, port, timeout)

            def stls(self, context: object = None) -> NoReturn:  # noqa: ARG002 - not used there either
                """Raise `error_proto`, because TLS is already active."""
                raise error_proto("-ERR TLS session already established")

        else:

            def __init__(
                self,
                host: str,
                port: int = POP3_SSL_PORT,
                keyfile: str | None = None,
                certfile: str | None = None,
                timeout: float | None = _DEFAULT_TIMEOUT,
                context: ssl.SSLContext | None = None,
            ) -> None:
                if keyfile is not None or certfile is not None:
                    if context is not None:
                        raise ValueError("context and keyfile or certfile arguments are mutually exclusive")
                    problem = "keyfile and certfile are deprecated, use a custom context instead"
                    warnings.warn(problem, DeprecationWarning, 2)
                self.keyfile, self.certfile = keyfile, certfile
                self.context = default_context(certfile, keyfile) if context is None else context
                POP3.__init__(self, host, port, timeout)

            def stls(self, context: object = None, keyfile: object = None, certfile: object = None) -> NoReturn:  # noqa: ARG002
                """Raise `error_proto`, because TLS is already active."""
                raise error_proto("-ERR TLS session already established")

        def _create_socket(self, timeout: float | None) -> socket.socket:
            sock = POP3._create_socket(self, timeout)
            try:
                return self.context.wrap_socket(sock, server_hostname=self.host)
            except BaseException:
                sock.close()
                raise

    __all__ += ["POP3_SSL"]
