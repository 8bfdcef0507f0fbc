"""Findings: what a diagnosis has found so far, made harmless as it comes in."""

from typing import Any

from attrs import define, evolve, field

from pymailbox.diagnosis.report import Diagnosis, Probe, Stage
from pymailbox.display import printable
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.session import Session

__all__ = ["Findings"]


@define(eq=False)
class Findings:
    """The report in the making, and what its probes tell each other."""

    report: Diagnosis
    #: The sessions so far: they know the secrets and the quirks.
    sessions: list[Session] = field(factory=list, init=False)
    #: Quirks that no session noted of its own accord.
    quirks: set[str] = field(factory=set, init=False)
    #: LIST and UIDL of the first session, by number.
    sizes: dict[int, int | None] = field(factory=dict, init=False)
    uids: dict[int, str | None] | None = field(default=None, init=False)
    #: The session in which UIDL was asked.
    uids_of: Session | None = field(default=None, init=False)
    #: What TOP gave, by number.
    tops: dict[int, bytes] = field(factory=dict, init=False)

    def learn(self, **facts: Any) -> None:
        """Set facts of the report."""
        self.report = evolve(self.report, **facts)

    def reached(self, stage: Stage) -> None:
        """Note how far it came."""
        self.learn(reached=stage)

    def probe(self, name: str, works: bool | None, detail: str) -> None:
        """Note whether something works; whether it is listed is known already.

        `detail` is in our words: what a short password would take out of them would only show it.
        """
        listed = None if name in ("LIST", "CAPA", "QUIT") else name in self.report.capabilities()
        self.learn(probes={**self.report.probes, name: Probe(listed, works, printable(detail))})

    def problem(self, what: object) -> None:
        """Note what went wrong."""
        self.learn(problems=(*self.report.problems, self.clean(str(what))))

    def clean(self, text: str) -> str:
        """Return a server's text without secrets, and with nothing that a terminal would act on."""
        for session in self.sessions:
            text = session.secrets.redact(text)
        return printable(text)

    def cleaned(self, told: Capabilities) -> Capabilities:
        """Return capabilities whose words are harmless."""
        return Capabilities({self.clean(name): tuple(map(self.clean, values)) for name, values in told.items()})

    def clean_again(self) -> None:
        """Take out the secrets that came to be known only after a text had come in."""
        report = self.report
        if report.greeting is not None:
            self.learn(greeting=self.clean(report.greeting))
        for stage in ("capabilities_before_tls", "capabilities_after_tls", "capabilities_after_login"):
            told: Capabilities | None = getattr(report, stage)
            if told is not None:
                self.learn(**{stage: self.cleaned(told)})
        self.learn(mechanisms=tuple(map(self.clean, report.mechanisms)))

    def all_quirks(self) -> set[str]:
        """Return the names of all quirks seen."""
        return self.quirks.union(*(session.quirks for session in self.sessions))
