"""Secrets stay secret: no output of a failing login contains the password, the token, or their base64."""

import base64
import itertools
import logging
import pickle
import traceback
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import pymailbox
from pymailbox import Mailbox, MailboxError, OAuth2
from pymailbox.display import Secret, SecretBytes, Secrets, secret
from pymailbox.pop3 import Connection, commands
from pymailbox.testing import Fault, Server
from tests import case
from tests.timing import GENEROUS, assert_linear, hurry

SECRET = "correct-Horse-battery-staple"
HOME = str(Path(pymailbox.__file__).parent)


# --- the values -----------------------------------------------------------------------------------------------


def test_a_secret_equals_its_value_and_is_not_shown() -> None:
    """It works like the value, its repr shows nothing, and it cannot be pickled."""
    held = Secret("x y"), SecretBytes(b"x y")
    assert held == ("x y", b"x y")
    assert "x y" not in repr(held)
    for one in held:
        with pytest.raises(TypeError):
            pickle.dumps(one)
    assert secret(7) == 7
    assert isinstance(secret("x"), Secret)


# --- redaction ------------------------------------------------------------------------------------------------


def known(*values: str | bytes) -> Secrets:
    """Return `Secrets` with these values."""
    secrets = Secrets()
    for value in values:
        secrets.add(value)
    return secrets


@pytest.mark.threat(33)
def test_every_form_is_redacted() -> None:
    """Plain, in upper or lower case, in base64 at any offset, percent-encoded."""
    for text in (
        f"bad password {SECRET}",
        f"bad password '{SECRET.upper()}'",
        f"AUTH PLAIN {base64.b64encode(f'{chr(0)}me{chr(0)}{SECRET}'.encode()).decode()}",
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(b"x" + SECRET.encode() + b"yz").decode(),
        base64.b64encode(b"xy" + SECRET.encode() + b"z").decode(),
        urllib.parse.quote(SECRET),
        f"{SECRET}{SECRET}",
    ):
        shown = known(SECRET).redact(text)
        assert SECRET.lower() not in shown.lower(), text
        assert not any(fragment in shown for fragment in fragments(SECRET)), text


def fragments(value: str) -> list[str]:
    """Return the base64 of the middle of a value, for each offset."""
    found = []
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + value.encode()).decode().rstrip("=")
        found.append(coded[4:-4])
    return found


@given(
    value=st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40),
    before=st.text(max_size=10),
    after=st.text(max_size=10),
)
def test_no_text_shows_a_secret(value: str, before: str, after: str) -> None:
    """Plain or in base64, whatever is around it."""
    assume(value not in "***")
    parts = [text.encode("utf-8", "surrogatepass") for text in (before, value, after)]
    secrets = known(value)
    assert value not in secrets.redact(before + value + after)
    coded = base64.b64encode(b"".join(parts)).decode()
    inner = coded[-(-len(parts[0]) * 8 // 6) : (len(parts[0]) + len(parts[1])) * 8 // 6]
    assert inner not in secrets.redact(coded)


def test_the_whole_base64_word_is_redacted() -> None:
    """Its ends contain bits of the secret, too, and the padding reveals its length."""
    for before in ("", "x", "xy", "\0me\0"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            coded = encode(f"{before}pass\xff>>?word".encode()).decode()
            assert known("pass\xff>>?word").redact(f"auth={coded}, no") == "auth=***, no", coded


def test_any_percent_encoding_is_redacted() -> None:
    """Also one that encodes more than necessary."""
    for text in (
        "c%6Frrect-Horse-battery-staple",
        "".join(f"%{byte:02x}" for byte in SECRET.encode()),
        "100% correct%2DHorse-battery-staple",
    ):
        shown = known(SECRET).redact(f"no {text}")
        assert shown.endswith("***"), text
        assert SECRET not in urllib.parse.unquote(shown), text


def test_short_and_odd_passwords() -> None:
    """None is treated as a pattern, and each is redacted."""
    for value in (".", "a", "*", "***", "(", "[a-z]+", "\\", "a|b", "%", "%41", "=", "+", " "):
        assert known(value).redact(f"x{value}y") == "x***y", value
        assert known(value).redact("") == "", value


def test_many_fragments_in_one_long_word_cost_little() -> None:
    """The time is linear in the length of the server's text."""

    def coded(n: int) -> Callable[[], object]:
        word = base64.b64encode(b"abc" * n).decode()
        secrets = known("abcabcabcabc")
        return lambda: secrets.redact(word)

    assert_linear(coded, 5_000)
    assert known("abcabcabcabc").redact(base64.b64encode(b"abc" * 100_000).decode()) == "***"


def test_our_own_words_do_not_reveal_the_password() -> None:
    """They are not redacted: `check the user name and ***` would reveal the password to anyone who knows the sentence."""
    passwords = ("check", "password", "credentials", "PASS", "a", "server")
    faults = [Fault.refuse("PASS", text=f"no {password}", session=n) for n, password in enumerate(passwords, 1)]
    with Server(password="another", faults=faults) as server:
        for password in passwords:
            mailbox = Mailbox(server.host, "me", password, port=server.port, security="none", auth="USER")
            with case(password):
                with pytest.raises(MailboxError) as caught:
                    mailbox.open()
                assert caught.value.problem == "the server refused the login; check the user name and password"
                assert caught.value.response == "no ***"


def test_a_response_code_can_be_an_echo() -> None:
    """The code in brackets comes from the server, so it is redacted, except for the well-known codes."""
    codes = ((f"[{SECRET}] no", "***"), ("[AUTH] no", "AUTH"), ("[SYS/TEMP] no", "SYS/TEMP"))
    faults = [Fault.refuse("PASS", text=text, session=n) for n, (text, _) in enumerate(codes, 1)]
    with Server(faults=faults) as server:
        for text, code in codes:
            mailbox = Mailbox(server.host, "me", SECRET, port=server.port, security="none", auth="USER")
            with case(text):
                with pytest.raises(MailboxError) as caught:
                    mailbox.open()
                assert caught.value.code == code


def test_a_long_token_in_the_reason_of_a_failure_is_redacted() -> None:
    """A long reason is cut, but only after redaction, which would not find half of the token's base64."""
    token = "".join(f"{number:04}" for number in range(500))
    coded = base64.b64encode(f"Bearer {token}".encode()).decode()
    reason = base64.b64encode(f'{{"status": "invalid", "seen": "{coded}"}}'.encode()).decode()
    faults = [Fault.replace("RESPONSE", takes_effect=False, reply=f"+ {reason}\r\n".encode())]
    with Server(sasl=["OAUTHBEARER"], faults=faults) as server:
        mailbox = Mailbox(server.host, "me", port=server.port, security="none", auth=OAuth2(token))
        with pytest.raises(MailboxError) as caught:
            mailbox.open()
    assert "(seen ***, status invalid)" in str(caught.value)


@given(st.text(max_size=60))
def test_nothing_else_is_redacted(text: str) -> None:
    """Without secrets, or with an empty one, a text stays as it is."""
    assert known().redact(text) == known("").redact(text) == text


def test_utf8_that_was_decoded_as_latin1_is_redacted() -> None:
    """A server's text that is not UTF-8 is decoded as Latin-1, which garbles a secret in UTF-8."""
    assert "pÃ¤ss" not in known("päss").redact("no pÃ¤ss here")


# --- every output of a failing login --------------------------------------------------------------------------


def outputs(error: BaseException, log: str, *things: object) -> dict[str, str]:
    """Return everything that a program, a log or a bug tracker could show of a failure."""
    found = {"log": log, "traceback": "".join(traceback.format_exception(error))}
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    for number, one in enumerate(chain):
        found[f"str {number}"] = str(one)
        found[f"repr {number}"] = repr(one)
        found[f"args {number}"] = repr(one.args)
        found[f"dict {number}"] = repr(vars(one))
        found[f"notes {number}"] = repr(getattr(one, "__notes__", None))
        # What Sentry or rich would show of our frames; those of the test itself contain the secret, of course.
        for frame in traceback.TracebackException.from_exception(one, capture_locals=True).stack:
            if frame.filename.startswith(HOME):
                found[f"locals {number} {frame.name}:{frame.lineno}"] = repr(frame.locals)
        if isinstance(one, MailboxError):
            found[f"pickle {number}"] = pickle.dumps(one).decode("latin-1")
    for thing in things:
        found[f"repr of {type(thing).__name__}"] = repr(thing)
    return found


def search(found: dict[str, str], *secrets: str) -> list[str]:
    """Return the outputs that contain a secret, plain or in base64."""
    forms = [form.lower() for value in secrets for form in (value, urllib.parse.quote(value), *fragments(value))]
    return [where for where, text in found.items() if any(form in text.lower() for form in forms)]


ECHO = f"no {SECRET}, {base64.b64encode(SECRET.encode()).decode()}, {base64.b64encode(f'xy{SECRET}'.encode()).decode()}"
CODED = base64.b64encode(ECHO.encode()).decode()

FAULTS: dict[str, list[Fault]] = {
    "echoed by PASS": [Fault.refuse("PASS", text=f"[AUTH] {ECHO}")],
    "echoed by USER": [Fault.refuse("USER", text=ECHO)],
    "echoed by AUTH": [Fault.refuse("AUTH", text=ECHO)],
    "echoed by the response": [Fault.refuse("RESPONSE", text=ECHO)],
    "a lock that echoes": [Fault.refuse(verb, text=f"[IN-USE] {ECHO}") for verb in ("PASS", "AUTH", "RESPONSE", "APOP")],
    "no status": [Fault.replace("AUTH", takes_effect=False, reply=ECHO.encode() + b"\r\n"), Fault.replace("PASS", takes_effect=False, reply=ECHO.encode() + b"\r\n")],
    "+ERR": [Fault.replace("AUTH", takes_effect=False, reply=b"+ERR " + ECHO.encode() + b"\r\n"), Fault.replace("PASS", takes_effect=False, reply=b"+ERR " + ECHO.encode())],
    "a challenge that echoes": [Fault.replace("AUTH", takes_effect=False, reply=b"+ " + CODED.encode() + b"\r\n")],
    "no base64": [Fault.replace("AUTH", takes_effect=False, reply=b"+ " + ECHO.encode() + b"\r\n")],
    "too much": [
        Fault.replace("AUTH", takes_effect=False, reply=b"-ERR x\r\n" + ECHO.encode() + b"\r\n"),
        Fault.replace("PASS", takes_effect=False, reply=b"-ERR x\r\n" + ECHO.encode() + b"\r\n"),
    ],
    "the connection ends": [Fault.drop("AUTH"), Fault.drop("PASS"), Fault.drop("RESPONSE")],
    "half a line": [Fault.cut(len(ECHO), command="AUTH"), Fault.cut(3, command="PASS")],
    "silence": [Fault.stall(0, command="AUTH"), Fault.stall(0, command="PASS"), Fault.stall(0, command="RESPONSE")],
    "CAPA fails": [Fault.cut(0, command="CAPA", session=None)],
    "lowercase": [Fault.replace("AUTH", takes_effect=False, reply=b"-err " + ECHO.encode() + b"\r\n"), Fault.replace("PASS", takes_effect=False, reply=b"-err " + ECHO.encode() + b"\r\n")],
    "just wrong": [],
}  # fmt: skip
WAYS = ["USER", "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER", "APOP", None]


#: The faults after which the server does not answer; after the others there is nothing to wait for.
UNANSWERED = {"silence", "+ERR"}


@pytest.mark.threat(33)
def test_a_failing_login_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither str, repr, args, attributes, tracebacks with locals, pickles nor any log at DEBUG contains it."""
    caplog.set_level(logging.DEBUG)
    sasl = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER")
    for fault, faults in FAULTS.items():
        server = Server([b"x\r\n"], password="another", token="another", sasl=sasl, apop=True, faults=faults)
        options: dict[str, Any] = {"security": "none", "timeout": GENEROUS, "utf8": False}
        with server:
            for way in WAYS:
                caplog.clear()
                mailbox = Mailbox(server.host, "me", SECRET, port=server.port, auth=way, **options)
                if fault in UNANSWERED:
                    hurry(mailbox.connection)
                with case(fault, way):
                    with pytest.raises((MailboxError, ValueError)) as caught:
                        mailbox.open()
                    found = outputs(caught.value, caplog.text, mailbox, mailbox.account, mailbox.account.auth)
                    assert search(found, SECRET) == []
                    assert "C: " in caplog.text


@pytest.mark.threat(33)
def test_a_failing_login_by_hand_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """The same for one command at a time."""
    caplog.set_level(logging.DEBUG)
    attempts: list[Callable[[Connection], object]] = [
        lambda pop: (pop.user("me"), pop.pass_(SECRET)),
        lambda pop: pop.auth("PLAIN", "me", SECRET),
        lambda pop: pop.login("me", auth=OAuth2(SECRET)),
        lambda pop: pop.login("me", lambda: SECRET),
    ]
    for fault, faults in FAULTS.items():
        if fault == "echoed by USER":
            continue  # the secret is not known by then
        with Server([b"x\r\n"], password="another", sasl=("PLAIN", "OAUTHBEARER"), faults=faults) as server:
            for number, attempt in enumerate(attempts):
                caplog.clear()
                with (
                    case(fault, number),
                    Connection(server.host, server.port, security="none", timeout=GENEROUS) as pop,
                ):
                    if fault in UNANSWERED:
                        hurry(pop)
                    try:
                        attempt(pop)
                    except MailboxError as error:
                        found = outputs(error, caplog.text, pop, pop.session, pop.session.protocol, pop.quirks)
                        assert search(found, SECRET) == []
                    else:
                        assert search({"log": caplog.text, "session": repr(pop.session)}, SECRET) == []


def test_a_bare_command_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """`execute` recognizes a command with a secret when it sends it."""
    caplog.set_level(logging.DEBUG)
    faults = [Fault.refuse("PASS", text=ECHO)]
    with Server(faults=faults) as server, Connection(server.host, server.port, security="none") as pop:
        pop.user("me")
        with pytest.raises(MailboxError) as caught:
            pop.execute(commands.pass_(SECRET))
    assert search(outputs(caught.value, caplog.text), SECRET) == []


@pytest.mark.threat(33)
def test_a_refused_argument_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """The error and our frames' local variables do not contain the value."""
    caplog.set_level(logging.DEBUG)
    ways = ("USER", "PLAIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2")
    values = (SECRET + "\r\n", SECRET + "\0", SECRET + "\ud800", "\x7f" + SECRET)
    with Server(sasl=("PLAIN", "CRAM-MD5", "XOAUTH2")) as server:
        for way, bad in itertools.product(ways, values):
            given: list[Any] = [bad, lambda bad=bad: bad]
            for given_as in given:
                caplog.clear()
                with case(way, bad, given_as):
                    with (
                        Connection(server.host, server.port, security="none", timeout=GENEROUS) as pop,
                        pytest.raises(ValueError) as caught,
                    ):
                        pop.login("me", given_as, way)
                    assert search(outputs(caught.value, caplog.text, pop), SECRET) == []


def test_an_echo_in_a_good_reply_is_redacted() -> None:
    """`pass_` returns the text of the reply without the password."""
    faults = [Fault.replace("PASS", takes_effect=False, reply=f"+OK welcome {SECRET}\r\n".encode())]
    with Server(password=SECRET, faults=faults) as server, Connection(server.host, server.port, security="none") as pop:
        pop.user("me")
        assert pop.pass_(SECRET) == "welcome ***"


# --- the wire log ---------------------------------------------------------------------------------------------


@pytest.mark.threat(33)
def test_the_wire_log_has_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """It has commands, status lines and sizes, but no password and no message text."""
    caplog.set_level(logging.DEBUG, logger="pymailbox.wire")
    mail = b"Subject: private matters\r\n\r\nvery private\r\n"
    with (
        Server([mail], password=SECRET) as server,
        Mailbox(server.host, "me", SECRET, port=server.port, security="none", pipelining=False) as inbox,
    ):
        assert inbox[0].raw == mail
    lines = [record.getMessage() for record in caplog.records if record.name == "pymailbox.wire"]
    assert lines[0].startswith("S: +OK")
    assert "C: AUTH PLAIN ***" in lines
    assert any(line.startswith("S: +OK") and line.endswith(f"(and {len(mail)} bytes)") for line in lines)
    assert lines[-2] == "C: QUIT"
    assert not search({"log": caplog.text}, SECRET, "private", "cHJpdmF0ZQ")


def test_the_wire_log_costs_nothing_when_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is formatted unless the level is DEBUG."""

    def fail(*_: object) -> None:
        raise AssertionError("formatted although the log is off")

    logging.getLogger("pymailbox.wire").setLevel(logging.INFO)
    monkeypatch.setattr("pymailbox.pop3.wirelog.sent", fail)
    monkeypatch.setattr("pymailbox.pop3.wirelog.received", fail)
    try:
        with Server([b"x\r\n"]) as server, Mailbox(server.host, "me", "secret", port=server.port, security="none"):
            pass
    finally:
        logging.getLogger("pymailbox.wire").setLevel(logging.NOTSET)


@pytest.mark.threat(9)
@pytest.mark.threat(113)
def test_escapes_in_the_log_do_not_reach_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    """The server's text is printable in the log."""
    caplog.set_level(logging.DEBUG)
    with (
        Server(greeting="\x1b]0;owned\x07 hello") as server,
        Connection(server.host, server.port, security="none") as pop,
    ):
        pop.capa()
    assert "\x1b" not in caplog.text
    assert "\\x1b]0;owned" in caplog.text
