"""A diagnosis: two sessions with a server, and what they show.

The first session asks everything that leaves no trace, and ends with QUIT. The second sends UIDL again, then TOP and
RETR for a few small messages, and ends without QUIT, because after QUIT some servers hide or delete what was read. If
the server requires time between logins, there is only one session, without QUIT. A probe that breaks its session is a
finding; the next probe gets a fresh session.

Nothing here sends DELE, and RETR is sent only if EXPIRE 0 is not listed. A password is sent only if `login` would send
it, and a failed login is never repeated.
"""

import functools
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from attrs import define, evolve, field

from pymailbox.account import OAuth2
from pymailbox.diagnosis import certificate, probes
from pymailbox.diagnosis.advice import advise, may_expire
from pymailbox.diagnosis.findings import Answer, Findings
from pymailbox.diagnosis.quirks import explained
from pymailbox.diagnosis.report import Diagnosis
from pymailbox.display import safe_text, secret
from pymailbox.errors import CommandError, ConnectionLost, MailboxError, MailboxLocked, NotSupported, Timeout, TLSError
from pymailbox.mailbox.abstract_mailbox import plan_of
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.password_reference import PasswordReference
from pymailbox.pop3 import flows
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Command
from pymailbox.pop3.connection import Connection
from pymailbox.pop3.flows import Flow
from pymailbox.pop3.settings import ConnectionSettings

__all__ = ["DiagnosisRun"]

T = TypeVar("T")

_CAPA_SECONDS = 10.0  # seconds that CAPA may be silent
_LOOK_SECONDS = 5.0  # seconds of silence allowed while finding out why something failed
_SESSIONS = 5  # most logins
_TIMESTAMP = re.compile(r"<[^<>@\s]+@[^<>\s]+>")
_PAUSES = (0.25, 1.0, 2.0)  # seconds; a server may keep the lock for a moment after a session ends


class _NoCapa(Exception):
    """CAPA ended the connection; the next one does without it."""


@define(eq=False)
class DiagnosisRun:
    """One diagnosis of a mailbox's account; the mailbox itself is never opened."""

    mailbox: Mailbox
    _settings: ConnectionSettings = field(init=False, repr=False)
    _utf8: bool = field(init=False)
    _findings: Findings = field(init=False)
    #: All connections so far; `run` closes them in the end.
    _connections: list[Connection] = field(factory=list, init=False, repr=False)
    _may_ask_capa: bool = field(init=False)
    #: The quirk that CAPA seems to show, and its error, until a session without CAPA gets further.
    _capa_suspected: tuple[str, MailboxError] | None = field(default=None, init=False)
    _pipelining_broke: bool = field(default=False, init=False)
    _logins: int = field(default=0, init=False)
    _password: Any = field(default=None, init=False, repr=False)
    _auth: Any = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._settings, self._utf8 = plan_of(self.mailbox)
        if self._settings.sock is not None:
            raise ValueError("a diagnosis connects several times, so it cannot use sock=")
        account = self.mailbox.account
        self._findings = Findings(Diagnosis(url=account.url))
        self._password, self._auth = self._read_once(account.password), account.auth
        if isinstance(account.auth, OAuth2):
            self._auth = OAuth2(self._read_once(account.auth.token))
        self._may_ask_capa = self._settings.capa

    def _read_once(self, credential: Any) -> Any:
        """Return a password or token as it was given; a callable or a reference as a callable that is used once."""
        account, findings = self.mailbox.account, self._findings
        is_reference = isinstance(credential, PasswordReference)
        read = credential.reader(account.host, account.user) if is_reference else credential

        @functools.cache
        def read_once() -> Any:
            findings.step = "password"
            found = secret(read())
            findings.step = "login"
            return found

        return read_once if callable(read) else read

    def run(self) -> None:
        """Run the whole diagnosis; `conclude` returns the report."""
        try:
            connection = self._connect()
            if connection is not None and self._may_log_in(connection) and self._log_in_once(connection):
                connection = self._survey(connection)
                if connection is not None and self._findings.report.count:
                    self._read(connection)
        finally:
            for connection in self._connections:
                connection.close()

    def conclude(self) -> Diagnosis:
        """Return the report, with quirks and advice."""
        findings = self._findings
        if self._capa_suspected is not None:
            findings.problem(f"CAPA: {findings.describe(self._capa_suspected[1])}")
        if not findings.report.opened and findings.report.reached != "login":
            findings.disproved.add("OTHER_AUTH_FORM")  # the other form did not work either
        probes.compare(findings)
        findings.redact_again()
        report = evolve(findings.report, quirks=explained(findings.all_quirks()))
        return evolve(report, advice=tuple(advise(report, self.mailbox.account)))

    # --- connecting ---------------------------------------------------------------------------------------

    def _connection(self, **changes: Any) -> Connection:
        settings = evolve(self._settings, **({"capa": self._may_ask_capa} | changes))
        if self._pipelining_broke:
            settings = evolve(settings, pipelining=False)
        connection = Connection.from_settings(settings)
        self._connections.append(connection)
        connection.tries_tls = False  # `_inspect` does, and finds out more
        self._findings.sessions.append(connection.session)
        return connection

    def _connect(self) -> Connection | None:
        """Return a connection that can log in, the second one without CAPA; None if none of them got so far."""
        while True:
            connection = self._connection()
            try:
                self._reach_login(connection)
                return connection
            except _NoCapa:
                connection.close()
            except MailboxError as error:
                connection.close()
                self._explain(error, connection)
                return None

    def _reach_login(self, connection: Connection) -> None:
        """Connect, up to the point of logging in: greeting, TLS, capabilities before and after it."""
        findings, security, session = self._findings, self.mailbox.account.security, connection.session
        findings.step = "connection"
        connection.connect()
        findings.set(reached="connection")
        if security == "tls":
            self._see_tls(connection)
        findings.step = "greeting"
        connection.run(flows.greet(session, "none"))
        findings.set(greeting=findings.clean(session.greeting), reached="greeting")
        if security != "tls":
            findings.set(capabilities_before_tls=self._capabilities(connection))
        if security == "starttls":
            findings.step = "STLS"
            connection.run(flows.start_tls(session))
            self._capa_is_to_blame()
            self._see_tls(connection)
        if security != "none":
            findings.set(capabilities_after_tls=self._capabilities(connection))

    def _explain(self, error: MailboxError, connection: Connection) -> None:
        """Note what failed before the login, and find out why."""
        findings = self._findings
        if findings.step == "connection":
            if connection.opened:
                findings.set(reached="connection")
                findings.step = "TLS"
            elif isinstance(error.__cause__, socket.gaierror | UnicodeError):
                findings.step = "host name"
        elif findings.step == "STLS" and isinstance(error, TLSError):
            findings.step = "TLS"
        findings.fail(error)
        self._inspect(error)

    def _capabilities(self, connection: Connection) -> Capabilities | None:
        """Send CAPA; return None if it is refused. If the server closes or never answers, do not send it again."""
        if not self._may_ask_capa:
            return None
        findings, usual = self._findings, connection.timeout
        findings.step = "CAPA"
        connection.timeout = _least(usual, _CAPA_SECONDS)
        try:
            return findings.cleaned(connection.run(flows.discover(connection.session)))
        except NotSupported:
            findings.quirks.add("NO_CAPA")
            return None
        except (ConnectionLost, Timeout) as error:
            self._capa_suspected = ("HANGS_ON_CAPA" if isinstance(error, Timeout) else "CLOSES_ON_CAPA", error)
            self._may_ask_capa = False
            raise _NoCapa from error
        finally:
            connection.timeout = usual

    def _capa_is_to_blame(self) -> None:
        """Note that CAPA, which broke a session, is the cause, because the server answers other commands."""
        if self._capa_suspected is not None:
            self._findings.quirks.add(self._capa_suspected[0])
            self._findings.probe("CAPA", False, "it breaks the session, so not repeated")
            self._capa_suspected = None

    def _see_tls(self, connection: Connection) -> None:
        seen = certificate.examine(connection.session.tls, self._with_context, self._to_tls, trusted=True)
        self._findings.set(encryption=seen)
        if self._findings.report.reached == "connection":
            self._findings.set(reached="TLS")

    def _looking(self, **changes: Any) -> Connection:
        """Return a connection for finding out why something failed; it is not used to log in."""
        return self._connection(timeout=_least(self._settings.timeout, _LOOK_SECONDS), capa=False, **changes)

    def _with_context(self, context: ssl.SSLContext) -> Connection:
        return self._looking(ssl_context=context)

    def _to_tls(self, connection: Connection) -> None:
        connection.connect()
        if connection.security == "starttls":
            connection.run(flows.greet(connection.session, "starttls"))

    def _inspect(self, error: MailboxError) -> None:
        """Find out why the login was not reached: the certificate, or the wrong kind of port. Do not log in."""
        findings, security = self._findings, self.mailbox.account.security
        if findings.step == "TLS":
            findings.set(encryption=certificate.look(self._with_context, self._to_tls))
            if security == "tls" and findings.report.encryption is None:
                self._try_without_tls()
        elif findings.step == "greeting" and security != "tls" and not isinstance(error, CommandError):
            dial = functools.partial(self._looking, security="tls")
            findings.set(encryption=certificate.look(lambda context: dial(ssl_context=context), Connection.connect))

    def _try_without_tls(self) -> None:
        """Check whether the port uses POP3 without TLS; if not, the first error is enough."""
        findings = self._findings
        try:
            plain = self._looking(security="none")
        except ValueError as refused:
            findings.problem(f"the port was not tried without TLS: {findings.describe(refused)}")
            return
        with suppress(MailboxError), plain as pop:
            findings.set(greeting=findings.clean(pop.greeting))
            findings.set(capabilities_before_tls=findings.cleaned(pop.capa()))

    # --- the login ----------------------------------------------------------------------------------------

    def _may_log_in(self, connection: Connection) -> bool:
        findings, account = self._findings, self.mailbox.account
        capabilities = findings.report.capabilities()
        listed = [*capabilities.sasl, *(["USER"] if "USER" in capabilities else ())]
        if _TIMESTAMP.search(connection.greeting):
            listed.append("APOP")
        findings.set(mechanisms=tuple(listed))
        external = "EXTERNAL" in capabilities.sasl and connection.session.secure
        if account.password is None and account.auth is None and not external:
            findings.problem("no password was given, so the login and everything after it were not examined")
            return False
        return True

    def _log_in_once(self, connection: Connection) -> bool:
        """Log in once; another attempt after a refusal could lock the account."""
        findings = self._findings
        seen: list[str] = []
        findings.step = "login"
        try:
            self._log_in(connection, seen)
        except (MailboxError, ValueError) as error:
            connection.close()
            findings.fail(error)
            if isinstance(error, CommandError):
                self._capa_is_to_blame()
            return False
        finally:
            findings.set(mechanism=_mechanism(seen))
        self._capa_is_to_blame()
        findings.set(reached="login")
        return True

    def _log_in(self, connection: Connection, seen: list[str]) -> None:
        from pymailbox.pop3 import login

        account, session = self.mailbox.account, connection.session
        self._logins += 1
        if self._utf8:
            connection.run(flows.ask_utf8(session))
        connection.run(_watched(login.login(session, account.user, self._password, self._auth), seen))

    def _again(self) -> Connection | None:
        """Open another session; return None if that is not possible, which is a finding."""
        findings = self._findings
        report, security = findings.report, self.mailbox.account.security
        if report.capabilities().login_delay:
            findings.problem("no other session was opened, because the server requires time between logins")
            return None
        if self._logins >= _SESSIONS:
            findings.problem(f"the diagnosis stopped after {_SESSIONS} sessions; the rest was not examined")
            return None
        pauses = iter(_PAUSES)
        while True:
            connection = self._connection()
            try:
                connection.connect()
                connection.run(flows.establish(connection.session, security))
                self._log_in(connection, [])
                connection.session.learn(report.capabilities())
                return connection
            except MailboxError as error:
                connection.close()
                pause = next(pauses, None)
                if pause is None or not isinstance(error, MailboxLocked):
                    findings.problem(f"another session could not be opened: {findings.describe(error)}")
                    return None
            time.sleep(pause)

    # --- in the mailbox -----------------------------------------------------------------------------------

    def _survey(self, connection: Connection) -> Connection | None:
        """Ask what leaves no trace; return the session in which to read messages, None if there is none."""
        findings = self._findings
        current: Connection | None = self._probe("CAPA", probes.capa, connection)
        if current is None or not self._count(current):
            return current
        for name, probe in (
            ("NOOP", probes.round_trip),
            ("LIST", probes.listing),
            ("UIDL", probes.uidl),
            ("PIPELINING", probes.pipelining),
        ):
            current = self._probe(name, probe, current)
        if current is None or findings.report.capabilities().login_delay:
            return current
        try:
            current.quit()  # commits nothing, because no message was marked or read
        except MailboxError as error:
            findings.probe("QUIT", False, findings.describe(error))
        else:
            findings.probe("QUIT", True, "")
        return self._again() if findings.report.count else None

    def _count(self, connection: Connection) -> bool:
        """Send STAT, because the account can be opened only if it works."""
        self._findings.step = "STAT"
        try:
            held = connection.stat()
        except MailboxError as error:
            self._findings.fail(error)
            return False
        self._findings.set(count=held.count, size=held.size, opened=True, reached="mailbox")
        return True

    def _probe(
        self, name: str, probe: Callable[[Connection, Findings], None], connection: Connection | None
    ) -> Connection | None:
        """Run one probe; return the session for the next one, a fresh session if this one broke."""
        if connection is None:
            return None
        findings = self._findings
        try:
            probe(connection, findings)
        except MailboxError as error:
            if name == "NOOP":  # required of every server, so it is not one of the report's probes
                findings.problem(f"{name}: {findings.describe(error)}")
            else:
                findings.probe(name, False, findings.describe(error))
            self._pipelining_broke = self._pipelining_broke or name == "PIPELINING"
            self._may_ask_capa = self._may_ask_capa and name != "CAPA"
            return self._unbroken(connection)
        return connection

    def _unbroken(self, connection: Connection) -> Connection | None:
        """Return the session, or a fresh one if it broke; None if there can be no other."""
        if connection.session.protocol.failure is None:
            return connection
        connection.close()
        return self._again()

    def _read(self, connection: Connection) -> None:
        """Read a few messages. No QUIT follows."""
        findings = self._findings
        current = self._probe("UIDL", probes.stable, connection)
        current = self._each(lambda pop, number: pop.top(number, 0), probes.headed(findings), findings.tops, current)
        if not may_expire(findings.report):
            self._each(probes.whole, probes.sample(findings), findings.wholes, current)

    def _each(
        self,
        ask: Callable[[Connection, int], bytes],
        numbers: Iterable[int],
        answers: dict[int, Answer],
        connection: Connection | None,
    ) -> Connection | None:
        """Ask for messages one by one; stop after two broken sessions, because one may be due to a single message."""
        findings, broken = self._findings, 0
        for number in numbers:
            if connection is None or broken == 2:
                break
            try:
                answers[number] = Answer(ask(connection, number))
            except CommandError as refused:
                answers[number] = Answer(problem=probes.refusal(refused, findings), refused=True)
            except MailboxError as error:
                broken += 1
                answers[number] = Answer(problem=safe_text(error.problem))
                if answers is findings.wholes:
                    findings.problem(f"RETR: {findings.describe(error)}")
                connection = self._unbroken(connection)
        return connection


def _watched(flow: Flow[T], seen: list[str]) -> Flow[T]:
    """Run a flow, and note its commands with secrets redacted."""
    answer: Any = None
    failure: MailboxError | None = None
    while True:
        try:
            step = flow.send(answer) if failure is None else flow.throw(failure)
        except StopIteration as end:
            result: T = end.value
            return result
        if isinstance(step, Command):
            seen.append(step.redacted)
        answer = failure = None
        try:
            answer = yield step
        except MailboxError as error:
            failure = error


def _mechanism(seen: list[str]) -> str | None:
    """Return the login mechanism that was tried last."""
    for command in reversed(seen):
        verb, _, rest = command.partition(" ")
        if verb in ("AUTH", "APOP", "PASS"):
            return {"AUTH": rest.partition(" ")[0], "APOP": "APOP", "PASS": "USER"}[verb]
    return None


def _least(timeout: float | None, bound: float) -> float:
    return bound if timeout is None else min(timeout, bound)
