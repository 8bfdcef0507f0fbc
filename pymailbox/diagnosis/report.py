"""The report of a diagnosis, as values, as text to read, and as plain data for JSON.

Pure. Text from the server has already been made safe to show: control characters are escaped, and secrets are replaced.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from attrs import asdict, field, frozen

from pymailbox.display import wrapped
from pymailbox.pop3.capabilities import Capabilities

__all__ = ["Certificate", "Diagnosis", "Encryption", "Probe", "SizeCheck", "Stage", "Step"]

#: How far the diagnosis got. "mailbox": logged in, and STAT was answered.
Stage = Literal["nothing", "connection", "TLS", "greeting", "login", "mailbox"]

#: What can fail on the way to the mailbox, in the order in which it is tried.
Step = Literal["host name", "connection", "TLS", "greeting", "CAPA", "STLS", "password", "login", "STAT"]

_FAILED: dict[Step, str] = {
    "host name": "the host name was not found",
    "connection": "connecting to the server failed",
    "TLS": "the TLS handshake failed",
    "greeting": "the server did not send a POP3 greeting",
    "CAPA": "asking for the capabilities (CAPA) failed",
    "STLS": "starting TLS (STLS) failed",
    "password": "getting the password failed",
    "login": "the login failed",
    "STAT": "the login succeeded, but STAT failed",
}
_LABEL = 12  # columns; a SHA-256 after the label still fits into 79
_KEPT_TOGETHER = 40  # columns; a longer capability may be split between two lines


@frozen
class Certificate:
    """The facts in a server's certificate."""

    #: SHA-256 of the certificate, as `tls.pinned` takes it.
    fingerprint: str
    #: The host names and IP addresses that it is valid for; empty if the certificate could not be decoded.
    names: tuple[str, ...] = ()
    issuer: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    @property
    def days_left(self) -> int | None:
        """Whole days until it expires, negative after that; None if the certificate could not be decoded."""
        return None if self.valid_until is None else (self.valid_until - datetime.now(UTC)).days


@frozen
class Encryption:
    """The facts of a TLS connection to the server."""

    #: Whether the login uses this connection; False if the certificate failed verification and was only inspected.
    trusted: bool
    version: str | None = None
    cipher: str | None = None
    certificate: Certificate | None = None


@frozen
class Probe:
    """Whether a command or capability really works."""

    #: Whether the server advertises it; None if it is not a capability (LIST, QUIT, CAPA), or CAPA does not work.
    listed: bool | None
    #: None if it was not or could not be tried; `detail` says why.
    works: bool | None
    detail: str


@frozen
class SizeCheck:
    """The size of one message according to LIST and to RETR."""

    number: int
    #: Bytes according to LIST.
    listed: int
    #: Bytes that RETR returned; None if it was refused.
    received: int | None


@frozen(kw_only=True)
class Diagnosis:
    """A report of what a server really does, with advice.

    `str(report)` is text to read, `report.as_dict()` is data for JSON. Whatever could not be determined is None or
    empty.

    >>> from pymailbox import diagnose
    >>> report = diagnose("pop://me@127.0.0.1:1", "secret")
    >>> report.opened, report.reached, len(report.problems)
    (False, 'nothing', 1)
    >>> report.failed
    'connection'
    """

    #: The account as a POP URL, without the password.
    url: str
    #: Whether `Mailbox.open` would succeed.
    opened: bool = False
    #: How far the diagnosis got.
    reached: Stage = "nothing"
    #: The step that failed; `problems[0]` describes it. None if no step failed, or none could be tried.
    failed: Step | None = None
    #: What went wrong, in order.
    problems: tuple[str, ...] = ()
    #: The text of the greeting.
    greeting: str | None = None
    #: Of the TLS channel: version, cipher, certificate.
    encryption: Encryption | None = None
    #: What CAPA listed before STLS, if that was used, and before the login.
    capabilities_before_tls: Capabilities | None = None
    #: What CAPA listed inside TLS, before the login.
    capabilities_after_tls: Capabilities | None = None
    #: What CAPA listed after the login.
    capabilities_after_login: Capabilities | None = None
    #: The login mechanisms that the server advertises: SASL mechanisms, `USER`, `APOP`.
    mechanisms: tuple[str, ...] = ()
    #: The mechanism that was used last, whether it succeeded or not.
    mechanism: str | None = None
    #: The number of messages according to STAT.
    count: int | None = None
    #: Their total size in bytes according to STAT.
    size: int | None = None
    #: In seconds; the median of several NOOPs.
    round_trip: float | None = None
    #: The probes by name: `CAPA`, `LIST`, `UIDL`, `TOP`, `PIPELINING`, `QUIT`.
    probes: Mapping[str, Probe] = field(factory=dict)
    #: Some messages, with the size that LIST gives and the size that arrived.
    sizes: tuple[SizeCheck, ...] = ()
    #: The quirks that the server showed, each with its meaning.
    quirks: Mapping[str, str] = field(factory=dict)
    #: What to do about the problems and quirks, the most serious first.
    advice: tuple[str, ...] = ()

    def capabilities(self) -> Capabilities:
        """Return the last capabilities that the server advertised (they replace earlier ones); empty if none."""
        stages = (self.capabilities_after_login, self.capabilities_after_tls, self.capabilities_before_tls)
        return next((one for one in stages if one is not None), Capabilities())

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data: dict, list, str, int, float, bool, None."""
        data: dict[str, Any] = asdict(self, value_serializer=lambda _, __, value: _plain(value))
        return data

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = 79) -> str:
        """Return the report as text, wrapped to `width` columns."""
        lines = [self.url, "", *wrapped("", self._verdict(), width)]
        lines += [line for reason in self._reasons() for line in wrapped("  ", reason, width)]
        for title, entries in self._sections():
            labelled = [(f"  {name:<{_LABEL}} " if name else "  - ", text) for name, text in entries if text]
            if labelled:
                lines += ["", title, *(line for label, text in labelled for line in wrapped(label, text, width))]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from pymailbox.notebook import facts

        return facts(self.url, self._sections(), [self._verdict(), *self._reasons()])

    # --- the sections -------------------------------------------------------------------------------------

    def _sections(self) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
        """Yield the title of each section, and its entries; those of a list have no name."""
        yield "Connection", self._connection()
        yield "Capabilities", self._capabilities()
        yield "Login", self._login()
        yield "What really works", self._works()
        yield "Quirks of this server", [("", f"{name}: {meaning}") for name, meaning in self.quirks.items()]
        yield "Problems", [("", problem) for problem in self.problems[len(self._reasons()) :]]
        yield "Advice", [("", advice) for advice in self.advice]

    def _reasons(self) -> tuple[str, ...]:
        """Return the problem because of which the account was not opened."""
        return () if self.opened else self.problems[:1]

    def _verdict(self) -> str:
        if self.opened:
            size = "" if self.size is None else f", {self.size:,} bytes"
            return f"The account can be opened: {_messages(self.count or 0)}{size}."
        if self.failed is None:
            return "The account was not opened:"
        return f"The account cannot be opened: {_FAILED[self.failed]}."

    def _connection(self) -> Iterator[tuple[str, str]]:
        yield "greeting", self.greeting or ("(empty)" if self.greeting is not None else "")
        tls = self.encryption
        if tls is not None:
            facts = ", ".join(filter(None, (tls.version, tls.cipher)))
            yield "TLS", facts if tls.trusted else f"{facts} (not verified, and not used to log in)"
            certificate = tls.certificate
            if certificate is not None:
                yield "issued to", ", ".join(certificate.names)
                yield "issued by", certificate.issuer
                yield "valid", _validity(certificate)
                yield "SHA-256", certificate.fingerprint
        elif self.greeting is not None:
            yield "TLS", "none"
        if self.round_trip is not None:
            yield "round trip", f"{self.round_trip * 1000:.1f} ms"

    def _capabilities(self) -> Iterator[tuple[str, str]]:
        shown = None
        for name, capabilities in (
            ("before TLS" if self.encryption else "at login", self.capabilities_before_tls),
            ("after TLS", self.capabilities_after_tls),
            ("after login", self.capabilities_after_login),
        ):
            if capabilities is not None:
                yield name, "the same" if capabilities == shown else _listed(capabilities)
                shown = capabilities

    def _login(self) -> Iterator[tuple[str, str]]:
        yield "offered", ", ".join(self.mechanisms)
        yield "used" if self.reached in ("login", "mailbox") else "tried", self.mechanism or ""

    def _works(self) -> Iterator[tuple[str, str]]:
        for name, probe in self.probes.items():
            verdict = {True: "yes", False: "no", None: "unknown"}[probe.works]
            yield name, f"{verdict}: {probe.detail}" if probe.detail else verdict
        if self.sizes:
            yield "sizes", _compared(self.sizes)


def _messages(count: int) -> str:
    return f"{count:,} {'message' if count == 1 else 'messages'}"


def _compared(checks: tuple[SizeCheck, ...]) -> str:
    wrong = [check for check in checks if check.received != check.listed]
    if not wrong:
        return f"as listed ({_messages(len(checks))} read)"
    return f"of {_messages(len(checks))} read, " + "; ".join(
        f"number {check.number} is listed with {check.listed:,} bytes but "
        + ("was not returned" if check.received is None else f"has {check.received:,}")
        for check in wrong
    )


def _validity(certificate: Certificate) -> str:
    since, until, left = certificate.valid_from, certificate.valid_until, certificate.days_left
    if since is None or until is None or left is None:
        return ""
    if left < 0:
        state = "expired"
    elif since > datetime.now(UTC):
        state = "not valid yet"
    else:
        state = f"{left:,} days left" if left > 1 else "less than two days left"
    return f"{since:%Y-%m-%d} to {until:%Y-%m-%d} ({state})"


def _listed(capabilities: Capabilities) -> str:
    lines = [" ".join((name, *values)) for name, values in capabilities.items()]
    lines = [line.replace(" ", "\u00a0") if len(line) < _KEPT_TOGETHER else line for line in lines]
    more = len(lines) - 100
    return ", ".join(lines[:100]) + (f", and {more} more" if more > 0 else "") if lines else "(none)"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Capabilities):
        return {name: list(values) for name, values in value.items()}
    return list(value) if isinstance(value, tuple) else value
