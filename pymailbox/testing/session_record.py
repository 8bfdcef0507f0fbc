"""A record of one session, for assertions."""

from attrs import Factory, define

__all__ = ["SessionRecord"]


@define(eq=False)
class SessionRecord:
    """One session as the server saw it.

    >>> import poplib
    >>> from pymailbox.testing import Server
    >>> with Server() as server:
    ...     goodbye = poplib.POP3(server.host, server.port, timeout=5).quit()
    >>> server.sessions[0].ended, server.sessions[0].commands
    ('QUIT', ('QUIT',))

    `number` counts sessions from 1, in the order of connecting. `user` is who logged in, and `raw` has the command
    lines as bytes. `ended` is None while the session lasts, then `"QUIT"`, `"EOF"` (the client closed without
    QUIT), `"reset"`, or another short reason. `deleted` has the numbers of the messages that QUIT removed. `tls` is
    True if the session was encrypted at its end.
    """

    number: int
    user: str | None = None
    tls: bool = False
    ended: str | None = None
    deleted: tuple[int, ...] = ()
    raw: list[bytes] = Factory(list)

    @property
    def commands(self) -> tuple[str, ...]:
        """The command lines received, in order, without line ends; bytes that are not UTF-8 become surrogate escapes.

        The password after PASS, the digest of APOP, the initial response of AUTH and the lines that continue AUTH are
        replaced by `***`, unless the server was created with `log_secrets=True`.
        """
        return tuple(line.decode("utf-8", "surrogateescape") for line in self.raw)
