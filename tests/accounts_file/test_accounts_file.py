"""accounts.toml: what is written is what is read, and what is wrong is named by file and key, whatever it is."""

import copy
import json
import math
import os
import pickle
import stat
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from attrs import evolve, fields
from hypothesis import given, settings
from hypothesis import strategies as st

from pymailbox import (
    Account,
    Keep,
    Mailbox,
    MailboxOptions,
    NotSupported,
    OAuth2,
    PasswordCommand,
    PasswordEnv,
    PasswordFile,
    PasswordKeyring,
    PasswordNetrc,
)
from pymailbox.accounts_file import (
    AccountEntry,
    AccountOptions,
    AccountsFile,
    default_path,
    is_name,
    names_in,
)
from pymailbox.accounts_file.tables import AccountTable
from pymailbox.testing import Server
from tests import ROOT, case
from tests.timing import GENEROUS

WHERE = Path("/etc/accounts.toml")


def toml(value: Any) -> str:
    """Return a value in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def document(tables: dict[str, Any]) -> str:
    """Return a whole file in TOML."""
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in tables.items())


def parse(tables: dict[str, Any]) -> AccountsFile:
    """Read a file with these tables."""
    return AccountsFile.parse(document(tables), WHERE)


def refused(tables: dict[str, Any], key: str, *words: str) -> None:
    """Assert that the file is refused by an error that names file and key, and has these words."""
    with pytest.raises(ValueError) as caught:
        parse(tables)
    told = str(caught.value)
    assert told.startswith(f"{WHERE}: {key} "), told
    for word in words:
        assert word in told
    assert "hunter2" not in told
    assert "\n" not in told


def one(**keys: Any) -> dict[str, Any]:
    """Return the tables of a file with one account, called me."""
    return {"account": {"me": {"url": "pops://me@pop.example.com"} | keys}}


def me(**keys: Any) -> AccountEntry:
    """Return the account of a file with only that one, called me."""
    return parse(one(**keys)).entry("me")


# --- what a file says -----------------------------------------------------------------------------------------


def test_the_file_of_the_documentation() -> None:
    """Every table and kind of value is read as what it means."""
    file = AccountsFile.parse(
        """
        [defaults]
        archive = "~/mail/{name}"
        timeout = 30
        password = { keyring = true }

        [account.me]
        url = "pops://me%40example.com@pop.example.com"
        password = { command = ["pass", "show", "mail/me"] }
        keep = { days = 30, latest = 100 }

        [account.work]
        url = "pop+starttls://outlook.office365.com"
        user = "me@example.com"
        token = { command = ["oama", "access", "me@example.com"] }
        archive = "/srv/{name}"
        timeout = 5.5

        [account.other]
        url = "pops://you@pop.example.com"

        [host."Outlook.office365.com"]
        sessions = 4
        """
    )
    first, work, other = file.accounts.values()
    assert first.account == Account("pop.example.com", "me@example.com", PasswordCommand(["pass", "show", "mail/me"]))
    assert first.archive == Path("~/mail/me").expanduser()
    assert Keep(**first.keep) == Keep(days=30, latest=100)
    assert first.options() == {"timeout": 30}
    token = OAuth2(PasswordCommand(["oama", "access", "me@example.com"]))
    assert work.account == Account("outlook.office365.com", "me@example.com", security="starttls", auth=token)
    assert work.archive == Path("/srv/work")
    assert (work.keep, work.options()) == ({}, {"timeout": 5.5})
    assert other.account.password == PasswordKeyring("pop.example.com", "you")
    assert file.sessions == {"outlook.office365.com": 4}


def test_every_kind_of_reference() -> None:
    """A reference is the value of the same kind in `pymailbox`; without one there is no password."""
    for written, reference in (
        ({"command": ["pass", "me"]}, PasswordCommand(["pass", "me"])),
        ({"keyring": True}, PasswordKeyring("pop.example.com", "me")),
        ({"env": "X"}, PasswordEnv("X")),
        ({"file": "~/secret"}, PasswordFile("~/secret")),
        ({"netrc": True}, PasswordNetrc()),
    ):
        with case(written):
            assert me(password=written).account.password == reference
            assert me(token=written).account.auth == OAuth2(reference)
            account = me(token=written, url="pops://me;auth=XOAUTH2@pop.example.com").account
            assert (account.auth, account.password) == ("XOAUTH2", reference)
    assert me().account.password is None


def test_the_options_open_a_mailbox() -> None:
    """They are those of `Mailbox`; a private authority and a pin become an `ssl_context`."""
    with Server([b"Subject: one\r\n\r\n"], security="tls") as server:
        ca = str(server.ca)
        url = server.url.replace("127.0.0.1", "localhost")
        for trust in ({"ca": ca}, {"pin": fingerprint(ca, server)}):
            with case(trust):
                entry = me(url=url, top=False, pipelining=False, utf8=False, capa=True, timeout=30, **trust)
                account = evolve(entry.account, password="secret")
                with Mailbox.from_account(account, **entry.options()) as inbox:
                    assert len(inbox) == 1
    assert me(allow_plaintext=True, proxy="socks5://localhost:1080").options() == {
        "allow_plaintext": True,
        "proxy": "socks5://localhost:1080",
    }
    with pytest.raises(ValueError, match=r"the ca of the account 'me' cannot be used: /no/ca\.pem: No such file"):
        me(ca="/no/ca.pem").options()


def fingerprint(ca: str, server: Server) -> str:
    """Return the fingerprint of the server's certificate."""
    import hashlib
    import socket
    import ssl

    context = ssl.create_default_context(cafile=ca)
    with (
        socket.create_connection((server.host, server.port), timeout=GENEROUS) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as channel,
    ):
        return hashlib.sha256(channel.getpeercert(binary_form=True) or b"").hexdigest()


def test_the_options_have_the_types_that_a_mailbox_gives_them() -> None:
    """Each key that the file can set, and the context that it makes of two of them, is an option of a mailbox."""
    import ssl

    given, wanted = get_type_hints(AccountOptions, localns={"ssl": ssl}), get_type_hints(MailboxOptions)
    assert given == {name: wanted[name] for name in given}
    keys = {field.name for field in fields(AccountTable)} - {"url", "user", "password", "token", "archive", "keep"}
    assert set(given) == keys - {"ca", "pin"} | {"ssl_context"}
    assert not AccountOptions.__required_keys__


def test_entries_pickle() -> None:
    """An account can be sent to another process; no secret is in the file, so none is missing there."""
    entry = me(password={"env": "X"}, keep={"latest": 5})
    assert pickle.loads(pickle.dumps(entry)) == entry


# --- what is wrong is named -----------------------------------------------------------------------------------


def test_a_secret_in_the_file_is_refused() -> None:
    """The error says why, and what to write instead; it does not show the secret."""
    for key in ("password", "token"):
        refused(one(**{key: "hunter2"}), f"account.me.{key}", "files are copied", 'command = ["pass"')
    refused({"defaults": {"password": "hunter2"}}, "defaults.password", "never the secret itself")
    refused(one(url="pops://me:hunter2@pop.example.com"), "account.me.url", "password")
    refused(one(proxy="socks5://me:hunter2@localhost:1080"), "account.me.proxy", "without a password")
    refused(one(password={"command": "echo hunter2"}), "account.me.password.command", "a list of strings")


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"acount": {}}, "acount", "did you mean account?; allowed here: defaults, account, host"),
    ({"account": 5}, "account", "must have a name: [account.NAME]"),
    ({"account": {"me": 5}}, "account.me", "must be a table"),
    ({"account": {"a.b": {}}}, 'account."a.b"', "letters, digits, - and _"),
    ({"account": {"": {}}}, 'account.""', "letters, digits, - and _"),
    ({"account": {"\x1b[2J\n": {}}}, 'account."\\\\x1b[2J\\\\n"', "letters, digits, - and _"),
    ({"account": {"me": {}}}, "account.me", 'has no url; expected url = "pops://user@host"'),
    ({"defaults": []}, "defaults", "must be a table"),
    ({"defaults": {"keep": {}}}, "defaults.keep", "allowed here: archive, password, timeout"),
    ({"defaults": {"archive": "mail"}}, "defaults.archive", "an absolute path, or begin with ~/"),
    ({"defaults": {"timeout": 0}}, "defaults.timeout", "a number of seconds, more than 0"),
    ({"defaults": {"password": {}}}, "defaults.password", "exactly one of command, keyring, env, file, netrc"),
    ({"host": 5}, "host", "must have a name: [host.NAME]"),
    ({"host": {"a b": {}}}, 'host."a b"', "not a valid host"),
    ({"host": {"a.b": {"sessions": 0}}}, 'host."a.b".sessions', "a number of sessions, 1 or more"),
    ({"host": {"a.b": {"sessions": True}}}, 'host."a.b".sessions', "a number of sessions, 1 or more"),
    (one(passwrod={}), "account.me.passwrod", "did you mean password?"),
    (one(oauth={"provider": "microsoft"}), "account.me.oauth", "is not a known key"),
    (one(**{"a key": 1}), 'account.me."a key"', "is not a known key"),
    (one(url=5), "account.me.url", "pops://user@host"),
    (one(url="imap://host"), "account.me.url", "pops://"),
    (one(user="you"), "account.me.user", "given twice"),
    (one(url="pops://h", user="a\x01"), "account.me.user", "control characters"),
    (one(password={"env": "X", "netrc": True}), "account.me.password", "exactly one of"),
    (one(password={"keyring": False}), "account.me.password.keyring", "must be true"),
    (one(password={"keyring": 1}), "account.me.password.keyring", "must be true"),
    (one(password={"comand": ["x"]}), "account.me.password.comand", "did you mean command?"),
    (one(password={"command": []}), "account.me.password.command", "a list of strings"),
    (one(password={"command": ["x", 1]}), "account.me.password.command", "a list of strings"),
    (one(password={"env": "A=B"}), "account.me.password.env", "environment variable"),
    (one(password={"file": "secret"}), "account.me.password.file", "absolute path"),
    (one(url="pops://h", password={"keyring": True}), "account.me.password.keyring", "needs a user name"),
    (one(url="pops://h", token={"env": "X"}), "account.me.token", "needs a user name"),
    (one(password={"env": "X"}, token={"env": "X"}), "account.me.token", "remove one of them"),
    (one(url="pops://me;auth=PLAIN@h", token={"env": "X"}), "account.me.token", "XOAUTH2 or OAUTHBEARER"),
    (one(archive="mail/me"), "account.me.archive", "an absolute path"),
    (one(archive="/a\x00b"), "account.me.archive", "an absolute path"),
    (one(keep=30), "account.me.keep", "{ days = 30, latest = 100 }"),
    (one(keep={}), "account.me.keep", "needs days, latest or bytes"),
    (one(keep={"days": "30"}), "account.me.keep.days", "a number of days"),
    (one(keep={"days": -1}), "account.me.keep.days", "0 or more"),
    (one(keep={"days": math.nan}), "account.me.keep.days", "0 or more"),
    (one(keep={"latest": 1.5}), "account.me.keep.latest", "a number of messages"),
    (one(keep={"bytes": "1G"}), "account.me.keep.bytes", "a number of bytes"),
    (one(ca="ca.pem"), "account.me.ca", "absolute path"),
    (one(pin="12:34"), "account.me.pin", "64 hexadecimal digits"),
    (one(ca="/ca.pem", pin="ab" * 32), "account.me.pin", "remove one of them"),
    (one(timeout="60"), "account.me.timeout", "a number of seconds"),
    (one(timeout=True), "account.me.timeout", "a number of seconds"),
    (one(timeout=math.inf), "account.me.timeout", "a number of seconds"),
    (one(top=1), "account.me.top", "true or false"),
    (one(proxy="ftp://h:1"), "account.me.proxy", "socks5://host:port"),
    (one(proxy="socks5://h"), "account.me.proxy", "socks5://host:port"),
]


def test_what_is_wrong_is_named_with_what_is_allowed() -> None:
    """The error names the file and the dotted key, says what is expected, and does not show the value."""
    for tables, key, word in WRONG:
        with case(tables):
            refused(tables, key, word)


def test_a_syntax_error_names_file_and_line() -> None:
    """TOML that cannot be read at all, at whatever place."""
    for text, line, word in (
        (b"[account.me]\nurl = hunter2\n", 2, "Invalid value"),
        (b"[account.me\n", 1, "TOML"),
        (b"[account.me]\nurl =", 2, "TOML"),
        (b"a = 1\n\nb = '\xff'\n", 3, "UTF-8"),
        (b"a = 1\na = 2\n", 2, "Cannot overwrite"),
        (b"a = " + b"[" * 20_000, 1, "TOML"),
    ):
        with case(text[:40]):
            with pytest.raises(ValueError) as caught:
                AccountsFile.parse(text, WHERE)
            assert str(caught.value).startswith(f"{WHERE}, line {line}: ")
            assert word in str(caught.value)
            assert "hunter2" not in str(caught.value)


# --- properties -----------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
names = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=20).filter(is_name)
paths = texts.map(lambda text: "/" + text.replace("{", "").replace("}", ""))
hosts = st.from_regex(r"[a-z]{1,9}(\.[a-z]{1,9}){1,3}", fullmatch=True)
secrets = st.one_of(
    st.builds(lambda words: {"command": words}, st.lists(texts, min_size=1, max_size=3)),
    st.sampled_from([{"keyring": True}, {"netrc": True}]),
    st.builds(lambda name: {"env": name}, names),
    st.builds(lambda path: {"file": path}, paths),
)
switches = st.booleans()
seconds = st.one_of(st.integers(1, 10**6), st.floats(0.001, 1e6))
accounts = st.fixed_dictionaries(
    {"url": hosts.map(lambda host: f"pops://{host}"), "user": texts},
    optional={
        "password": secrets,
        "archive": paths,
        "keep": st.fixed_dictionaries(
            {"latest": st.integers(0, 10**9)},
            optional={"days": st.one_of(st.integers(0, 999), st.floats(0, 999)), "bytes": st.integers(0, 10**15)},
        ),
        "pin": st.binary(min_size=32, max_size=32).map(bytes.hex),
        "timeout": seconds,
        "allow_plaintext": switches,
        "top": switches,
        "pipelining": switches,
        "utf8": switches,
        "capa": switches,
        "proxy": hosts.map(lambda host: f"socks5://{host}:1080"),
    },
)
files = st.fixed_dictionaries(
    {"account": st.dictionaries(names, accounts, min_size=1, max_size=3)},
    optional={
        "defaults": st.fixed_dictionaries({}, optional={"archive": paths, "timeout": seconds, "password": secrets}),
        "host": st.dictionaries(hosts, st.fixed_dictionaries({"sessions": st.integers(1, 99)}), max_size=2),
    },
)


@given(files)
def test_a_valid_file_is_read_as_it_is_written(tables: dict[str, Any]) -> None:
    """Names, hosts, users, archives, what stays, options and sessions come back, with the defaults where they are."""
    file = parse(tables)
    defaults = tables.get("defaults", {})
    assert list(file.accounts) == list(tables["account"])
    for name, table in tables["account"].items():
        entry = file.entry(name)
        assert f"pops://{entry.account.host}" == table["url"]
        assert entry.account.user == table["user"]
        assert (entry.account.password is None) == ("password" not in table and "password" not in defaults)
        archive = table.get("archive", defaults.get("archive"))
        assert entry.archive == (None if archive is None else Path(archive))
        assert entry.keep == table.get("keep", {})
        options = dict(entry.options())
        assert ("ssl_context" in options) == ("pin" in table)
        options.pop("ssl_context", None)
        given = {
            key: table[key] for key in ("allow_plaintext", "proxy", "top", "pipelining", "utf8", "capa") if key in table
        }
        timeout = table.get("timeout", defaults.get("timeout"))
        assert options == given | ({} if timeout is None else {"timeout": timeout})
    assert file.sessions == {host: table["sessions"] for host, table in tables.get("host", {}).items()}


def places(tables: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every value below the first level."""
    for key, value in tables.items():
        if above:
            yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


def dotted(place: tuple[str, ...]) -> str:
    """Return the path of a key as an error shows it."""
    return ".".join(json.dumps(key) if "." in key else key for key in place)


@given(files, st.data())
def test_any_wrong_type_or_unknown_key_is_named(tables: dict[str, Any], data: st.DataObject) -> None:
    """The error names the key that was changed, or the one that was added."""
    tables = copy.deepcopy(tables)  # some of its values are shared with other examples
    place = data.draw(st.sampled_from(sorted(places(tables))))
    holder = tables
    for key in place[:-1]:
        holder = holder[key]
    value = holder[place[-1]]
    if isinstance(value, dict) and len(place) > 1 and data.draw(st.booleans()):
        value["unknown"] = True
        place = (*place, "unknown")
    else:
        wrong = [[[]], 7] if isinstance(value, str | bool | dict) else [[[]], "text"]
        holder[place[-1]] = data.draw(st.sampled_from(wrong))
    with pytest.raises(ValueError) as caught:
        parse(tables)
    assert str(caught.value).startswith(f"{WHERE}: {dotted(place)} ")


@given(files, st.data())
@settings(max_examples=200)
def test_any_damage_of_the_text_is_read_or_explained(tables: dict[str, Any], data: st.DataObject) -> None:
    """A changed, missing or additional piece gives a file or an error that names it, and nothing else."""
    raw = document(tables).encode()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 8)))
    try:
        AccountsFile.parse(raw[:start] + data.draw(st.binary(max_size=4)) + raw[end:], WHERE)
    except ValueError as error:
        assert str(error).startswith((f"{WHERE}: ", f"{WHERE}, line "))  # noqa: PT017 - it may be valid, too


# --- the file on disk -----------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with one account, that only we can change."""
    path = tmp_path / "accounts.toml"
    path.write_text(document(one()))
    path.chmod(0o600)
    return path


def test_where_the_file_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, else $PYMAILBOX_CONFIG, else the configuration directory of the platform."""
    monkeypatch.setenv("PYMAILBOX_CONFIG", str(path))
    assert list(AccountsFile.load().accounts) == ["me"]
    assert AccountsFile.load(path.parent / "other").accounts == {}
    monkeypatch.setenv("HOME", str(path.parent))
    monkeypatch.setenv("PYMAILBOX_CONFIG", "~/accounts.toml")
    assert default_path() == path
    monkeypatch.delenv("PYMAILBOX_CONFIG")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert default_path().name == "accounts.toml"
    assert default_path().parent.name == "pymailbox"
    assert default_path().is_relative_to(path.parent)


def test_a_missing_file_has_no_accounts(tmp_path: Path) -> None:
    """Only a name that is looked up is an error; it says how to make the file."""
    for missing in (tmp_path / "none.toml", tmp_path / "none" / "a.toml", Path(__file__, "a.toml")):
        file = AccountsFile.load(missing)
        assert file.accounts == {}
        with pytest.raises(ValueError, match="does not exist; add one with `pymailbox accounts add`"):
            file.entry("me")


def test_an_unknown_name_is_explained(path: Path) -> None:
    """The error names the file, and a name that is similar."""
    with pytest.raises(ValueError) as caught:
        AccountsFile.load(path).entry("mee")
    assert str(caught.value) == f"there is no account 'mee' in {path}; did you mean me?"
    path.write_text("")
    with pytest.raises(ValueError, match="has no accounts; add one"):
        AccountsFile.load(path).entry("me")


@pytest.mark.skipif(os.name != "posix", reason="there are no modes")
def test_a_file_that_others_can_change_is_refused(path: Path) -> None:
    """Group or others may not write the file or its directory; the error has the command to run, and that helps."""
    for changed, mode in ((path, 0o620), (path, 0o602), (path.parent, 0o770), (path.parent, 0o707)):
        with case(changed, oct(mode)):
            before = stat.S_IMODE(changed.stat().st_mode)
            changed.chmod(mode)
            with pytest.raises(ValueError, match="other users can change") as caught:
                AccountsFile.load(path)
            command = str(caught.value).rpartition("; run: ")[2]
            assert command == f"chmod go-w {changed}"
            subprocess.run(command.split(), check=True, timeout=GENEROUS)
            assert list(AccountsFile.load(path).accounts) == ["me"]
            changed.chmod(before)
    path.parent.chmod(0o1777)  # such as /tmp: nobody else can replace our file there
    assert list(AccountsFile.load(path).accounts) == ["me"]
    path.parent.chmod(0o700)
    path.chmod(0o644)  # others may read: there is nothing secret in it
    assert list(AccountsFile.load(path).accounts) == ["me"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_refused(path: Path) -> None:
    """A file may belong to us or root."""
    os.chown(path, 65534, 65534)
    with pytest.raises(ValueError, match=r"belongs to another user, .* run: chown root"):
        AccountsFile.load(path)


@pytest.mark.skipif(os.name != "posix", reason="there are no links")
def test_a_link_is_followed_and_its_target_checked(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The directory of the target counts like that of the link."""
    link = tmp_path_factory.mktemp("config") / "accounts.toml"
    link.symlink_to(path)
    assert list(AccountsFile.load(link).accounts) == ["me"]
    path.parent.chmod(0o777)
    with pytest.raises(ValueError, match=f"chmod go-w {path.parent}"):
        AccountsFile.load(link)


def test_what_is_not_a_file_is_refused(tmp_path: Path, path: Path) -> None:
    """A directory, a FIFO (without waiting for its writer) and a file that is too large."""
    with pytest.raises(ValueError, match="not a regular file"):
        AccountsFile.load(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo", 0o600)
        with pytest.raises(ValueError, match="not a regular file"):
            AccountsFile.load(tmp_path / "fifo")
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        AccountsFile.load(path)


# --- names and imports ----------------------------------------------------------------------------------------


def test_names_have_no_dot() -> None:
    """So a host with a dot is never taken for a name; names for a completion come without reading anything else."""
    for word in ("me", "Work-2", "_", "a" * 100):
        assert is_name(word), word
    for word in ("", "a.b", "a b", "a:1", "me@a", "é", "a/b", "a\n", "-a", "a" * 101):
        assert not is_name(word), word


def test_the_names_alone(path: Path) -> None:
    """They come without reading anything else in the file, which may be wrong."""
    path.write_text("[account.a]\nno = 5\n[account.'b c']\n[account.d]\n")
    assert names_in(path) == ["a", "d"]
    assert names_in(path.parent / "none") == []


@pytest.mark.parametrize("library", ["cattrs", "platformdirs"])
def test_a_missing_library_is_named(library: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra `cli` the error says how to install it."""
    script = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from pymailbox.accounts_file import AccountsFile; from pymailbox import NotSupported\n"
        f"try: AccountsFile.load({str(path) if library == 'cattrs' else None!r})\n"
        "except NotSupported as error: print(error)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYMAILBOX_CONFIG"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=GENEROUS,
        check=True,
    )
    assert done.stdout == f"the accounts file needs the library {library}: pip install 'pymailbox[cli]'\n"
    assert issubclass(NotSupported, Exception)


def test_a_byte_order_mark_is_no_error() -> None:
    """Editors on Windows write one; lines may end there with CRLF."""
    text = b'\xef\xbb\xbf[account.me]\r\nurl = "pops://me@pop.example.com"\r\n'
    assert list(AccountsFile.parse(text, WHERE).accounts) == ["me"]


def test_a_number_that_cannot_be_read_names_the_file() -> None:
    """Python refuses to read whole numbers with thousands of digits."""
    with pytest.raises(ValueError) as caught:
        AccountsFile.parse(b"a = " + b"1" * 5000, WHERE)
    assert str(caught.value) == f"{WHERE}: not valid TOML: a number has too many digits"
