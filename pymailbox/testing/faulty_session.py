"""A dialogue that goes wrong as planned: it applies the faults that wait for a command."""

from attrs import define

from pymailbox.testing.client_socket import ClientSocket
from pymailbox.testing.fault import Fault, FaultPlan
from pymailbox.testing.reply import Dialogue, ReplyBytes
from pymailbox.testing.session import FollowUp, SessionState

__all__ = ["FaultySession"]


@define(eq=False)
class FaultySession:
    """A dialogue with faults, around a sound one."""

    session: SessionState
    sound: Dialogue
    plan: FaultPlan
    socket: ClientSocket

    def greeting(self) -> ReplyBytes:
        return self._apply(self.plan.due("GREETING"), self.sound.greeting())

    def answer(self, line: bytes) -> ReplyBytes:
        session = self.session
        name = "RESPONSE" if session.exchange is not None else line.partition(b" ")[0].decode("latin-1").upper()
        faults = self.plan.due(name)
        if all(fault.takes_effect for fault in faults):
            return self._apply(faults, self.sound.answer(line))
        session.record.raw.append(line)
        if name in ("PASS", "APOP", "AUTH", "RESPONSE"):
            session.hide(b"***" if name == "RESPONSE" else name.encode() + b" ***")
            session.exchange = None
        return self._apply(faults, ())

    def _apply(self, faults: list[Fault], reply: ReplyBytes) -> ReplyBytes:
        """Apply faults to a reply, and set what follows it."""
        for fault in faults:
            if fault.of_wire:
                self.socket.arm(fault)
            elif fault.kind == "drop":
                self.session.follow_up = FollowUp("close", "dropped", fault.how)
                return ()
            elif fault.kind == "endless":
                self.session.follow_up = FollowUp("pour", chunk=fault.chunk)
                return (fault.data,)
            elif fault.kind == "replace":
                reply = (fault.data,)
            elif fault.kind == "duplicate":
                reply += reply
            elif fault.kind == "stray":
                reply = (fault.data, *reply) if fault.before else (*reply, fault.data)
        return reply
