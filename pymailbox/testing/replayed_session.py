"""A dialogue that answers from a recording, and says what differs from it."""

import base64
import binascii
import re

from attrs import Factory, define, field

from pymailbox.testing.authenticator import SaslExchange
from pymailbox.testing.recording import RecordedSession, Recording, Step
from pymailbox.testing.redaction import REDACTED, Redaction
from pymailbox.testing.reply import ReplyBytes, err
from pymailbox.testing.session import FollowUp, SessionState

__all__ = ["Replay", "ReplayedSession"]


@define(eq=False)
class Replay:
    """A recording whose sessions are played one after the other. `differences` describes each wrong command."""

    name: str
    recording: Recording
    strict: bool
    differences: list[str] = Factory(list)

    def session(self, state: SessionState) -> "ReplayedSession":
        """Return the dialogue of a connection; after the last session, one without a step."""
        number, sessions = state.record.number, self.recording.sessions
        return ReplayedSession(state, self, sessions[number - 1] if number <= len(sessions) else RecordedSession(()))


def _step_of(step: Step) -> str:
    return repr(step.command.decode("utf-8", "replace")) if step.command is not None else "the greeting"


def _waits(step: Step) -> bool:
    """True if the reply is a challenge, so that a line of the client continues AUTH."""
    return step.reply[:1] == b"+" and step.reply[:3].upper() != b"+OK"


@define(eq=False)
class ReplayedSession:
    """One recorded session as a dialogue."""

    state: SessionState
    replay: Replay
    recorded: RecordedSession
    _played: set[int] = Factory(set)  # the steps
    _last: int = 0
    _scram: SaslExchange | None = None
    _redaction: Redaction = field(factory=Redaction)

    def greeting(self) -> ReplyBytes:
        if not self.recorded.steps:
            count = len(self.replay.recording.sessions)
            return self._differ(f"{self.replay.name} has only {count} session{'s' * (count != 1)}; this is one more")
        return self._play(0)

    def answer(self, line: bytes) -> ReplyBytes:
        responding, self.state.exchange = self.state.exchange is not None, None
        number = self._find(line, responding)
        if number is None:
            shown = self._redaction.response(line, b"", 1) if responding else self._redaction.command(line)
            self.state.record.raw.append(shown)
            return self._differ(self._difference(shown))
        step = self.recorded.steps[number]
        command = step.command or b""
        self.state.record.raw.append(command)
        words = line.split(b" ")
        if words[0].upper() == b"AUTH" and words[1:] and words[1].upper().startswith(b"SCRAM-"):
            return self._prove(number, words[1].decode("latin-1").upper(), words[2] if words[2:] else None)
        if responding and self._scram is not None:
            return self._prove(number, "", line)
        return self._play(number)

    def _find(self, line: bytes, responding: bool) -> int | None:
        """Return the step that this line plays; None if there is none."""
        steps = self.recorded.steps
        after = self._last + 1
        if self.replay.strict or responding:
            return after if after < len(steps) and _matches(steps[after], line) else None
        fitting = [n for n in range(1, len(steps)) if _matches(steps[n], line) and not _waits(steps[n - 1])]
        return next((n for n in fitting if n not in self._played), fitting[-1] if fitting else None)

    def _play(self, number: int, challenge: bytes | None = None) -> ReplyBytes:
        """Answer with the reply of a step, or with this challenge instead."""
        self._played.add(number)
        self._last = number
        step = self.recorded.steps[number]
        if _waits(step):
            self.state.exchange = self._scram or _recorded()
        if number == len(self.recorded.steps) - 1 and self.recorded.ended == "server":
            quit = (step.command or b"").strip().upper() == b"QUIT"
            self.state.follow_up = FollowUp("close", "QUIT" if quit else "closed")
        reply = step.reply if challenge is None else b"+ " + base64.b64encode(challenge) + b"\r\n"
        return (reply,) if reply else ()

    def _prove(self, number: int, mechanism: str, response: bytes | None) -> ReplyBytes:
        """Answer a line of SCRAM, where the server must prove that it knows the password: that of the replay."""
        exchange, self._scram = self._scram, None
        authenticator = self.state.settings.authenticator
        challenge: bytes | None = None
        try:
            payload = None if response is None else base64.b64decode(b"" if response == b"=" else response)
            if exchange is None:
                authenticator.check([mechanism])
                exchange = authenticator.exchange(mechanism, payload)
                challenge = next(exchange)
            else:
                challenge = exchange.send(payload or b"")
        except binascii.Error:
            return self._differ("a response of SCRAM must be in base64")
        except ValueError as error:
            return self._differ(f"{error}; record a session with another login")
        except RuntimeError as error:  # scramp is missing
            return self._differ(str(error))
        except StopIteration:
            pass  # the exchange is over, one way or the other
        if not _waits(self.recorded.steps[number]):
            return self._play(number)
        if challenge is None:
            return self._differ("SCRAM failed; log in with the password of Server.replay()")
        self._scram = exchange
        return self._play(number, challenge)

    def _difference(self, shown: bytes) -> str:
        steps = self.recorded.steps
        received = repr(shown.decode("utf-8", "replace"))
        if not self.replay.strict:
            return f"{self.replay.name} has no {received} in session {self.state.record.number}"
        after = self._last + 1
        if after == len(steps):
            return f"{self.replay.name} ends after {_step_of(steps[-1])}, received {received}"
        return f"{self.replay.name}, line {steps[after].line}: expected {_step_of(steps[after])}, received {received}"

    def _differ(self, difference: str) -> ReplyBytes:
        self.replay.differences.append(difference)
        self.state.follow_up = FollowUp("close", "not as recorded")
        return err(f"replay: {difference}")


def _matches(step: Step, line: bytes) -> bool:
    """True if this line is the command of the step, in which `***` stands for anything."""
    parts = (step.command or b"").split(REDACTED)
    return re.fullmatch(b".*".join(map(re.escape, parts)), line, re.DOTALL) is not None


def _recorded() -> SaslExchange:
    """Take the place of a mechanism whose challenges are recorded."""
    yield b""
    return None
