"""AbstractMailbox: what Mailbox and AsyncMailbox share, without I/O: the account, the settings, the sequence."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Self, TypeVar, Unpack, cast, overload

from attrs import evolve

from pymailbox.account import (
    Account,
    Auth,
    OAuth2,
    Security,
    check_pickled,
    coroutine_refused,
    default_port,
    port_for,
)
from pymailbox.display import secret
from pymailbox.errors import CommitError
from pymailbox.mailbox import transaction
from pymailbox.mailbox.open_mailbox import AbstractMessage, OpenMailbox, warn_uncommitted
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.mailbox.showing import listing_of
from pymailbox.mailbox.state import MailboxState
from pymailbox.pop3.abstract_connection import AbstractConnection
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.flows import Flow
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.session import Session
from pymailbox.pop3.settings import ConnectionSettings

if TYPE_CHECKING:
    import socket
    import ssl

__all__ = ["AbstractMailbox", "plan_of"]

E = TypeVar("E", bound=AbstractMessage[Any])
C = TypeVar("C", bound=AbstractConnection)
#: The type of the password: `Password`, or `AsyncPassword` for `AsyncMailbox`.
AnyPassword = TypeVar("AnyPassword")


class AbstractMailbox(ABC, Generic[E, C, AnyPassword]):
    """A POP3 session as a lazy sequence of messages; nothing in this class communicates with the server."""

    #: Whether a callable for a password or a token may be a coroutine function.
    _can_await: ClassVar[bool] = False

    def __init__(
        self,
        host: str,
        user: str | None = None,
        password: AnyPassword | None = None,
        *,
        port: int | None = None,
        security: Security = "tls",
        auth: Auth = None,
        ssl_context: "ssl.SSLContext | None" = None,
        timeout: float | None = 60.0,
        limits: Limits | None = None,
        read_only: bool = False,
        allow_plaintext: bool = False,
        utf8: bool = True,
        capa: bool = True,
        top: bool = True,
        pipelining: bool | None = None,
        proxy: str | None = None,
        source_address: tuple[str, int] | None = None,
        sock: "socket.socket | None" = None,
    ) -> None:
        password, proxy = secret(password), secret(proxy)  # a traceback of what follows may show local variables
        #: The `Account`: where the mailbox is and how to log in.
        self.account = Account(
            host,
            user,
            cast(Any, password),  # each kind of mailbox restricts its type; Account accepts both
            port=default_port(security) if port is None else port,
            security=security,
            auth=auth,
        )
        if password is not None and not user and auth is None:
            raise ValueError("a password needs a user name; pass user=, or add it to the URL")
        check_pickled(self.account)
        if not self._can_await:
            _refuse_coroutines(self.account)
        for name, value in (("read_only", read_only), ("utf8", utf8), ("top", top)):
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, not {value!r}")
        self._utf8 = utf8
        self._top = top
        self._read_only = read_only
        self._settings = ConnectionSettings(
            host=host,
            port=self.account.port,
            security=security,
            ssl_context=ssl_context,
            timeout=timeout,
            limits=limits,
            pipelining=pipelining,
            capa=capa,
            allow_plaintext=allow_plaintext,
            proxy=proxy,
            source_address=source_address,
            sock=sock,
        )
        self._connection = self._new_connection()
        self._opened: OpenMailbox[E, C] | None = None
        self._may_reopen = False  # True if reopen() or QUIT failed: reopen() is then allowed although nothing is open
        self._in_doubt: CommitError | None = None  # the next reopen() raises it

    @classmethod
    def from_url(cls, url: str, password: AnyPassword | None = None, **options: Unpack[MailboxOptions]) -> Self:
        """Make a mailbox from a POP URL such as `pops://me@pop.example.com` (RFC 2384).

        The scheme sets `security`: `pops://` is "tls", `pop+starttls://` is "starttls", and `pop://` is "none". The
        port is optional, and `;AUTH=name` after the user names a mechanism. A password in the URL is used if `password`
        is None. Percent-encode `@ : / ? # ; %` in the user name and password. `options` are described in
        `MailboxOptions`. Raises ValueError if `url` is not a valid POP URL.
        """
        return cls.from_account(Account.from_url(url, cast(Any, password)), **options)

    @classmethod
    def from_account(cls, account: Account, **options: Unpack[MailboxOptions]) -> Self:
        """Make a mailbox from an `Account`; `options` are those of the constructor and override the account's.

        If `options` changes `security` but not `port`, a standard port changes with it (995 to 110, or back) and any
        other port stays.
        """
        port = port_for(options.get("security", account.security), account.security, account.port)
        given: MailboxOptions = {"port": port, "security": account.security, "auth": account.auth, **options}
        return cls(account.host, account.user, cast("AnyPassword | None", account.password), **given)

    @abstractmethod
    def _new_connection(self) -> C:
        """Make a connection without opening it."""

    def _check_fresh(self) -> None:
        if self._settings.sock is not None:
            raise ValueError("the given socket can only be used once; make a new mailbox with a new socket")

    def _check_reopen(self) -> None:
        """Raise ValueError without a session to reopen, and once the `CommitError` with which the last one ended."""
        if not self._may_reopen:
            self._require_open()
        self._check_fresh()
        in_doubt, self._in_doubt = self._in_doubt, None
        if in_doubt is not None:
            raise in_doubt

    def _fresh_connection(self) -> C:
        """Make the connection for the next session, adapted to what the last session showed.

        No pipelining if the server stalled a pipeline; headers by RETR if the end of a TOP reply could not be found
        (decisions 6 and 7).
        """
        self._check_fresh()
        if "TOP_ENDS_IN_LF" in self._session.quirks:
            self._top = False
        if not self._session.may_pipeline:
            self._settings = evolve(self._settings, pipelining=False)
        return self._new_connection()

    @property
    def _session(self) -> Session:
        return self._connection.session

    def _begin(self) -> Flow[MailboxState[E]]:
        """Log in and ask for the state of the mailbox, over a new connection."""
        account = self.account
        return transaction.open_session(
            self._session,
            account.security,
            account.user,
            account.password,
            account.auth,
            utf8=self._utf8,
            read_only=self._read_only,
            top=self._top,
        )

    def _drop(self) -> None:
        """End the session at once without sending anything: the server deletes nothing."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.settle()
            opened.drop()

    def __del__(self) -> None:
        opened: OpenMailbox[E, C] | None = vars(self).get("_opened")
        if opened is not None and opened.state.deleted:  # these can no longer be committed
            dropped = opened.settle()
            if dropped:
                opened.drop()
                warn_uncommitted(dropped, "dropped without being closed,")

    def _require_open(self) -> OpenMailbox[E, C]:
        opened = self._opened
        if opened is None:
            raise ValueError("the mailbox is not open; use `with` or call open()")
        return opened

    # --- facts --------------------------------------------------------------------------------------------

    @property
    def greeting(self) -> str:
        """The text of the server's greeting."""
        return self._session.greeting

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities that the server advertised in its last reply to CAPA; empty before `open()`."""
        return self._session.capabilities or Capabilities()

    @property
    def connection(self) -> C:
        """The POP3 connection of this mailbox, for commands that `Mailbox` has no method for."""
        return self._connection

    # --- the sequence -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._require_open().state.count

    @overload
    def __getitem__(self, index: int) -> E: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[E, ...]: ...
    def __getitem__(self, index: int | slice) -> E | tuple[E, ...]:
        opened = self._require_open()
        if isinstance(index, slice):
            return tuple(opened.messages(range(1, opened.state.count + 1)[index]))
        return opened.message(opened.state.position(index))

    def __iter__(self) -> Iterator[E]:
        opened = self._require_open()
        return opened.messages(range(1, opened.state.count + 1))

    def __reversed__(self) -> Iterator[E]:
        opened = self._require_open()
        return opened.messages(range(opened.state.count, 0, -1))

    def __contains__(self, value: object) -> bool:
        return self._require_open().owns(value)

    @property
    def deleted(self) -> tuple[E, ...]:
        """The messages currently marked as deleted, in mailbox order."""
        opened = self._require_open()
        return tuple(opened.messages(sorted(opened.state.deleted)))

    def __repr__(self) -> str:
        if "_opened" not in vars(self):  # a traceback from the constructor may show the object
            return f"<{type(self).__name__}, not initialized>"
        state = "not open" if self._opened is None else f"{self._opened.state.count} messages"
        return f"<{type(self).__name__} {self.account.url!r}, {state}>"

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows: what is known, without asking the server."""
        url, opened = self.account.url, self._opened
        if opened is not None:
            return listing_of(opened, url)
        from pymailbox.notebook import listing

        return listing(url, [], 0, ["The mailbox is not open; use `with` or call open()."])

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"{name} cannot be pickled or copied: it has a connection; use from_account(mailbox.account)")


def plan_of(mailbox: AbstractMailbox[Any, Any, Any]) -> tuple[ConnectionSettings, bool]:
    """Return how a mailbox would connect and whether it would ask for UTF8; ValueError if it is open."""
    if mailbox._opened is not None:
        raise ValueError("the mailbox is open; close it first, as most servers allow one session at a time")
    return mailbox._settings, mailbox._utf8


def _refuse_coroutines(account: Account) -> None:
    """Raise TypeError if the password or the token of a blocking mailbox is a coroutine function."""
    token = account.auth.token if isinstance(account.auth, OAuth2) else None
    for what, value in (("password", account.password), ("token", token)):
        if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None)):  # noqa: B004 - inspected, not called
            raise coroutine_refused(what)
