"""Accounts are made from URLs and the environment, reject invalid values, and never show or pickle a secret."""

import base64
import copy
import functools
import itertools
import multiprocessing
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox import (
    Account,
    AsyncMailbox,
    Mailbox,
    OAuth2,
    PasswordCommand,
    PasswordEnv,
    PasswordFile,
    PasswordKeyring,
    PasswordNetrc,
    diagnose,
)
from pymailbox.account import Exchange, NotPickled, Peer
from pymailbox.pop3 import Connection, sasl, tls
from pymailbox.testing import Server
from tests import case
from tests.timing import GENEROUS

SECRET = "correct horse battery staple"

# --- URLs -----------------------------------------------------------------------------------------------------


def test_pop_urls() -> None:
    """RFC 2384: user, mechanism, host and port; APOP is written `+APOP`, any mechanism `*`."""
    for url, host, port, security, user, auth in (
        ("pop://pop.example.com", "pop.example.com", 110, "none", None, None),
        ("pops://me@pop.example.com", "pop.example.com", 995, "tls", "me", None),
        (
            "pop+starttls://me%40example.com@pop.example.com:1100",
            "pop.example.com",
            1100,
            "starttls",
            "me@example.com",
            None,
        ),
        ("pops://me;AUTH=*@pop.example.com", "pop.example.com", 995, "tls", "me", None),
        ("pops://me;auth=SCRAM-SHA-256@pop.example.com", "pop.example.com", 995, "tls", "me", "SCRAM-SHA-256"),
        ("pops://me;AUTH=+APOP@pop.example.com", "pop.example.com", 995, "tls", "me", "APOP"),
        ("POPS://me@POP.example.com", "pop.example.com", 995, "tls", "me", None),
        ("pops://me@[::1]:995", "::1", 995, "tls", "me", None),
        ("pops://%C3%A4@pop.example.com", "pop.example.com", 995, "tls", "ä", None),
    ):
        account = Account.from_url(url)
        found = (account.host, account.port, account.security, account.user, account.auth, account.password)
        assert found == (host, port, security, user, auth, None), url


@pytest.mark.threat(14)
def test_what_is_not_a_pop_url() -> None:
    """ValueError, also for what urllib would silently drop, such as control characters; the password is not shown."""
    for url in (
        "",
        "pop.example.com",
        "imap://pop.example.com",
        "pops://",
        "pops://:995",
        "pops://pop.example.com:0",
        "pops://pop.example.com:65536",
        "pops://pop.example.com:x",
        "pops://[::1",
        "pops://a b.example.com",
        "pops://pop.example.com\r\n",
        "pops://pop.exa\tmple.com",
        f"pops://me:{SECRET}\n@pop.example.com",
        "pops://me%0d%0aDELE%201@pop.example.com",
        "pops://me:x%0d%0aDELE%201@pop.example.com",
        "pops://me:x%00@pop.example.com",
        "pops://me:x%7f@pop.example.com",
    ):
        with case(url):
            with pytest.raises(ValueError) as caught:
                Account.from_url(url)
            assert SECRET not in str(caught.value)
            assert caught.value.__context__ is None


def test_a_password_in_a_url() -> None:
    """It is accepted, unless `refuse_password` is set for URLs that are typed; `password=` overrides it."""
    url = "pops://me:s%20cret@pop.example.com"
    assert Account.from_url(url).password == "s cret"
    assert Account.from_url(url, "another").password == "another"
    with pytest.raises(ValueError, match="other users can read") as caught:
        Account.from_url(url, refuse_password=True)
    assert "cret" not in str(caught.value)
    assert "cret" not in Account.from_url(url).url


@given(
    user=st.none() | st.text(st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc"]), min_size=1),
    port=st.integers(1, 65535),
    security=st.sampled_from(["tls", "starttls", "none"]),
)
def test_the_url_of_an_account_makes_the_same_account(user: str | None, port: int, security: Any) -> None:
    """`from_url` is the inverse of `url`."""
    account = Account("pop.example.com", user, port=port, security=security)
    assert Account.from_url(account.url) == account


def test_an_at_sign_in_a_url_is_not_misread() -> None:
    """RFC 3986 §3.2.1: with a password a bare @ is ambiguous and refused; without one it can only be the user's."""
    for url in (
        "pops://recent:me@hunter2@pop.gmail.com",
        "pops://me:hunter2@ss@pop.example.com",
        "pops://me@example.com:hunter2@pop.example.com",
        "pops://a@b:hunter2@d@pop.example.com",
        "pop://@:hunter2@pop.example.com",
    ):
        with case(url):
            with pytest.raises(ValueError, match="%40") as caught:
                Account.from_url(url)
            assert "hunter2" not in str(caught.value)
            with pytest.raises(ValueError):
                Account.from_url(url, "another")
    assert Account.from_url("pops://me@gmail.com@pop.gmail.com") == Account("pop.gmail.com", "me@gmail.com")
    encoded = Account.from_url("pops://recent%3Ame%40gmail.com:p%40ss@pop.gmail.com")
    assert (encoded.user, encoded.password) == ("recent:me@gmail.com", "p@ss")


def test_what_follows_a_host_is_a_port_and_nothing_else() -> None:
    """Junk after an IPv6 address, a percent sign in a name, an invalid port: ValueError, not another host or port."""
    for place in (
        "[::1]995",
        "[::1]junk",
        "[::1]junk:995",
        "junk[::1]:995",
        "[::1]:995:1",
        "[::1]:x",
        "[::1]:+995",
        "[::1]:９９５",
        "[::1]:65536",
        "[::1]:0",
        "[::1",
        "::1",
        "2001:db8::1:995",
        "[1.2.3.4]",
        "[pop.example.com]",
        "[::1]]",
        "[[::1]]",
        "[]",
        "[v1.x]",
        "pop%2Eexample.com",
        "pop.example.com%00",
        "pop%20.example.com",
        "%",
        "[::1%eth0]",
        "[::1%25]",
        "[::1%25a%20b]",
        "pop.example.com:995:1",
        "pop.example.com:-1",
        "pop.example.com: 995",
    ):
        for scheme in ("pops", "pop", "pop+starttls"):
            with case(scheme, place), pytest.raises(ValueError):
                Account.from_url(f"{scheme}://me@{place}")
    for place, host, port in (
        ("[2001:DB8::1]", "2001:db8::1", 995),
        ("[::ffff:1.2.3.4]:1100", "::ffff:1.2.3.4", 1100),
        ("[fe80::1%25eth0]:1100", "fe80::1%eth0", 1100),
        ("POP.example.com:", "pop.example.com", 995),
    ):
        found = Account.from_url(f"pops://me@{place}")
        assert (found.host, found.port) == (host, port)
        assert Account.from_url(found.url) == found
    for host in ("2001:db8::1:995junk", "::1]", "1:2", ":::", "pop%2Eexample.com", "50%", "fe80::1%"):
        with case(host), pytest.raises(ValueError):
            Account(host)


def test_a_mechanism_that_needs_a_user_is_refused_without_one() -> None:
    """ValueError when the account, or either mailbox, is made."""
    for auth in ("PLAIN", "login", "USER", "APOP", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256", OAuth2("t")):
        for user in (None, ""):
            for make in (Account, Mailbox, AsyncMailbox):
                with case(auth, user, make), pytest.raises(ValueError, match="needs a user"):
                    make("pop.example.com", user, "secret", auth=auth)
    for make in (Mailbox, AsyncMailbox):
        with case(make), pytest.raises(ValueError, match="a password needs a user"):
            make("pop.example.com", password="secret")
    for without in ("EXTERNAL", "anonymous", "GSSAPI", None, sasl.Plain("me", "secret")):
        for make in (Account, Mailbox, AsyncMailbox):
            with case(without, make):
                make("pop.example.com", auth=without)


def test_all_four_attributes_of_a_mechanism_are_checked() -> None:
    """TypeError with the one that is missing, when the account is made; an object with all of them is accepted."""

    class Own:
        name, plaintext, initial = "X-OWN", False, None

        def exchange(self, peer: Peer, /) -> Exchange:
            yield b"me"

    Account("h", auth=Own())
    wrong: list[tuple[str, Any]] = [
        ("name", None),
        ("name", ""),
        ("name", b"X-OWN"),
        ("plaintext", None),
        ("plaintext", "no"),
        ("initial", "yes"),
        ("initial", 1),
        ("exchange", None),
        ("exchange", "no"),
    ]
    for name, value in wrong:
        broken = type("Broken", (Own,), {name: value})()
        for make in (Account, Mailbox, AsyncMailbox):
            with case(name, value, make), pytest.raises(TypeError, match=name if name != "exchange" else "mechanism"):
                make("h", auth=broken)
    for name in ("name", "plaintext", "initial"):
        members = {one: value for one, value in vars(Own).items() if one not in (name, "__dict__", "__weakref__")}
        with case(name), pytest.raises(TypeError, match=name):
            Account("h", auth=type("Without", (), members)())


def test_another_security_has_its_own_port() -> None:
    """A default port changes with `security`; a port that was given, or is not a default, stays."""
    for make in (Mailbox, AsyncMailbox):
        for url, options, port in (
            ("pops://h", {"security": "starttls"}, 110),
            ("pops://h", {"security": "none"}, 110),
            ("pop://h", {"security": "tls"}, 995),
            ("pop://h", {"security": "starttls"}, 110),
            ("pop+starttls://h", {"security": "tls"}, 995),
            ("pops://h:1100", {"security": "starttls"}, 1100),
            ("pops://h", {"security": "starttls", "port": 995}, 995),
            ("pops://h", {"security": "starttls", "port": None}, 110),
            ("pops://h", {}, 995),
        ):
            with case(make, url, options):
                made: Any = make.from_url(url, **options)
                assert (made.account.port, made.connection.port) == (port, port)
                assert make.from_account(Account.from_url(url), **options).account.port == port


# --- fields ---------------------------------------------------------------------------------------------------


def test_misuse_is_found_at_once() -> None:
    """ValueError or TypeError from the constructor, before anything is connected."""
    misuses: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"host": ""}, ValueError),
        ({"host": "a b"}, ValueError),
        ({"host": "a\r\nb"}, ValueError),
        ({"host": b"host"}, TypeError),
        ({"port": 0}, ValueError),
        ({"port": 65536}, ValueError),
        ({"port": True}, TypeError),
        ({"port": "995"}, TypeError),
        ({"security": "ssl"}, ValueError),
        ({"user": "a\nb"}, ValueError),
        ({"user": 7}, TypeError),
        ({"user": str}, TypeError),
        ({"password": "a\0b"}, ValueError),
        ({"password": bytearray(b"bytes")}, TypeError),
        ({"password": b"a\nb"}, ValueError),
        ({"user": b"me"}, TypeError),
    ]
    for fields, error in misuses:
        with case(fields), pytest.raises(error):
            Account(**({"host": "pop.example.com"} | fields))


def test_a_host_is_only_a_host() -> None:
    """A URL as host, or a port after the name, raises with advice, not when the name is looked up."""
    for host, problem in (
        (f"pops://me:{SECRET}@pop.example.com", "from_url"),
        ("me@pop.example.com", "from_url"),
        ("[::1]", "invalid host name"),
        ("pop.example.com:995", "port="),
    ):
        with case(host):
            with pytest.raises(ValueError, match=problem) as caught:
                Mailbox(host)
            assert SECRET not in str(caught.value)


def test_a_pop_url_is_a_str() -> None:
    """Anything else is TypeError."""
    wrong: list[Any] = [None, b"pops://pop.example.com", 995]
    for url in wrong:
        for make in (Account, Mailbox, AsyncMailbox):
            with (
                case(url, make),
                pytest.raises(TypeError, match=f"^a POP URL must be a str, not {type(url).__name__}$"),
            ):
                make.from_url(url)


def test_a_type_is_named_as_it_was_given() -> None:
    """Errors name the type that the caller used, not the private types in which secrets are wrapped."""
    misuses: list[tuple[Callable[[], object], str]] = [
        (lambda: Mailbox("h", proxy=b"x"), "proxy must be a str, not bytes"),  # type: ignore[arg-type] # misuse
        (lambda: OAuth2(b"x"), "token must be a str, a callable or a reference such as PasswordCommand, not bytes"),  # type: ignore[arg-type] # misuse
        (lambda: Account(b"x"), "host must be a str, not bytes"),  # type: ignore[arg-type] # misuse
        (lambda: sasl.XOAuth2("me", b"x"), "token must be a str, not bytes"),  # type: ignore[arg-type] # misuse
    ]
    for misuse, problem in misuses:
        with case(problem), pytest.raises(TypeError, match=f"^{problem}$"):
            misuse()


def test_default_ports() -> None:
    """995 for TLS from the first byte, otherwise 110."""
    ports = [Account("h", security=security).port for security in ("tls", "starttls", "none")]
    assert ports == [995, 110, 110]


# --- nothing is shown -----------------------------------------------------------------------------------------


@pytest.mark.threat(33)
def test_secrets_are_not_shown() -> None:
    """No repr contains them; copying returns the same account, token or secret, and `evolve` keeps them."""
    account = Account("h", "me", SECRET, auth=OAuth2(SECRET))
    for text in (repr(account), repr(account.password), repr(account.auth), str(account), f"{account!r}"):
        assert SECRET not in text
    assert copy.copy(account) is account
    assert copy.deepcopy([account])[0] is account
    for part in (account.auth, account.password, Account("h", "me", SECRET.encode()).password):
        assert copy.copy(part) == copy.deepcopy([part])[0] == part
        assert SECRET not in repr(copy.deepcopy(part))
    assert attrs.evolve(account, user="you") == Account("h", "you", SECRET, auth=OAuth2(SECRET))
    assert hash(account) == hash(Account("h", "me", SECRET, auth=OAuth2(SECRET)))
    assert account != Account("h", "me", "another", auth=OAuth2(SECRET))


# --- pickling -------------------------------------------------------------------------------------------------


class Stateless:
    """A mechanism without state."""

    name, plaintext, initial = "X-STATELESS", False, True

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return 1

    def exchange(self, peer: Peer, /) -> Exchange:
        """One response."""
        yield b"hello"


class Holder(Stateless):
    """A user's own mechanism, with state."""

    def __init__(self, held: Any) -> None:
        self.held = held


@attrs.frozen
class SlottedHolder(Stateless):
    """The same without a `__dict__`."""

    held: Any


REFERENCES = (
    PasswordCommand(["pass", "show", "mail/me"], timeout=5),
    PasswordEnv("ME_PASSWORD"),
    PasswordFile("/run/secrets/me"),
    PasswordKeyring("pop.example.com", "me"),
    PasswordNetrc(),
    PasswordNetrc("~/netrc"),
)


def test_an_account_with_a_reference_pickles_whole() -> None:
    """So does one with a mechanism's name, or a reference as OAuth2 token; the result is equal and has the same hash."""
    auths: list[Any] = [None, "PLAIN", "scram-sha-256", sasl.External(), sasl.Anonymous("x"), sasl.GSSAPI("me")]
    auths += [OAuth2(reference) for reference in REFERENCES]
    for reference, auth in itertools.product((None, *REFERENCES), auths):
        account = Account("h", "me", reference, security="starttls", port=1100, auth=auth)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with case(account, reference, auth, protocol):
                again = pickle.loads(pickle.dumps(account, protocol))
                assert again == account
                assert (again.password, again.auth, hash(again)) == (reference, auth, hash(account))
    stateless = pickle.loads(pickle.dumps(Account("h", auth=Stateless()))).auth
    assert isinstance(stateless, Stateless)


def forms(value: bytes) -> set[bytes]:
    """Return the forms of a secret that must not be in a pickle: itself, and its base64 at any offset."""
    found = {value, value.decode().encode("utf-16-le"), repr(value)[2:-1].encode()}
    for before in range(3):
        coded = base64.b64encode(bytes(before) + value)
        found.add(coded[(0, 2, 3)[before] : (before + len(value)) * 8 // 6])
    return found


@pytest.mark.threat(33)
@given(
    value=st.text("abcdefghijklmnopqrstuvwxyz0123456789äß€ ", min_size=8).map(lambda text: "q7" + text),
    protocol=st.integers(0, pickle.HIGHEST_PROTOCOL),
    data=st.data(),
)
def test_no_secret_is_in_a_pickle(value: str, protocol: int, data: st.DataObject) -> None:
    """Neither a secret given as text, bytes, a callable or in a mechanism, nor its base64; using the account raises."""
    raw = value.encode()
    literals = st.sampled_from(
        [None, value, raw, lambda: value, functools.partial(str, value), functools.partial(bytes, raw)]
    )
    tokens = st.sampled_from([value, lambda: value, functools.partial(str, value), *REFERENCES])
    mechanisms = st.sampled_from([
        *(sasl.Plain("me", value), sasl.Plain("me", raw), sasl.Login("me", value), sasl.CramMD5("me", value)),
        *(sasl.Scram("me", value), sasl.XOAuth2("me", value), sasl.OAuthBearer("me", value)),
        *(Holder(value), Holder(raw), SlottedHolder(value), Holder(sasl.Plain("me", value)), Holder(lambda: value)),
        *(None, "PLAIN", sasl.External("me"), Stateless()),
    ])  # fmt: skip
    account = Account(
        "pop.example.com",
        data.draw(st.sampled_from(["me", "me@example.com"])),
        data.draw(literals | st.sampled_from(REFERENCES)),
        security=data.draw(st.sampled_from(["tls", "starttls", "none"])),
        port=data.draw(st.integers(1, 65535)),
        auth=data.draw(mechanisms | tokens.map(OAuth2)),
    )
    for thing in (account, [account], account.auth if isinstance(account.auth, OAuth2) else None):
        pickled = pickle.dumps(thing, protocol)
        assert not any(form in pickled for form in forms(raw))
    again = pickle.loads(pickle.dumps(account, protocol))
    kept = ("host", "user", "security", "port")
    assert [getattr(again, name) for name in kept] == [getattr(account, name) for name in kept]
    token = again.auth.token if isinstance(again.auth, OAuth2) else None
    dropped = [one for one in (again.password, again.auth, token) if isinstance(one, NotPickled)]
    assert bool(dropped) == (
        again.password != account.password
        or not isinstance(again.auth, type(account.auth))
        or isinstance(token, NotPickled)
    )
    if dropped:
        with pytest.raises(ValueError, match=r"without its (password|token|mechanism).*PasswordEnv"):
            Mailbox.from_account(again)
    assert pickle.loads(pickle.dumps(again)) == again


@pytest.mark.threat(33)
def test_using_a_secret_that_was_not_pickled_raises() -> None:
    """ValueError with what to use instead, before anything is connected; with a new secret the account works."""

    class Local(Stateless):
        """Cannot be pickled at all."""

    for account, what in (
        (Account("h", "me", SECRET), "password"),
        (Account("h", "me", lambda: SECRET, auth="PLAIN"), "password"),
        (Account("h", "me", auth=OAuth2(SECRET)), "token"),
        (Account("h", "me", auth=sasl.Plain("me", SECRET)), "mechanism Plain"),
        (Account("h", "me", auth=Holder(SECRET)), "mechanism Holder"),
        (Account("h", "me", auth=Local()), "mechanism Local"),
    ):
        again = pickle.loads(pickle.dumps(account))
        problem = f"was unpickled without its {what}, because .*PasswordCommand"
        with case(account, what):
            for make in (Mailbox, AsyncMailbox):
                with pytest.raises(ValueError, match=problem):
                    make.from_account(again)
            with pytest.raises(ValueError, match=problem):
                diagnose(again)
            with Server() as server, Connection(server.host, server.port, security="none") as pop:
                with pytest.raises(ValueError, match=problem):
                    pop.login("me", again.password, again.auth)
                assert not any(line.startswith(("AUTH", "USER", "PASS")) for line in server.log)
            Mailbox.from_account(attrs.evolve(again, password="new", auth=None))
            assert "unpickled" not in repr(again)
    with pytest.raises(TypeError, match="a secret cannot be pickled"):
        pickle.dumps(Account("h", "me", SECRET).password)


def count_in_a_worker(account: Account) -> tuple[int | None, str]:
    """What a program does in its worker process: open the account and do some work."""
    try:
        with Mailbox.from_account(account) as inbox:
            return len(inbox), ""
    except ValueError as error:
        return None, str(error)


def test_an_account_works_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a new process, which inherits only the environment."""
    monkeypatch.setenv("WORKER_PASSWORD", SECRET)
    file, netrc = tmp_path / "secret", tmp_path / "netrc"
    file.write_text(SECRET + "\n")
    netrc.touch(0o600)
    netrc.write_text(f'machine 127.0.0.1 login me password "{SECRET}"\n')
    command = PasswordCommand([sys.executable, "-c", "import os; print(os.environ['WORKER_PASSWORD'])"])
    references = (command, PasswordEnv("WORKER_PASSWORD"), PasswordFile(file), PasswordNetrc(netrc))
    with Server([b"x\r\n"], password=SECRET, token=SECRET, sasl=["PLAIN", "XOAUTH2"]) as server:
        options: dict[str, Any] = {"security": "none", "port": server.port}
        works = [Account(server.host, "me", reference, **options) for reference in references]
        works += [Account(server.host, "me", reference, auth="PLAIN", **options) for reference in references[:1]]
        works += [Account(server.host, "me", auth=OAuth2(reference), **options) for reference in references]
        fails = [
            Account(server.host, "me", SECRET, auth="PLAIN", **options),
            Account(server.host, "me", auth=OAuth2(SECRET), **options),
            Account(server.host, "me", auth=sasl.Plain("me", SECRET), **options),
        ]
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            results = list(pool.map(count_in_a_worker, works + fails, timeout=GENEROUS))
    assert results[: len(works)] == [(1, "")] * len(works)
    for count, outcome in results[len(works) :]:
        assert count is None
        assert "was unpickled without" in outcome
        assert SECRET not in outcome


def test_pickling_an_ssl_context_is_refused() -> None:
    """TypeError that explains how to make the context in the other process."""
    for context in (tls.verified(), tls.pinned("ab" * 32)):
        with pytest.raises(TypeError, match=r"ssl_context cannot be pickled.*tls\.private_ca\(path\)"):
            pickle.dumps({"account": Account("h"), "options": {"ssl_context": context}})


def test_a_password_is_still_the_string() -> None:
    """It is hidden, but equal to the string, and a str."""
    account = Account("h", "me", SECRET)
    assert account.password == SECRET
    assert isinstance(account.password, str)


# --- the environment ------------------------------------------------------------------------------------------


def test_from_the_environment() -> None:
    """Single variables override the URL; an empty one counts as not set."""
    cases: list[tuple[dict[str, str], Account]] = [
        ({"URL": "pops://me@h"}, Account("h", "me")),
        ({"HOST": "h"}, Account("h")),
        ({"HOST": "h", "USER": "me", "SECURITY": "starttls"}, Account("h", "me", security="starttls")),
        ({"HOST": "h", "USER": "me", "PORT": "1995", "AUTH": "PLAIN"}, Account("h", "me", port=1995, auth="PLAIN")),
        ({"HOST": "h", "AUTH": "external"}, Account("h", auth="external")),
        ({"URL": "pops://;AUTH=PLAIN@h", "USER": "me"}, Account("h", "me", auth="PLAIN")),
        ({"URL": "pops://me@h:995", "SECURITY": "starttls"}, Account("h", "me", security="starttls", port=110)),
        ({"URL": "pops://me@h", "PASSWORD": SECRET}, Account("h", "me", SECRET)),
        ({"URL": "pops://me@h", "USER": "you"}, Account("h", "you")),
        ({"URL": "pops://me@h", "SECURITY": "none"}, Account("h", "me", security="none")),
        ({"URL": "pops://me@h:1995", "SECURITY": "none"}, Account("h", "me", security="none", port=1995)),
        ({"HOST": "h", "USER": "me", "TOKEN": SECRET}, Account("h", "me", auth=OAuth2(SECRET))),
        ({"HOST": "h", "PASSWORD": ""}, Account("h")),
    ]
    for environment, expected in cases:
        found = Account.from_env(environment={f"PYMAILBOX_{name}": value for name, value in environment.items()})
        assert found == expected, environment
        assert found.password == expected.password, environment


def test_an_invalid_environment() -> None:
    """ValueError without a secret."""
    wrong: list[dict[str, str]] = [
        {},
        {"USER": "me"},
        {"HOST": "h", "PORT": "x"},
        {"HOST": "h", "PORT": "９９５"},
        {"HOST": "h", "PASSWORD": f"{SECRET}\r\nDELE 1"},
        {"HOST": "h", "SECURITY": "ssl"},
        {"URL": "imap://h"},
    ]
    for environment in wrong:
        with case(environment):
            with pytest.raises(ValueError) as caught:
                Account.from_env(environment={f"PYMAILBOX_{name}": value for name, value in environment.items()})
            assert SECRET not in str(caught.value)


def test_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another prefix; the secret becomes a reference, so that it is read at each login and the account pickles."""
    monkeypatch.setenv("WORK_HOST", "pop.example.com")
    assert Account.from_env("WORK_") == Account("pop.example.com")
    monkeypatch.setenv("WORK_USER", "me")
    monkeypatch.setenv("WORK_PASSWORD", SECRET)
    password, token = PasswordEnv("WORK_PASSWORD"), PasswordEnv("WORK_TOKEN")
    assert Account.from_env("WORK_") == Account("pop.example.com", "me", password)
    monkeypatch.setenv("WORK_TOKEN", SECRET)
    assert Account.from_env("WORK_") == Account("pop.example.com", "me", password, auth=OAuth2(token))
    monkeypatch.setenv("WORK_AUTH", "XOAUTH2")
    assert Account.from_env("WORK_") == Account("pop.example.com", "me", token, auth="XOAUTH2")


# --- OAuth2 ---------------------------------------------------------------------------------------------------


def test_oauth2_takes_a_string_or_a_callable() -> None:
    """Control characters and other types are refused."""
    assert OAuth2("t").token == "t"
    assert callable(OAuth2(lambda: "t").token)
    for wrong, error in (("a\nb", ValueError), (7, TypeError), (b"t", TypeError)):
        with pytest.raises(error):
            OAuth2(wrong)  # type: ignore[arg-type] # misuse


def test_a_mailbox_of_an_account() -> None:
    """A mailbox made from an account has an equal account."""
    account = Account("h", "me", SECRET, security="starttls", auth="PLAIN")
    assert Mailbox.from_account(account).account == account


def test_importing_accounts_is_cheap() -> None:
    """A program that only makes an account does not import ssl, hashlib, subprocess, netrc or email."""
    code = (
        "import sys; from pymailbox import Account, OAuth2; Account('h', 'me', 'x');"
        "print([m for m in ('ssl', '_hashlib', 'subprocess', 'netrc', 'email', 'asyncio', 'scramp') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert printed.strip() == "[]"


# --- tracebacks with local variables --------------------------------------------------------------------------

HIDDEN = "hunter2-hunter2"


def exposed(error: BaseException | None) -> list[str]:
    """Return the places in the package's frames, and in the errors, where the secret is visible."""
    found = []
    while error is not None:
        for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
            if frame.filename != __file__:
                found += [f"{frame.name}: {name}" for name, value in (frame.locals or {}).items() if HIDDEN in value]
        if HIDDEN in f"{error} {error!r} {vars(error)}":
            found.append(repr(error))
        error = error.__cause__ or error.__context__
    return found


@pytest.mark.threat(33)
def test_an_invalid_environment_shows_no_secret() -> None:
    """Neither the environment nor the parts of a URL are local variables in the traceback."""
    wrong: list[dict[str, str]] = [
        {"HOST": "h", "SECURITY": "ssl", "PASSWORD": HIDDEN},
        {"HOST": "h", "PASSWORD": f"{HIDDEN}\n"},
        {"HOST": "h", "TOKEN": f"{HIDDEN}\n"},
        {"HOST": "h", "PORT": "9" * 5000, "PASSWORD": HIDDEN},
        {"HOST": "h", "TOKEN": HIDDEN, "AUTH": "PLAIN"},
        {"USER": "me", "PASSWORD": HIDDEN},
        {"URL": f"pops://me:{HIDDEN}@h:x"},
        {"URL": f"pops://me:{HIDDEN}%0d@h"},
        {"URL": f"pops://me:{HIDDEN}%ff@h"},
        {"URL": f"pops://me:{HIDDEN}/@h"},
        {"URL": f"http://me:{HIDDEN}@h"},
        {"URL": f"pops://me:{HIDDEN}@"},
        {"URL": f"pops://me;x:{HIDDEN}@h"},
    ]
    for environment in wrong:
        with case(environment), pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(f"PYMAILBOX_{name}", value)
            with pytest.raises(ValueError) as caught:
                Account.from_env()
            assert exposed(caught.value) == []


def test_a_refused_password_in_a_url_is_not_shown() -> None:
    """The error of `refuse_password=True` does not contain it."""
    with pytest.raises(ValueError, match="other users can read") as caught:
        Account.from_url(f"pops://me:{HIDDEN}@h", refuse_password=True)
    assert exposed(caught.value) == []


def test_text_after_a_pop_url_is_refused() -> None:
    """RFC 2384 allows none. Seen: the password `12/34` made `me` the host and 12 the port."""
    for url in (
        "pops://me:12/34@host",
        "pops://me:/34@host",
        "pops://me@h/inbox",
        "pops://me@h?x",
        "pops://me@h#x",
    ):
        with case(url), pytest.raises(ValueError, match="%2F"):
            Account.from_url(url)


def test_an_unknown_option_in_a_pop_url_is_refused() -> None:
    """A misspelt option would silently be dropped, and a requirement with it."""
    for option in (
        "x=y",
        "",
        "auth=",
        "AUTHX=y",
        "auth=+",
        "auth=plain;auth=login",
        "auth=plain;",
        "auth=a%3Bb",
        "auth=a b",
    ):
        url = f"pops://me;{option.replace(' ', '%20')}@h"
        with case(url), pytest.raises(ValueError, match="only one ;AUTH=mechanism"):
            Account.from_url(url)


def test_an_invalid_percent_escape_is_refused() -> None:
    """RFC 3986 §2.1. Programs differ in how they decode one, so that a password would be wrong in some of them."""
    for bad in ("%zz", "%", "100%sure", "%4", "%%41", "%g0", "%٣٣"):
        for url in (f"pops://{bad}@h", f"pops://me:{HIDDEN}{bad}@h", f"pops://me;auth={bad}@h"):
            with case(url):
                with pytest.raises(ValueError, match="invalid % in the URL") as caught:
                    Account.from_url(url)
                assert exposed(caught.value) == []
    assert Account.from_url("pops://me:100%25sure@h").password == "100%sure"


def test_a_mechanism_in_the_environment_is_a_requirement_for_a_token_too() -> None:
    """Seen: a token with `AUTH=XOAUTH2` was sent by OAUTHBEARER when the server advertised that."""
    values = {
        "PYMAILBOX_HOST": "h",
        "PYMAILBOX_USER": "me",
        "PYMAILBOX_TOKEN": "a token",
        "PYMAILBOX_AUTH": "xoauth2",
    }
    account = Account.from_env(environment=values)
    assert (account.auth, account.password) == ("xoauth2", "a token")


def test_a_name_that_dns_cannot_encode_is_refused() -> None:
    """Seen with a caller's socket: a UnicodeError from within TLS."""
    for host in ("a..b", ".example.com", "x" * 64 + ".example", "é" * 64, "bücher..example", "..", "."):
        with case(host):
            with pytest.raises(ValueError, match="host name") as caught:
                Account(host)
            assert type(caught.value) is ValueError


def test_international_names_and_addresses_are_hosts() -> None:
    """IDNA names are looked up in their ASCII form."""
    for host in (
        *("bücher.example", "pöp.example", "pop.example.com", "pop.example.com.", "x" * 63),
        *("::1", "fe80::1%eth0", "10.0.0.1", "127.0.0.1"),
    ):
        assert Account(host).host == host


def test_an_invalid_auth_is_refused_at_once() -> None:
    """Seen: an AttributeError in the middle of a login, for a class instead of an instance."""
    wrong: list[Any] = [5, OAuth2, sasl.Plain, object(), b"PLAIN", lambda: "PLAIN"]
    with Server() as server, Connection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
        for auth in wrong:
            with case(auth):
                with pytest.raises(TypeError, match="auth must be"):
                    Account("pop.example.com", "me", "secret", auth=auth)
                with pytest.raises(TypeError, match="auth must be"):
                    pop.login("me", "secret", auth)
        pop.login("me", "secret")


def test_a_half_made_mailbox_can_be_shown_in_a_traceback() -> None:
    """A failed constructor's frame contains it, and its password. Seen: an AttributeError out of `traceback`."""
    for arguments in ({"port": 0}, {"timeout": "x"}, {"proxy": f"ftp://me:{HIDDEN}@h:1"}, {"auth": 5}):
        with pytest.raises((ValueError, TypeError)) as caught:
            Mailbox("pop.example.com", "me", HIDDEN, **arguments)
        assert exposed(caught.value) == []
        assert "not initialized" in "".join(
            traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
        )
