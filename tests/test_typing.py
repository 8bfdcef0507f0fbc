"""Type checkers accept correct programs and find each mistake, and each mistake is refused at run time, too."""

import asyncio
import functools
import inspect
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

from pymailbox import AsyncMailbox, Mailbox, MailboxOptions
from tests import ROOT
from tests.typing import options

#: Mistakes that are found at the login.
AT_THE_LOGIN = {"a_coroutine_function_in_a_connection", "a_number_as_password"}

MISTAKES = {
    name: function
    for name, function in vars(options).items()
    if inspect.isfunction(function)
    and function.__module__ == options.__name__
    and name.startswith(("a_", "an_", "text_"))
}


def run(*command: str) -> None:
    """Run a type checker, which must find neither an error nor an unused `ignore` comment."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy() -> None:
    """`mypy --strict` accepts the programs and the examples, and finds every marked mistake."""
    pytest.importorskip("mypy", reason="mypy is not installed; pip install 'pymailbox[test]'")
    run("mypy", "--strict", "--follow-imports=silent", "tests/typing", "examples")


def test_pyright() -> None:
    """So does pyright in strict mode."""
    pytest.importorskip("pyright", reason="pyright is not installed; pip install 'pymailbox[test]'")
    run("pyright", "tests/typing", "examples")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_marked_for_both_checkers(name: str) -> None:
    """Each mistake has the error codes of mypy and of pyright."""
    lines = [line for line in inspect.getsource(MISTAKES[name]).splitlines() if "ignore[" in line]
    assert len(lines) == 1
    assert "# type: ignore[" in lines[0]
    assert "# pyright: ignore[" in lines[0]


@pytest.mark.parametrize("name", [name for name in MISTAKES if name not in AT_THE_LOGIN])
def test_a_mistake_is_a_type_error_at_run_time(name: str) -> None:
    """The error names the argument, and is raised before anything is connected."""
    mistake: Callable[[], Any] = MISTAKES[name]
    if inspect.iscoroutinefunction(mistake):
        mistake = functools.partial(asyncio.run, mistake())
    with pytest.raises(TypeError, match=r"tiemout|auth|password|timeout|limits|token"):
        mistake()


@pytest.mark.parametrize("kind", [Mailbox, AsyncMailbox])
def test_the_options_are_those_of_the_constructor(kind: type) -> None:
    """`MailboxOptions` has the keyword-only parameters of the constructor, in their order and with their types."""
    parameters = inspect.signature(kind).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    given = get_type_hints(MailboxOptions)
    taken = get_type_hints(kind.__init__, localns={"socket": socket, "ssl": ssl})
    assert list(given) == names
    assert given == {name: taken[name] for name in names}
    assert not MailboxOptions.__required_keys__


async def _token() -> str:
    return "x"


def test_a_token_may_be_a_coroutine_function_for_asyncio_only() -> None:
    """The blocking mailbox refuses it at run time, as no type checker can."""
    from pymailbox import Account, OAuth2

    account = Account("pop.example.com", "me", auth=OAuth2(_token))
    with pytest.raises(TypeError, match="token is a coroutine function"):
        Mailbox.from_account(account)
    AsyncMailbox.from_account(account)


class _Refresher:
    async def __call__(self) -> str:
        return "x"


def test_the_blocking_mailbox_refuses_every_callable_that_returns_a_coroutine() -> None:
    """When the mailbox is made, if that can be detected, otherwise at the login; the error names AsyncMailbox."""
    from pymailbox import Account, OAuth2
    from pymailbox.testing import Server

    with Server([b"x\r\n"], password="x", token="x", sasl=["PLAIN", "XOAUTH2"]) as server:
        for given in (_token, _Refresher(), functools.partial(_token)):
            for account in (
                Account(server.host, "me", given, security="none", port=server.port),
                Account(server.host, "me", auth=OAuth2(given), security="none", port=server.port),
            ):
                with pytest.raises(TypeError, match="is a coroutine function, which only AsyncMailbox can await"):
                    Mailbox.from_account(account)
                assert asyncio.run(_count(account)) == 1
        hidden = Mailbox(server.host, "me", lambda: _token(), security="none", port=server.port)  # type: ignore[arg-type, return-value] # misuse
        with pytest.raises(TypeError, match="is a coroutine function, which only AsyncMailbox can await"):
            hidden.open()


async def _count(account: Any) -> int:
    async with AsyncMailbox.from_account(account) as inbox:
        return len(inbox)
