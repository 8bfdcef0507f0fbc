"""Programs that type checkers accept, and mistakes that they must find. Only the mistakes are ever run.

Each mistake has `ignore` comments with the error codes of mypy and pyright. Both report an unused `ignore`, so the
check fails if they do not find the mistake. `tests/test_typing.py` runs both, and the mistakes, which are TypeErrors.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Unpack, assert_type

from pymailbox import (
    Account,
    Arrival,
    AsyncMailbox,
    AsyncMessage,
    AsyncWatch,
    CommandError,
    Diagnosis,
    Keep,
    Limits,
    Mailbox,
    MailboxOptions,
    Message,
    OAuth2,
    Outcome,
    PasswordCommand,
    PasswordEnv,
    PasswordFile,
    PasswordKeyring,
    PasswordNetrc,
    Seen,
    Watch,
    collect_all,
    diagnose,
    gather_accounts,
)
from pymailbox.account import Exchange, Mechanism, Peer
from pymailbox.pop3 import AsyncConnection, Connection, commands, sasl


async def token() -> str:
    """A coroutine function, which only asyncio can use as a password."""
    return "x"


class Ticket:
    """A user's own mechanism: any class with these attributes."""

    name = "X-TICKET"
    plaintext = False
    initial = True

    def exchange(self, _: Peer, /) -> Exchange:
        """One response."""
        yield b"ticket"


# --- accepted ---------------------------------------------------------------------------------------------------------


def accounts() -> list[Account]:
    """Positional and keyword arguments, and every kind of credential."""
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
    """All options at once."""
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
    """A function can accept the options and pass them on."""
    assert_type(Mailbox("pop.example.com", "me", "secret", **options), Mailbox)
    assert_type(Mailbox.from_account(Account("pop.example.com"), **options), Mailbox)
    assert_type(AsyncMailbox.from_url("pops://me@pop.example.com", token, **options), AsyncMailbox)
    assert_type(diagnose("pops://me@pop.example.com", lambda: "secret", **options), Diagnosis)
    return Mailbox.from_url("pops://me@pop.example.com", "secret", **options)


def passwords(plain: Callable[[], str], awaitable: Callable[[], Awaitable[str]]) -> None:
    """The passwords that each kind of mailbox accepts."""
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
    """Lambdas over local variables, and bound methods."""
    return [OAuth2(lambda: token), OAuth2(lambda: kept[-1]), OAuth2(kept.pop)]


async def many(accounts: list[Account]) -> list[int | None]:
    """The options of gather_accounts are those of AsyncMailbox."""

    async def count(inbox: AsyncMailbox) -> int:
        return len(inbox)

    return [result.value for result in await gather_accounts(accounts, count, limit=5, timeout=5, read_only=True)]


def archives(accounts: list[Account]) -> list[str]:
    """So are those of collect_all; an outcome has the result or the error."""
    found: list[str] = []
    with ProcessPoolExecutor() as pool:
        for outcome in collect_all(accounts, "mail", executor=pool, per_host=2, keep=Keep(days=30), timeout=5):
            assert_type(outcome, Outcome)
            assert_type(outcome.error, BaseException | None)
            found.append(outcome.account.host if outcome.result is None else str(outcome.result.new))
    return found


async def new_messages(seen: Seen, inbox: Mailbox, async_inbox: AsyncMailbox) -> None:
    """What is new has the type of the mailbox's messages, and is awaited where they are."""
    assert_type(seen.new(inbox), tuple[Message, ...])
    assert_type(await seen.new(async_inbox, renumbered=True), tuple[AsyncMessage, ...])
    seen.add(seen.new(inbox))
    seen.add(inbox[0])
    seen.add(async_inbox[:5])


def watches(account: Account) -> None:
    """A watch is an iterator of arrivals, and takes the options of a mailbox."""
    with Watch(account, every=5, state=Path("me.watch"), timeout=5) as watch:
        assert_type(watch.wait(lambda mail: "code" in mail.subject, timeout=120), Arrival)
        assert_type(next(watch), Arrival)
        for arrival in watch:
            assert_type(arrival, Arrival)
            assert_type(arrival.uid, str | None)
            arrival.done()


async def awaited_watches(account: Account) -> None:
    """The same over asyncio."""
    async with AsyncWatch(account, 5, "me.watch", read_only=True) as watch:
        assert_type(await watch.wait(lambda mail: mail.size > 100), Arrival)
        async for arrival in watch:
            assert_type(arrival, Arrival)
            arrival.done()


def pipelines(pop: Connection) -> None:
    """A pipeline of one kind of command yields results of that kind; kinds can be mixed."""
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


# --- refused ----------------------------------------------------------------------------------------------------------


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


def a_misspelt_option_of_collect_all() -> None:
    collect_all([], "mail", tiemout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def a_misspelt_option_of_a_watch() -> None:
    Watch(Account("h.example"), tiemout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


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
