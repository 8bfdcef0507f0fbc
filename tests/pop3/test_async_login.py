"""Logging in over asyncio: the same flows, the channel bound to, credentials that are awaited."""

import asyncio
import ssl
import threading
from typing import Any

import pytest
import scramp.core

from pymailbox import AsyncMailbox, Limits, OAuth2
from pymailbox.errors import AuthenticationError, LimitExceeded, MailboxError, NotSupported
from pymailbox.pop3 import AsyncConnection, tls
from pymailbox.testing import Server
from tests.conftest import Servers
from tests.servers import RealServer, jwt, trusting
from tests.timing import GENEROUS


def enter(
    server: RealServer, *credentials: object, context: ssl.SSLContext | None = None, security: str = "tls"
) -> int:
    """Log in and count the messages."""

    async def main() -> int:
        assert server.ca is not None
        port = server.tls_port if security == "tls" else server.port
        ours = context or trusting(server.ca)
        pop = AsyncConnection(
            server.host,
            port,
            security="tls" if security == "tls" else "starttls",
            ssl_context=ours,
            timeout=GENEROUS,
        )
        async with pop:
            await pop.login(*credentials)  # type: ignore[arg-type] # of several kinds
            return (await pop.stat()).count

    return asyncio.run(main())


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("name", ["dovecot", "cyrus", "courier"])
def test_the_strongest(real_servers: Servers, name: str, security: str) -> None:
    """What is chosen over a blocking socket is chosen here."""
    server = real_servers.get(name)
    assert enter(server, server.user, server.password, security=security) == len(server.mails)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_scram_bound_to_the_channel(real_servers: Servers, security: str) -> None:
    """The binding is taken from the transport's SSLObject."""
    server = real_servers.get("cyrus")
    assert server.ca is not None
    context = trusting(server.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    found = enter(server, server.user, server.password, "SCRAM-SHA-256-PLUS", context=context, security=security)
    assert found == len(server.mails)


def test_external_and_tokens(dovecot: RealServer) -> None:
    """A client certificate, and a token from a coroutine function."""
    assert dovecot.ca is not None
    assert dovecot.client_certificate is not None
    context = tls.client_certificate(dovecot.client_certificate, context=tls.private_ca(dovecot.ca))
    assert enter(dovecot, dovecot.user, context=context) == len(dovecot.mails)

    async def token() -> str:
        await asyncio.sleep(0)
        return jwt(dovecot.user)

    assert enter(dovecot, dovecot.user, None, OAuth2(token)) == len(dovecot.mails)


def test_a_password_that_is_awaited() -> None:
    """Also in the place of a password; and a wrong one is refused as everywhere."""

    async def password() -> str:
        await asyncio.sleep(0)
        return "secret"

    async def main(server: Server) -> None:
        async with AsyncConnection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
            await pop.login("me", password)
        async with AsyncConnection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
            with pytest.raises(AuthenticationError) as caught:
                await pop.login("me", "wrong-secret")
            assert "wrong-secret" not in f"{caught.value!r}"

    with Server(lock=False) as server:
        asyncio.run(main(server))


def test_the_work_of_scram_blocks_no_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes round while the hash is computed, whatever its iterations; by connection and by mailbox."""
    hashed, rounds = scramp.core.hi, []

    def slow(*arguments: Any) -> bytes:
        gone_round = threading.Event()
        loops[0].call_soon_threadsafe(gone_round.set)
        rounds.append(gone_round.wait(GENEROUS))
        done: bytes = hashed(*arguments)
        return done

    async def main(server: Server) -> None:
        loops[:] = [asyncio.get_running_loop()]
        async with AsyncConnection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
            await pop.login("me", "secret")
            await pop.quit()
        async with AsyncMailbox(server.host, "me", "secret", port=server.port, security="none") as inbox:
            assert len(inbox) == 0

    loops: list[asyncio.AbstractEventLoop] = []
    with Server(sasl=("SCRAM-SHA-256",)) as server:
        monkeypatch.setattr(scramp.core, "hi", slow)
        asyncio.run(main(server))
    assert len(rounds) >= 2
    assert all(rounds)


def test_scram_beyond_the_limit_ends_the_login() -> None:
    """LimitExceeded, and the session is over."""

    async def main(server: Server) -> None:
        limits = Limits(scram_iterations=4095)
        mailbox = AsyncMailbox(server.host, "me", "secret", port=server.port, security="none", limits=limits)
        with pytest.raises(LimitExceeded) as caught:
            await mailbox.open()
        assert (caught.value.field, caught.value.usable) == ("scram_iterations", False)

    with Server(sasl=("SCRAM-SHA-256",)) as server:
        asyncio.run(main(server))


def test_scram_refused_is_an_authentication_error_over_asyncio() -> None:
    """At its first line and at its proof; seen: the work in a thread cleared the frames of the waiting coroutine."""

    async def main(server: Server, password: str, auth: str) -> Exception:
        mailbox = AsyncMailbox(server.host, "me", password, port=server.port, security="none", auth=auth)
        with pytest.raises(MailboxError) as caught:
            await mailbox.open()
        return caught.value

    with Server(sasl=("SCRAM-SHA-256",)) as server:
        assert type(asyncio.run(main(server, "wrong", "SCRAM-SHA-256"))) is AuthenticationError
        assert type(asyncio.run(main(server, "secret", "SCRAM-SHA-1"))) is NotSupported
