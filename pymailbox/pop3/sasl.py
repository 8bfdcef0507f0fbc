"""SASL mechanisms (RFC 4422, RFC 5034) as generators: responses out, challenges in."""

from collections.abc import Generator
from typing import Protocol as Interface

from attrs import field, frozen

__all__ = ["Exchange", "Mechanism", "Plain"]

#: Yields responses (first the initial one, None where the server speaks first), is sent challenges.
Exchange = Generator[bytes | None, bytes, None]


class Mechanism(Interface):
    """One way to log in."""

    @property
    def name(self) -> str:
        """The registered name, such as `PLAIN`."""

    @property
    def plaintext(self) -> bool:
        """Whether who listens without TLS learns the secret."""

    def exchange(self) -> Exchange:
        """Start one exchange."""


@frozen
class Plain:
    """PLAIN: authorization identity, user and password in one message (RFC 4616)."""

    user: str
    password: str = field(repr=False)
    authorization: str = ""
    name: str = field(default="PLAIN", init=False)
    plaintext: bool = field(default=True, init=False)

    def exchange(self) -> Exchange:
        """Start one exchange."""
        yield f"{self.authorization}\0{self.user}\0{self.password}".encode()
