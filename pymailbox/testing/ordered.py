"""A session in which things go wrong to order: the faults that wait for a command."""

from attrs import define, field

from pymailbox.testing.conversation import Reply
from pymailbox.testing.fault import Fault, Orders
from pymailbox.testing.odd import OddSession

__all__ = ["OrderedSession"]


@define(eq=False)
class OrderedSession(OddSession):
    """One client of a server with faults."""

    orders: Orders = field(factory=lambda: Orders(()), kw_only=True)

    def _greeting(self) -> Reply:
        faults = self.orders.due("GREETING")
        return self._carry_out(faults, super()._greeting())

    def _answer(self, line: bytes) -> Reply:
        name = "RESPONSE" if self._exchange is not None else line.partition(b" ")[0].decode("latin-1").upper()
        faults = self.orders.due(name)
        if all(fault.carried_out for fault in faults):
            return self._carry_out(faults, super()._answer(line))
        self.record.raw.append(line)
        if name in ("PASS", "APOP", "AUTH", "RESPONSE"):
            self._hide(b"***" if name == "RESPONSE" else name.encode() + b" ***")
            self._exchange = None
        return self._carry_out(faults, ())

    def _carry_out(self, faults: list[Fault], reply: Reply) -> Reply:
        """Spoil a reply, and set what happens after it."""
        for fault in faults:
            if fault.of_wire:
                self.wire.send(self._pending)
                self._pending.clear()
                self.wire.out.arm(fault)
            elif fault.kind == "drop":
                self._then, self._reason, self._how = "close", "dropped", fault.how
                return ()
            elif fault.kind == "endless":
                self._then, self._chunk = "pour", fault.chunk
                return (fault.data,)
            elif fault.kind == "replace":
                reply = (fault.data,)
            elif fault.kind == "duplicate":
                reply += reply
            elif fault.kind == "stray":
                reply = (fault.data, *reply) if fault.before else (*reply, fault.data)
        return reply
