"""DiagnosisRun: two sessions with a server, and what came of them.

The first asks everything that leaves no trace, and says QUIT. The second asks UIDL again, then TOP and RETR of a few
small messages, and is left without QUIT: some servers hide, or delete, what was read once QUIT is said. Where the
server wants time between two logins there is one session, and no QUIT. A probe that ends its session is a finding,
and a fresh session goes on with the next.

Nothing here sends DELE, and RETR only where EXPIRE 0 is not listed. No password is sent to whom `login` would not
send it, and after a login that failed nothing is tried again.
"""

import re
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, evolve, field

from pymailbox.diagnosis import certificate, probes
from pymailbox.diagnosis.advice import advise, may_expire
from pymailbox.diagnosis.findings import Findings
from pymailbox.diagnosis.quirks import explained
from pymailbox.diagnosis.report import Diagnosis
from pymailbox.display import secret
from pymailbox.errors import ConnectionLost, MailboxError, MailboxLocked, NotSupported, ProtocolError, Timeout, TLSError
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.pop3 import flows
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Command
from pymailbox.pop3.connection import Connection
from pymailbox.pop3.flows import Flow

__all__ = ["DiagnosisRun"]

T = TypeVar("T")

_CAPA_SECONDS = 10.0  # seconds that CAPA may be silent
_LOOK_SECONDS = 5.0  # seconds of silence when looking why something failed
_SESSIONS = 5  # logins at most
_TIMESTAMP = re.compile(r"<[^<>@\s]+@[^<>\s]+>")
_PAUSES = (0.25, 1.0, 2.0)  # seconds; a server may hold the lock for a moment after a session that just ended


class _NoCapa(Exception):
    """CAPA ended the connection; the next one goes without."""


@define(eq=False)
class DiagnosisRun:
    """One diagnosis of the account of a mailbox that is never opened itself."""

    mailbox: Mailbox
    _findings: Findings = field(init=False)
    _may_ask_capa: bool = field(default=True, init=False)
    _pipelining_broke: bool = field(default=False, init=False)
    _logins: int = field(default=0, init=False)
    _password: Any = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.mailbox._opened is not None:
            raise ValueError("the mailbox is open; close it first, as most servers let one session in at a time")
        if self.mailbox._settings.sock is not None:
            raise ValueError("a diagnosis connects several times, so it cannot use the socket of a caller")
        account = self.mailbox.account
        self._password = _asked_once(account.password)
        self._findings = Findings(Diagnosis(url=account.url))
        self._may_ask_capa = self.mailbox._settings.capa

    def run(self) -> None:
        """Do it all; `conclude` gives the report."""
        connection = self._arrive()
        if connection is None:
            return
        try:
            if self._may_enter(connection) and self._enter(connection):
                connection = self._survey(connection)
                if connection is not None and self._findings.report.count:
                    self._read(connection)
        finally:
            if connection is not None:
                connection.close()

    def conclude(self) -> Diagnosis:
        """Return the report of what was found, with quirks and advice."""
        findings = self._findings
        findings.clean_again()
        report = evolve(findings.report, quirks=explained(findings.all_quirks()))
        return evolve(report, advice=tuple(advise(report, self.mailbox.account)))

    # --- arriving -----------------------------------------------------------------------------------------

    def _connection(self, **changes: Any) -> Connection:
        settings = evolve(self.mailbox._settings, **({"capa": self._may_ask_capa} | changes))
        if self._pipelining_broke:
            settings = evolve(settings, pipelining=False)
        connection = Connection.from_settings(settings)
        connection.tries_tls = False  # `_look_closer` does, and says more
        self._findings.sessions.append(connection.session)
        return connection

    def _arrive(self) -> Connection | None:
        """Connect and come to where the login is due: greeting, TLS, capabilities before and after it."""
        findings, security = self._findings, self.mailbox.account.security
        connection = self._connection()
        session = connection.session
        try:
            connection.connect()
            findings.reached("connection")
            if security == "tls":
                self._see_tls(connection)
            connection.run(flows.greet(session, "none"))
            findings.learn(greeting=findings.clean(session.greeting))
            findings.reached("greeting")
            if security != "tls":
                findings.learn(capabilities_before_tls=self._capabilities(connection))
            if security == "starttls":
                connection.run(flows.start_tls(session))
                self._see_tls(connection)
            if security != "none":
                findings.learn(capabilities_after_tls=self._capabilities(connection))
        except _NoCapa:
            connection.close()
            return self._arrive()
        except MailboxError as error:
            connection.close()
            if isinstance(error, TLSError) and findings.report.reached == "nothing":
                findings.reached("connection")
            findings.problem(error)
            self._look_closer(error)
            return None
        except BaseException:
            connection.close()
            raise
        return connection

    def _capabilities(self, connection: Connection) -> Capabilities | None:
        """Ask CAPA; None where it is refused. A server that hangs up on it, or hangs, is not asked again."""
        if not self._may_ask_capa:
            return None
        usual = connection.timeout
        connection.timeout = _least(usual, _CAPA_SECONDS)
        try:
            return self._findings.cleaned(connection.run(flows.discover(connection.session)))
        except NotSupported:
            self._findings.quirks.add("NO_CAPA")
            return None
        except (ConnectionLost, Timeout) as error:
            self._findings.quirks.add("HANGS_ON_CAPA" if isinstance(error, Timeout) else "CLOSES_ON_CAPA")
            self._may_ask_capa = False
            raise _NoCapa from error
        finally:
            connection.timeout = usual

    def _see_tls(self, connection: Connection) -> None:
        channel = connection.session.tls
        if channel is not None:
            self._findings.learn(encryption=certificate.examine(channel, self._with_context, self._to_tls))
        if self._findings.report.reached == "connection":
            self._findings.reached("TLS")

    def _with_context(self, context: ssl.SSLContext) -> Connection:
        return self._connection(
            ssl_context=context, timeout=_least(self.mailbox._settings.timeout, _LOOK_SECONDS), capa=False
        )

    def _to_tls(self, connection: Connection) -> None:
        connection.connect()
        if connection.security == "starttls":
            connection.run(flows.greet(connection.session, "starttls"))

    def _look_closer(self, error: MailboxError) -> None:
        """Find out why it did not come to the login: the certificate, or the wrong kind of port. Nobody logs in."""
        account, findings = self.mailbox.account, self._findings
        seconds = _least(self.mailbox._settings.timeout, _LOOK_SECONDS)
        if isinstance(error, TLSError):
            if findings.report.encryption is None:
                findings.learn(encryption=certificate.look(self._with_context, self._to_tls))
            if account.security == "tls" and findings.report.encryption is None:
                plain = self._connection(security="none", timeout=seconds, capa=False)
                try:
                    with plain as pop:
                        findings.learn(greeting=findings.clean(pop.greeting))
                        findings.learn(capabilities_before_tls=findings.cleaned(pop.capa()))
                except MailboxError:
                    return  # no POP3 without TLS either; the first error says what there is to say
        elif isinstance(error, Timeout | ProtocolError | ConnectionLost) and findings.report.reached == "connection":
            found = certificate.look(
                lambda context: self._connection(security="tls", ssl_context=context, timeout=seconds, capa=False),
                Connection.connect,
            )
            findings.learn(encryption=found)

    # --- the login ----------------------------------------------------------------------------------------

    def _may_enter(self, connection: Connection) -> bool:
        findings, account = self._findings, self.mailbox.account
        told = findings.report.capabilities()
        listed = [*told.sasl, *(["USER"] if "USER" in told else ())]
        if _TIMESTAMP.search(connection.greeting):
            listed.append("APOP")
        findings.learn(mechanisms=tuple(listed))
        external = "EXTERNAL" in told.sasl and connection.session.secure
        if account.password is None and account.auth is None and not external:
            findings.problem("no password was given, so nothing after the login was examined")
            return False
        return True

    def _enter(self, connection: Connection) -> bool:
        """Log in, once: another try after a refusal could lock the account."""
        findings = self._findings
        seen: list[str] = []
        try:
            self._log_in(connection, seen)
        except (MailboxError, ValueError) as error:
            connection.close()
            findings.learn(mechanism=_mechanism(seen))
            findings.problem(error)
            return False
        findings.learn(mechanism=_mechanism(seen))
        findings.reached("login")
        return True

    def _log_in(self, connection: Connection, seen: list[str]) -> None:
        from pymailbox.pop3 import login

        account, session = self.mailbox.account, connection.session
        self._logins += 1
        if self.mailbox._utf8:
            connection.run(flows.ask_utf8(session))
        connection.run(_watched(login.login(session, account.user, self._password, account.auth), seen))

    def _again(self) -> Connection | None:
        """Open a further session; None where there can be none, which is a finding."""
        findings = self._findings
        report, security = findings.report, self.mailbox.account.security
        if report.capabilities().login_delay:
            findings.problem("no further session was opened, as the server wants time between two logins")
            return None
        if self._logins >= _SESSIONS:
            findings.problem(f"{_SESSIONS} sessions were not enough; the rest was not examined")
            return None
        for pause in (*_PAUSES, None):
            connection = self._connection()
            try:
                connection.connect()
                connection.run(flows.establish(connection.session, security))
                self._log_in(connection, [])
                connection.session.learn(report.capabilities())
                return connection
            except MailboxError as error:
                connection.close()
                if pause is None or not isinstance(error, MailboxLocked):
                    findings.problem(f"a further session could not be opened: {error}")
                    return None
            except BaseException:
                connection.close()
                raise
            time.sleep(pause)
        return None

    # --- in the mailbox -----------------------------------------------------------------------------------

    def _survey(self, connection: Connection) -> Connection | None:
        """Ask what leaves no trace; return the session to read in, None where there is none."""
        findings = self._findings
        current: Connection | None = connection
        for name, probe in (
            ("CAPA", probes.capa),
            ("STAT", probes.stat),
            ("NOOP", probes.round_trip),
            ("LIST", probes.listing),
            ("UIDL", probes.uidl),
            ("PIPELINING", probes.pipelining),
        ):
            current = self._probe(name, probe, current)
            if current is None or (name == "STAT" and not findings.report.opened):
                return current
        if current is None or findings.report.capabilities().login_delay:
            return current
        self._leave(current)
        if not findings.report.count:
            return None
        return self._again()

    def _probe(
        self, name: str, probe: Callable[[Connection, Findings], None], connection: Connection | None
    ) -> Connection | None:
        """Run one probe; return the session to go on with, a fresh one where this one broke."""
        if connection is None:
            return None
        findings = self._findings
        try:
            probe(connection, findings)
        except MailboxError as error:
            if name in ("STAT", "NOOP", "RETR"):  # what must work is not listed as a probe
                findings.problem(f"{name}: {error}")
            else:
                findings.probe(name, False, findings.clean(str(error)))
            if connection.session.protocol.failure is None:
                return connection
            connection.close()
            self._pipelining_broke = self._pipelining_broke or name == "PIPELINING"
            self._may_ask_capa = self._may_ask_capa and name != "CAPA"
            return None if name in ("STAT", "RETR") else self._again()
        except BaseException:
            connection.close()
            raise
        return connection

    def _leave(self, connection: Connection) -> None:
        """Say QUIT, which commits nothing, as nothing was marked and nothing read."""
        try:
            connection.quit()
        except MailboxError as error:
            self._findings.probe("QUIT", False, self._findings.clean(str(error)))
        else:
            self._findings.probe("QUIT", True, "")

    def _read(self, connection: Connection) -> None:
        """Look at a few messages, and leave without QUIT."""
        current = self._probe("UIDL", probes.stable, connection)
        current = self._probe("TOP", probes.top, current)
        if not may_expire(self._findings.report):
            current = self._probe("RETR", probes.sizes, current)
        if current is not None:
            current.close()


def _asked_once(password: Any) -> Any:
    """Return a password that is asked for once, however many sessions there are."""
    if not callable(password):
        return password
    answers: list[Any] = []

    def ask() -> Any:
        if not answers:
            answer = password()
            if not isinstance(answer, str):
                return answer  # a coroutine, or nothing: the login says what is wrong with it
            answers.append(secret(answer))
        return answers[0]

    return ask


def _watched(flow: Flow[T], seen: list[str]) -> Flow[T]:
    """Run a flow, and note its commands without their secrets."""
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
    """Return the way in that was tried last."""
    for command in reversed(seen):
        verb, _, rest = command.partition(" ")
        if verb in ("AUTH", "APOP", "PASS"):
            return {"AUTH": rest.partition(" ")[0], "APOP": "APOP", "PASS": "USER"}[verb]
    return None


def _least(timeout: float | None, bound: float) -> float:
    return bound if timeout is None else min(timeout, bound)
