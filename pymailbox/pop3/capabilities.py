"""Capabilities: what a server advertises (CAPA, RFC 2449 §5).

Pure. The parser is tolerant: names are case-insensitive, `NAME=value` is read as `NAME value`, empty lines are skipped.
An advertised capability may still not work.
"""

# Decision 7: nothing about a server is believed without trying.

from collections.abc import Iterator, Mapping

__all__ = ["Capabilities"]


class Capabilities(Mapping[str, tuple[str, ...]]):
    """The capabilities of a server by name, each with its parameters; names are case-insensitive.

    `entries` maps each name to its parameters.

    >>> from pymailbox.pop3 import Capabilities
    >>> caps = Capabilities.from_lines(["TOP", "SASL PLAIN XOAUTH2", "EXPIRE 60"])
    >>> "top" in caps, caps["SASL"], caps.sasl, caps.expire
    (True, ('PLAIN', 'XOAUTH2'), ('PLAIN', 'XOAUTH2'), 60)
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._entries = {name.upper(): tuple(values) for name, values in (entries or {}).items()}

    @classmethod
    def from_lines(cls, lines: list[str]) -> "Capabilities":
        """Parse the lines of a CAPA listing; a repeated name collects the parameters of all its lines."""
        entries: dict[str, dict[str, None]] = {}  # parameters in order, each once
        for line in lines:
            words = line.split()
            if not words:
                continue
            name, _, value = words[0].partition("=")
            known = entries.setdefault(name.upper(), {})
            if value:
                known[value] = None
            known.update(dict.fromkeys(words[1:]))
        return cls({name: tuple(values) for name, values in entries.items()})

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return self._entries[name.upper()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.upper() in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Capabilities({self._entries!r})"

    @property
    def sasl(self) -> tuple[str, ...]:
        """The SASL mechanisms, in upper case and in the server's order (RFC 5034 §3)."""
        return tuple(mechanism.upper() for mechanism in self._entries.get("SASL", ()))

    @property
    def expire(self) -> int | None:
        """Days the server keeps mail; 0 means that RETR may delete (RFC 2449 §6.7); None means unknown or no expiry."""
        return self._number("EXPIRE")

    @property
    def login_delay(self) -> int | None:
        """Seconds the server requires between two logins (RFC 2449 §6.5), or None if it does not advertise one."""
        return self._number("LOGIN-DELAY")

    @property
    def implementation(self) -> str | None:
        """The server's software (RFC 2449 §6.9), or None if it does not advertise it."""
        words = self._entries.get("IMPLEMENTATION")
        return " ".join(words) if words else None

    def _number(self, name: str) -> int | None:
        first = (*self._entries.get(name, ()), "")[0]
        return int(first) if first.isascii() and first.isdigit() and len(first) < 12 else None
