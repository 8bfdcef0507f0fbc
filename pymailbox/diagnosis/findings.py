"""Findings: what a diagnosis has found so far, made harmless as it comes in."""

from collections.abc import Collection
from typing import Any

from attrs import define, evolve, field, frozen

from pymailbox.diagnosis.report import Diagnosis, Probe, Step
from pymailbox.display import safe_text
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.session import Session

__all__ = ["Answer", "Findings"]


@frozen
class Answer:
    """What came of asking for one message: its octets, or why not."""

    octets: bytes | None = None
    problem: str = ""
    #: Whether the server refused it; False where the session broke over it.
    refused: bool = False


@define(eq=False)
class Findings:
    """The report in the making, and what its probes tell each other."""

    report: Diagnosis
    #: What is being tried on the way to the mailbox.
    step: Step = field(default="connection", init=False)
    #: The sessions so far: they know the secrets and the quirks.
    sessions: list[Session] = field(factory=list, init=False)
    #: Quirks that no session noted of its own accord.
    quirks: set[str] = field(factory=set, init=False)
    #: Quirks that a session noted, and that something else explains.
    disproved: set[str] = field(factory=set, init=False)
    #: LIST and UIDL of the first session, by number.
    sizes: dict[int, int | None] = field(factory=dict, init=False)
    uids: dict[int, str | None] | None = field(default=None, init=False)
    #: The session in which UIDL was asked.
    uids_of: Session | None = field(default=None, init=False)
    #: What TOP and RETR gave, by number.
    tops: dict[int, Answer] = field(factory=dict, init=False)
    wholes: dict[int, Answer] = field(factory=dict, init=False)

    def set(self, **facts: Any) -> None:
        """Set facts of the report."""
        self.report = evolve(self.report, **facts)

    def probe(self, name: str, works: bool | None, detail: str) -> None:
        """Note whether something works; whether it is listed is known already.

        `detail` is in our words: what a short password would take out of them would only show it.
        """
        listed = None if name in ("LIST", "CAPA", "QUIT") else self.listed(name)
        self.set(probes={**self.report.probes, name: Probe(listed, works, safe_text(detail))})

    def listed(self, name: str) -> bool | None:
        """Whether the capabilities list it; None where there are none, as CAPA does not work."""
        told = self.report.capabilities()
        return name in told if told else None

    def quirk(self, name: str, numbers: Collection[int]) -> None:
        """Note a quirk that these messages showed: one damaged message is not the server."""
        if len(numbers) > 1:
            self.quirks.add(name)

    def problem(self, what: object) -> None:
        """Note what went wrong."""
        self.set(problems=(*self.report.problems, self.clean(str(what))))

    def fail(self, error: Exception) -> None:
        """Note what went wrong on the way to the mailbox, as the failure of the present step; it comes first."""
        self.set(failed=self.step, problems=(self.clean(str(error)), *self.report.problems))

    def clean(self, text: str) -> str:
        """Return a server's text without secrets, and with nothing that a terminal would act on."""
        for session in self.sessions:
            text = session.secrets.redact(text)
        return safe_text(text)

    def cleaned(self, told: Capabilities) -> Capabilities:
        """Return capabilities whose words are harmless."""
        return Capabilities({self.clean(name): tuple(map(self.clean, values)) for name, values in told.items()})

    def redact_again(self) -> None:
        """Take out the secrets that came to be known only after a text had come in."""
        report = self.report
        if report.greeting is not None:
            self.set(greeting=self.clean(report.greeting))
        for stage in ("capabilities_before_tls", "capabilities_after_tls", "capabilities_after_login"):
            told: Capabilities | None = getattr(report, stage)
            if told is not None:
                self.set(**{stage: self.cleaned(told)})
        self.set(mechanisms=tuple(map(self.clean, report.mechanisms)))

    def all_quirks(self) -> frozenset[str]:
        """Return the names of all quirks seen, but for those that something else explains."""
        return frozenset(self.quirks).union(*(session.quirks for session in self.sessions)) - self.disproved
