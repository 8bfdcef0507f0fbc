"""What a diagnosis has found so far; texts are made safe to show as they come in."""

from collections.abc import Collection
from typing import Any

from attrs import define, evolve, field, frozen

from pymailbox.diagnosis.report import Diagnosis, Probe, Step
from pymailbox.display import safe_text
from pymailbox.errors import MailboxError, NotSupported, ProtocolError, hide_secrets
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.session import Session

__all__ = ["Answer", "Findings"]

#: Ways to log in that the report itself names; all other names are SASL mechanisms that the server lists.
_OUR_NAMES = ("USER", "APOP")


@frozen
class Answer:
    """The outcome of asking for one message: its bytes, or why there are none."""

    data: bytes | None = None
    problem: str = ""
    #: Whether the server refused it; False if the session broke instead.
    refused: bool = False


@define(eq=False)
class Findings:
    """The unfinished report, and what the probes share."""

    report: Diagnosis
    #: The present step on the way to the mailbox.
    step: Step = field(default="connection", init=False)
    #: The sessions so far, which know the secrets and the quirks.
    sessions: list[Session] = field(factory=list, init=False)
    #: Quirks that no session noted by itself.
    quirks: set[str] = field(factory=set, init=False)
    #: Quirks that a session noted, but that have another explanation.
    disproved: set[str] = field(factory=set, init=False)
    #: LIST and UIDL of the first session, by number.
    sizes: dict[int, int | None] = field(factory=dict, init=False)
    uids: dict[int, str | None] | None = field(default=None, init=False)
    #: The session in which UIDL was sent.
    uids_of: Session | None = field(default=None, init=False)
    #: The outcome of TOP and RETR, by message number.
    tops: dict[int, Answer] = field(factory=dict, init=False)
    wholes: dict[int, Answer] = field(factory=dict, init=False)

    def set(self, **facts: Any) -> None:
        """Set facts of the report."""
        self.report = evolve(self.report, **facts)

    def probe(self, name: str, works: bool | None, detail: str) -> None:
        """Note whether something works. `detail` must be safe to show."""
        listed = None if name in ("LIST", "CAPA", "QUIT") else self.listed(name)
        self.set(probes={**self.report.probes, name: Probe(listed, works, safe_text(detail))})

    def listed(self, name: str) -> bool | None:
        """Whether the capabilities list it; None if there are none, because CAPA does not work."""
        capabilities = self.report.capabilities()
        return name in capabilities if capabilities else None

    def quirk(self, name: str, numbers: Collection[int]) -> None:
        """Note a quirk if more than one message showed it, because one may just be a damaged message."""
        if len(numbers) > 1:
            self.quirks.add(name)

    def problem(self, what: str) -> None:
        """Note a problem. `what` must be safe to show."""
        self.set(problems=(*self.report.problems, what))

    def fail(self, error: Exception) -> None:
        """Note an error as the failure of the present step; it becomes the first problem."""
        self.set(failed=self.step, problems=(self.describe(error), *self.report.problems))

    def describe(self, error: Exception) -> str:
        """Return an error as text that is safe to show.

        Secrets are removed only from the server's words. Ours are public, so a gap in them would reveal a short
        password. Two kinds of errors may quote the server in their own words, and are redacted as a whole.
        """
        if isinstance(error, NotSupported | ProtocolError):
            return self.clean(str(error))
        if isinstance(error, MailboxError):
            for session in self.sessions:
                hide_secrets(error, session.secrets)
        return safe_text(str(error))

    def clean(self, text: str) -> str:
        """Return a server's text without secrets, safe to show in a terminal."""
        for session in self.sessions:
            text = session.secrets.redact(text)
        return safe_text(text)

    def cleaned(self, capabilities: Capabilities) -> Capabilities:
        """Return capabilities without secrets, safe to show in a terminal."""
        return Capabilities({self.clean(name): tuple(map(self.clean, values)) for name, values in capabilities.items()})

    def redact_again(self) -> None:
        """Redact secrets that became known only after a text came in."""
        report = self.report
        if report.greeting is not None:
            self.set(greeting=self.clean(report.greeting))
        for stage in ("capabilities_before_tls", "capabilities_after_tls", "capabilities_after_login"):
            capabilities: Capabilities | None = getattr(report, stage)
            if capabilities is not None:
                self.set(**{stage: self.cleaned(capabilities)})
        self.set(mechanisms=tuple(name if name in _OUR_NAMES else self.clean(name) for name in report.mechanisms))

    def all_quirks(self) -> frozenset[str]:
        """Return the names of all quirks seen, except those with another explanation."""
        return frozenset(self.quirks).union(*(session.quirks for session in self.sessions)) - self.disproved
