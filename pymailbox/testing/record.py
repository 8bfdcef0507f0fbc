"""What happened in one session, for assertions."""

from attrs import Factory, define

__all__ = ["SessionRecord"]


@define(eq=False)
class SessionRecord:
    """One session as the server saw it.

    >>> import poplib
    >>> from pymailbox.testing import Server
    >>> with Server() as server:
    ...     said = poplib.POP3(server.host, server.port, timeout=5).quit()
    >>> server.sessions[0].ended, server.sessions[0].commands
    ('QUIT', ('QUIT',))

    `number` counts from 1 in the order of connecting. `ended` is None while it lasts, then `"QUIT"`, `"EOF"` (the
    client closed without QUIT), `"reset"`, or another short reason. `deleted` are the numbers of the messages that
    QUIT removed. `tls` says whether it was encrypted at the end.
    """

    number: int
    user: str | None = None
    tls: bool = False
    ended: str | None = None
    deleted: tuple[int, ...] = ()
    raw: list[bytes] = Factory(list)

    @property
    def commands(self) -> tuple[str, ...]:
        """The command lines received, in order, without line ends; octets that are no UTF-8 are surrogate escapes.

        What follows PASS and AUTH's mechanism, APOP's digest and the lines that continue AUTH are `***`, unless the
        server was made with `log_secrets=True`.
        """
        return tuple(line.decode("utf-8", "surrogateescape") for line in self.raw)
