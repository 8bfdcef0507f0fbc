"""What the options of a mailbox may be, and what a type checker refuses. Never run, but for its mistakes.

Each mistake is marked with what mypy and pyright say of it. Both complain of a mark that is not needed, so a mistake
that passes unseen fails the check. `tests/test_typing.py` runs both, and tries that the mistakes are TypeErrors too.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Unpack, assert_type

from pymailbox import (
    Account,
    AsyncMailbox,
    CommandError,
    Diagnosis,
    Limits,
    Mailbox,
    MailboxOptions,
    OAuth2,
    PasswordCommand,
    PasswordEnv,
    PasswordFile,
    PasswordKeyring,
    PasswordNetrc,
    diagnose,
    gather_accounts,
)
from pymailbox.account import Exchange, Mechanism, Peer
from pymailbox.pop3 import AsyncConnection, Connection, commands, sasl


async def token() -> str:
    """A coroutine function, which only asyncio can use as a password."""
    return "x"


class Ticket:
    """A mechanism of one's own: whatever has the names."""

    name = "X-TICKET"
    plaintext = False
    initial = True

    def exchange(self, _: Peer, /) -> Exchange:
        """One response."""
        yield b"ticket"


# --- what is accepted -------------------------------------------------------------------------------------------------


def accounts() -> list[Account]:
    """Positions, names, every kind of credential."""
    return [
        Account("pop.example.com"),
        Account("pop.example.com", "me", "secret"),
        Account("pop.example.com", "me", "secret", port=110, security="starttls", auth="PLAIN"),
        Account("pop.example.com", "me", b"secret"),
        Account("pop.example.com", "me", lambda: "secret"),
        Account("pop.example.com", "me", lambda: b"secret"),
        Account("pop.example.com", "me", token),
        Account("pop.example.com", "me", PasswordCommand(["pass", "show", "mail/me"], timeout=10)),
        Account("pop.example.com", "me", PasswordEnv("ME_PASSWORD")),
        Account("pop.example.com", "me", PasswordFile("/run/secrets/me")),
        Account("pop.example.com", "me", PasswordFile(Path("secret"))),
        Account("pop.example.com", "me", PasswordKeyring("pop.example.com", "me")),
        Account("pop.example.com", "me", PasswordNetrc()),
        Account("pop.example.com", "me", PasswordNetrc("netrc"), auth="PLAIN"),
        Account("pop.example.com", auth=sasl.External()),
        Account("pop.example.com", "me", auth=OAuth2("token")),
        Account("pop.example.com", "me", auth=OAuth2(token)),
        Account("pop.example.com", "me", auth=OAuth2(lambda: "token")),
        Account("pop.example.com", "me", auth=OAuth2(PasswordCommand(("oama", "access", "me")))),
        Account("pop.example.com", "me", auth=OAuth2(PasswordNetrc())),
        Account("pop.example.com", auth=Ticket()),
    ]


def mechanisms() -> list[Mechanism]:
    """Those that come with pymailbox are mechanisms by the Protocol."""
    return [
        sasl.Anonymous(),
        sasl.CramMD5("me", "secret"),
        sasl.External(),
        sasl.GSSAPI(),
        sasl.Login("me", "secret"),
        sasl.OAuthBearer("me", "token"),
        sasl.Plain("me", "secret"),
        sasl.Scram("me", "secret"),
        sasl.XOAuth2("me", "token"),
        Ticket(),
    ]


def every_option(sock: socket.socket, context: ssl.SSLContext) -> MailboxOptions:
    """All at once."""
    return {
        "port": 995,
        "security": "tls",
        "auth": OAuth2("token"),
        "ssl_context": context,
        "timeout": 10,
        "limits": Limits(),
        "read_only": True,
        "allow_plaintext": True,
        "utf8": False,
        "capa": False,
        "top": False,
        "pipelining": False,
        "proxy": "socks5://localhost:1080",
        "source_address": ("127.0.0.1", 0),
        "sock": sock,
    }


def passed_on(**options: Unpack[MailboxOptions]) -> Mailbox:
    """A function can take the options and pass them on."""
    assert_type(Mailbox("pop.example.com", "me", "secret", **options), Mailbox)
    assert_type(Mailbox.from_account(Account("pop.example.com"), **options), Mailbox)
    assert_type(AsyncMailbox.from_url("pops://me@pop.example.com", token, **options), AsyncMailbox)
    assert_type(diagnose("pops://me@pop.example.com", lambda: "secret", **options), Diagnosis)
    return Mailbox.from_url("pops://me@pop.example.com", "secret", **options)


def passwords(plain: Callable[[], str], awaitable: Callable[[], Awaitable[str]]) -> None:
    """What each kind of mailbox takes."""
    Mailbox("pop.example.com", "me", plain)
    AsyncMailbox("pop.example.com", "me", plain)
    AsyncMailbox("pop.example.com", "me", awaitable)
    AsyncMailbox("pop.example.com", "me", PasswordEnv("ME_PASSWORD"))
    Mailbox("pop.example.com", "me", PasswordNetrc())
    Mailbox.from_url("pops://me@pop.example.com", PasswordEnv("ME_PASSWORD"))
    Mailbox("pop.example.com", "me", auth=OAuth2(plain))
    AsyncMailbox("pop.example.com", "me", auth=OAuth2(awaitable))
    diagnose("pops://me@pop.example.com", PasswordEnv("ME_PASSWORD"))
    Connection("pop.example.com").login("me", PasswordFile("/run/secrets/me"))


def tokens(token: str, kept: list[str]) -> list[OAuth2]:
    """A lambda over what is at hand, as everybody writes it."""
    return [OAuth2(lambda: token), OAuth2(lambda: kept[-1]), OAuth2(kept.pop)]


async def many(accounts: list[Account]) -> list[int | None]:
    """The options of gather_accounts are those of AsyncMailbox."""

    async def count(inbox: AsyncMailbox) -> int:
        return len(inbox)

    return [result.value for result in await gather_accounts(accounts, count, limit=5, timeout=5, read_only=True)]


def pipelines(pop: Connection) -> None:
    """A pipeline of commands of one kind gives results of that kind, and one of several takes them all."""
    assert_type(list(pop.pipeline([commands.retr(1)])), list[bytes | CommandError])
    assert_type(list(pop.pipeline(commands.retr(number) for number in range(1, 3))), list[bytes | CommandError])
    for result in pop.pipeline([commands.retr(1)]):
        assert_type(result, bytes | CommandError)
    mixed = [commands.retr(1), commands.stat()]
    for either in (*pop.pipeline(mixed), *pop.pipeline([commands.top(1, 0), commands.noop(), commands.uidl()])):
        print(either)


async def awaited_pipelines(pop: AsyncConnection) -> None:
    """The same over asyncio."""
    assert_type([result async for result in pop.pipeline([commands.retr(1)])], list[bytes | CommandError])
    async for either in pop.pipeline([commands.retr(1), commands.stat()]):
        print(either)


# --- what is refused --------------------------------------------------------------------------------------------------


def a_coroutine_function_in_the_blocking_mailbox() -> None:
    Mailbox("h.example", "u", token)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_coroutine_function_in_the_blocking_mailbox_by_url() -> None:
    Mailbox.from_url("pops://u@h.example", token)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_number_as_password_command() -> None:
    PasswordCommand(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_number_as_token_or_password() -> None:
    OAuth2(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_number_as_auth() -> None:
    Mailbox("h.example", auth=42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_misspelt_option_by_url() -> None:
    Mailbox.from_url("pops://u@h.example", "p", tiemout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def a_misspelt_option_by_account() -> None:
    Mailbox.from_account(Account("h.example"), tiemout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def an_object_as_auth() -> None:
    Account("h.example", "u", "p", auth=object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_misspelt_option_of_diagnose() -> None:
    diagnose("pops://u@h.example", "p", tiemout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def a_misspelt_option_of_gather_accounts() -> None:
    async def work(_: AsyncMailbox) -> None: ...

    await gather_accounts([], work, tiemout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def text_as_timeout() -> None:
    Mailbox.from_url("pops://u@h.example", timeout="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def text_as_limits() -> None:
    diagnose("pops://u@h.example", limits="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_class_as_auth() -> None:
    Mailbox.from_url("pops://u@h.example", auth=sasl.Plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_coroutine_function_in_a_connection() -> None:
    Connection("h.example").login("u", token)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def a_number_as_password() -> None:
    await AsyncConnection("h.example").login("u", 42)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
