"""Account: where it can come from, what it refuses, and what of it is never shown."""

import copy
import os
import pickle
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox import Account, AsyncMailbox, Mailbox, NotSupported, OAuth2
from pymailbox.account import Exchange, Peer, password_command
from pymailbox.pop3 import Connection, sasl
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
    """ValueError, control characters included; what urllib would drop in silence is refused, and a password is not shown."""
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
    """The API takes it; where URLs are typed it can be refused; one given beside it wins."""
    url = "pops://me:s%20cret@pop.example.com"
    assert Account.from_url(url).password == "s cret"
    assert Account.from_url(url, "another").password == "another"
    with pytest.raises(ValueError, match="can be read by others") as caught:
        Account.from_url(url, refuse_password=True)
    assert "cret" not in str(caught.value)
    assert "cret" not in Account.from_url(url).url


@given(
    user=st.none() | st.text(st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc"]), min_size=1),
    port=st.integers(1, 65535),
    security=st.sampled_from(["tls", "starttls", "none"]),
)
def test_the_url_of_an_account_gives_the_account(user: str | None, port: int, security: Any) -> None:
    """`url` and `from_url` undo each other."""
    account = Account("pop.example.com", user, port=port, security=security)
    assert Account.from_url(account.url) == account


def test_an_at_sign_in_a_url_is_not_misread() -> None:
    """RFC 3986 §3.2.1: a bare @ after a colon could end the user, or the password; where it can only be of the user it is taken."""
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
    """Junk after an IPv6 address, percents in a name, a port that is none: ValueError, not another host or port."""
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


def test_a_login_that_needs_a_user_and_has_none_is_misuse() -> None:
    """Known when the object is made: of an account, and of both mailboxes."""
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


def test_all_four_names_of_a_mechanism_are_looked_at() -> None:
    """TypeError that says which one is missing, when the object is made; what has them all is taken."""

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
    """A usual port moves along with `security`; a port that was given, or is unusual, stays."""
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


def test_misuse_is_known_at_once() -> None:
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
    """A URL, or a port after the name, is told apart from a name that cannot be found."""
    for host, says in (
        (f"pops://me:{SECRET}@pop.example.com", "from_url"),
        ("me@pop.example.com", "from_url"),
        ("[::1]", "not a host name"),
        ("pop.example.com:995", "port="),
    ):
        with case(host):
            with pytest.raises(ValueError, match=says) as caught:
                Mailbox(host)
            assert SECRET not in str(caught.value)


def test_a_pop_url_is_a_str() -> None:
    """What is not one is TypeError."""
    wrong: list[Any] = [None, b"pops://pop.example.com", 995]
    for url in wrong:
        with case(url), pytest.raises(TypeError, match="a POP URL must be a str"):
            Account.from_url(url)


def test_default_ports() -> None:
    """995 for TLS from the first octet, else 110."""
    ports = [Account("h", security=security).port for security in ("tls", "starttls", "none")]
    assert ports == [995, 110, 110]


# --- nothing is shown -----------------------------------------------------------------------------------------


@pytest.mark.threat(33)
def test_secrets_are_not_shown_nor_pickled() -> None:
    """No repr and no pickle has them; a copy is the account itself."""
    account = Account("h", "me", SECRET, auth=OAuth2(SECRET))
    for text in (repr(account), repr(account.password), repr(account.auth), str(account), f"{account!r}"):
        assert SECRET not in text
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        octets = pickle.dumps(account, protocol)
        assert SECRET.encode() not in octets
        assert pickle.loads(octets) == Account("h", "me")
    assert copy.copy(account) is account
    assert copy.deepcopy([account])[0] is account
    with pytest.raises(TypeError):
        pickle.dumps(account.password)


def test_a_password_is_still_the_string() -> None:
    """Hidden, but equal, and of type str."""
    account = Account("h", "me", SECRET)
    assert account.password == SECRET
    assert isinstance(account.password, str)


# --- the environment ------------------------------------------------------------------------------------------


def test_from_the_environment() -> None:
    """What is named singly wins over the URL; what is empty is not there."""
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


def test_a_wrong_environment() -> None:
    """ValueError that shows no secret."""
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
    """With a prefix of one's own."""
    monkeypatch.setenv("WORK_HOST", "pop.example.com")
    assert Account.from_env("WORK_").host == "pop.example.com"


# --- netrc ----------------------------------------------------------------------------------------------------


def netrc(folder: Path, text: str, mode: int = 0o600) -> Path:
    """Write a netrc."""
    file = folder / "netrc"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_from_netrc(tmp_path: Path) -> None:
    """User and password of the machine; the other fields are given."""
    file = netrc(tmp_path, f'machine pop.example.com login me password "{SECRET}"\n')
    account = Account.from_netrc("pop.example.com", path=file, security="starttls")
    assert (account.user, account.password, account.port) == ("me", SECRET, 110)
    with pytest.raises(KeyError):
        Account.from_netrc("another.example.com", path=file)
    with pytest.raises(KeyError):
        Account.from_netrc("pop.example.com", "you", path=file)


def test_the_netrc_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/.netrc` where none is named."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    netrc(tmp_path, "machine h login me password x\n").rename(tmp_path / ".netrc")
    assert Account.from_netrc("h").password == "x"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.threat(34)
def test_a_netrc_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """CVE-2005-3088: a file of secrets is for its owner alone, and its mode is for the owner to change."""
    for mode in (0o644, 0o640, 0o604):
        file = netrc(tmp_path, "machine h login me password x\n", mode)
        with case(oct(mode)), pytest.raises(ValueError, match=r"read by others.*chmod 600"):
            Account.from_netrc("h", path=file)
        assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_broken_netrc_does_not_show_what_is_in_it(tmp_path: Path) -> None:
    """ValueError with file and line."""
    for text in (f"machine h password {SECRET} nonsense {SECRET}\n", f'machine h login me password "{SECRET}\n'):
        file = netrc(tmp_path, text)
        with case(text):
            with pytest.raises((ValueError, KeyError)) as caught:
                Account.from_netrc("pop.example.com", path=file)
            assert SECRET not in str(caught.value)
            assert caught.value.__context__ is None


@pytest.mark.threat(14)
def test_control_characters_in_a_netrc(tmp_path: Path) -> None:
    """ValueError, whatever the file holds."""
    with pytest.raises(ValueError, match="control characters"):
        Account.from_netrc("h", path=netrc(tmp_path, 'machine h login me password "a\x01b"\n'))


# --- keyring --------------------------------------------------------------------------------------------------


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring in memory, in the place of the library's module."""
    stored: dict[tuple[str, str], str] = {}
    module = ModuleType("keyring")
    module.get_password = lambda service, user: stored.get((service, user))  # type: ignore[attr-defined] # a module of our own
    monkeypatch.setitem(sys.modules, "keyring", module)
    return stored


def test_from_the_keyring(keyring: dict[tuple[str, str], str]) -> None:
    """Asked at each login, not kept; ValueError where there is none."""
    account = Account.from_keyring("pop.example.com", "me")
    assert callable(account.password)
    with pytest.raises(ValueError, match="keyring set"):
        account.password()
    keyring["pop.example.com", "me"] = SECRET
    assert account.password() == SECRET
    keyring["work", "me"] = "another"
    other = Account.from_keyring("pop.example.com", "me", service="work", security="starttls").password
    assert callable(other)
    assert other() == "another"


def test_without_keyring_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """NotSupported."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(NotSupported, match=r"pymailbox\[keyring\]"):
        Account.from_keyring("h", "me")


# --- commands -------------------------------------------------------------------------------------------------


def printing(text: str) -> list[str]:
    """Return a command that prints `text`."""
    return [sys.executable, "-c", f"import sys; sys.stdout.write({text!r})"]


def test_the_first_line_is_the_password() -> None:
    """As `pass show` prints it: the password, then what else there is to know."""
    for text in (SECRET, f"{SECRET}\n", f"{SECRET}\r\n", f"{SECRET}\nlogin: me\n"):
        assert password_command(printing(text))() == SECRET, text


@pytest.mark.threat(36)
def test_no_shell_reads_a_password_command(tmp_path: Path) -> None:
    """What a shell would act on is just an argument."""
    marker = tmp_path / "injected"
    code = "import sys; print(len(sys.argv), sys.argv[1])"
    words = [f"$(touch {marker}); touch {marker}; `touch {marker}`", f"; touch {marker} #", "$(id)"]
    assert password_command([sys.executable, "-c", code, *words])() == f"4 {words[0]}"
    assert not marker.exists()
    for wrong in ("pass show mail", [], ["pass", 7]):
        with pytest.raises(TypeError):
            password_command(wrong)  # type: ignore[arg-type] # misuse


def test_a_password_command_that_fails() -> None:
    """ValueError with its name and nothing that it printed or was given."""
    for command, says in (
        ([sys.executable, "-c", f"print({SECRET!r}); raise SystemExit(3)"], "status 3"),
        ([sys.executable, "-c", ""], "printed nothing"),
        (["/no/such/program", SECRET], "cannot be run"),
    ):
        with case(command):
            with pytest.raises(ValueError, match=says) as caught:
                password_command(command)()
            assert SECRET not in str(caught.value)
            assert caught.value.__context__ is None


def test_a_password_command_is_bounded_in_time() -> None:
    """ValueError after `timeout` seconds: the command, which takes an hour, is not waited for."""
    with pytest.raises(ValueError, match=r"within 0\.3 s"):
        password_command([sys.executable, "-c", "import time; time.sleep(3600)"], timeout=0.3)()


# --- OAuth2 ---------------------------------------------------------------------------------------------------


def test_oauth2_takes_a_string_or_a_callable() -> None:
    """Control characters and other types are misuse; nothing is shown."""
    assert OAuth2("t").token == "t"
    assert callable(OAuth2(lambda: "t").token)
    for wrong, error in (("a\nb", ValueError), (7, TypeError), (b"t", TypeError)):
        with pytest.raises(error):
            OAuth2(wrong)  # type: ignore[arg-type] # misuse


def test_a_mailbox_of_an_account() -> None:
    """What the account says is what the mailbox has."""
    account = Account("h", "me", SECRET, security="starttls", auth="PLAIN")
    assert Mailbox.from_account(account).account == account


def test_importing_accounts_is_cheap() -> None:
    """No ssl, hashlib, subprocess, netrc or email for a program that only names an account."""
    code = (
        "import sys; from pymailbox import Account, OAuth2; Account('h', 'me', 'x');"
        "print([m for m in ('ssl', '_hashlib', 'subprocess', 'netrc', 'email', 'asyncio', 'scramp') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert printed.strip() == "[]"


# --- what a traceback with variables shows --------------------------------------------------------------------

HIDDEN = "hunter2-hunter2"
AWAY = "import sys; print(sys.argv[1]); raise SystemExit(int(sys.argv[2]))"


def exposed(error: BaseException | None) -> list[str]:
    """Return where the frames below this module, and what they raised, show the secret."""
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
def test_a_wrong_environment_shows_no_secret() -> None:
    """Neither the environment nor the parts of a URL are among the variables of a traceback."""
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
    """`refuse_password=True` says so without it."""
    with pytest.raises(ValueError, match="read by others") as caught:
        Account.from_url(f"pops://me:{HIDDEN}@h", refuse_password=True)
    assert exposed(caught.value) == []


@pytest.mark.threat(33)
def test_a_netrc_that_does_not_fit_shows_no_secret(tmp_path: Path) -> None:
    """Seen: the UnicodeDecodeError of a file in Latin-1, which holds all of it."""
    file = tmp_path / "netrc"
    file.touch(0o600)
    misfits: list[tuple[bytes, dict[str, Any]]] = [
        (f"machine h login me password {HIDDEN}\n".encode(), {"user": "you"}),
        (f"machine h login me password {HIDDEN}\n".encode(), {"port": "x"}),
        (f"machine h login me password {HIDDEN}\0\n".encode(), {}),
        (f"machine h login me password {HIDDEN}\xe4\n".encode("latin-1"), {}),
        (f"machine h login me password {HIDDEN} {HIDDEN}\n".encode(), {}),
    ]
    for text, options in misfits:
        file.write_bytes(text)
        with case(text, options):
            with pytest.raises((KeyError, ValueError, TypeError)) as caught:
                Account.from_netrc("h", path=file, **options)
            assert not isinstance(caught.value, UnicodeDecodeError)
            assert exposed(caught.value) == []


def test_a_netrc_without_a_password_gives_none(tmp_path: Path) -> None:
    """What is not there is None, not an empty password that would be sent."""
    file = tmp_path / "netrc"
    file.touch(0o600)
    file.write_text("machine h login me\nmachine i password x\n")
    assert Account.from_netrc("h", path=file).password is None
    assert Account.from_netrc("i", path=file).user is None


def test_a_password_command_that_fails_shows_neither_output_nor_arguments() -> None:
    """What it printed may be the password, and its arguments may hold another."""
    for status in ("3", "0"):
        command = password_command([sys.executable, "-c", AWAY, HIDDEN if status != "0" else "", status])
        with case(status):
            with pytest.raises(ValueError) as caught:
                command()
            assert exposed(caught.value) == []


def test_what_stands_after_a_pop_url_is_refused() -> None:
    """RFC 2384 has nothing there. Seen: the password `12/34`, with which the host was `me` and the port 12."""
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
    """An option that was typed wrongly would be dropped in silence, and with it a requirement."""
    for url in ("pops://me;x=y@h", "pops://me;@h", "pops://me;auth=@h", "pops://me;AUTHX=y@h"):
        with case(url), pytest.raises(ValueError, match="AUTH"):
            Account.from_url(url)


def test_a_mechanism_in_the_environment_is_a_requirement_for_a_token_too() -> None:
    """Seen: a token with `AUTH=XOAUTH2` went by OAUTHBEARER where the server listed that."""
    values = {
        "PYMAILBOX_HOST": "h",
        "PYMAILBOX_USER": "me",
        "PYMAILBOX_TOKEN": "a token",
        "PYMAILBOX_AUTH": "xoauth2",
    }
    account = Account.from_env(environment=values)
    assert (account.auth, account.password) == ("xoauth2", "a token")


def test_what_the_dns_cannot_take_is_not_a_host() -> None:
    """Seen with a socket of the caller's: a UnicodeError out of the middle of TLS."""
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


def test_what_is_not_a_way_to_log_in_is_known_at_once() -> None:
    """Seen: an AttributeError in the middle of a login, for a class in the place of an object."""
    wrong: list[Any] = [5, OAuth2, sasl.Plain, object(), b"PLAIN", lambda: "PLAIN"]
    with Server() as server, Connection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
        for auth in wrong:
            with case(auth):
                with pytest.raises(TypeError, match="auth must be"):
                    Account("pop.example.com", "me", "secret", auth=auth)
                with pytest.raises(TypeError, match="auth must be"):
                    pop.login("me", "secret", auth)
        pop.login("me", "secret")


def test_a_mailbox_that_was_not_made_can_be_shown_in_a_traceback() -> None:
    """Its constructor's frame holds it, half made, and its password: seen as an AttributeError out of `traceback`."""
    for arguments in ({"port": 0}, {"timeout": "x"}, {"proxy": f"ftp://me:{HIDDEN}@h:1"}, {"auth": 5}):
        with pytest.raises((ValueError, TypeError)) as caught:
            Mailbox("pop.example.com", "me", HIDDEN, **arguments)
        assert exposed(caught.value) == []
        assert "never made" in "".join(
            traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
        )
