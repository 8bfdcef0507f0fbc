"""Login sends exactly the expected bytes, in the expected form and order, and nothing else."""

import base64
import hashlib
import hmac
from typing import Any

import pytest
import scramp

from pymailbox import Mailbox, OAuth2
from pymailbox.account import Exchange, Peer
from pymailbox.errors import (
    AuthenticationError,
    ConnectionLost,
    LimitExceeded,
    LoginDelay,
    MailboxError,
    MailboxLocked,
    NotSupported,
    PermanentFailure,
    ProtocolError,
    TemporaryFailure,
    Timeout,
)
from pymailbox.pop3 import login, sasl, scram
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Command
from pymailbox.pop3.commands import Challenge
from pymailbox.pop3.flows import ask_utf8
from pymailbox.pop3.limits import Limits
from pymailbox.pop3.session import Session
from pymailbox.testing import Server
from tests import case
from tests.pop3.test_sasl import Channel
from tests.script import Turn, play, session

SHORT, LONG = "a-token", "t" * 1500


def coded(text: str | bytes) -> bytes:
    """Return `text` in base64."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text)


def capa(*lines: str) -> Turn:
    """Return the turn of CAPA and its reply."""
    return b"CAPA\r\n", "".join(f"{line}\r\n" for line in ("+OK", *lines, ".")).encode()


NO_CAPA: Turn = b"CAPA\r\n", b"-ERR what?\r\n"
PLAIN: Turn = b"AUTH PLAIN " + coded("\0me\0s3cret") + b"\r\n", b"+OK in\r\n"
USER: list[Turn] = [(b"USER me\r\n", b"+OK\r\n"), (b"PASS s3cret\r\n", b"+OK in\r\n")]
GREETING: Turn = b"", b"+OK hello\r\n"
XOAUTH2 = coded(f"user=me\1auth=Bearer {SHORT}\1\1")


def enter(made: Session, *connections: list[Turn], password: Any = "s3cret", auth: Any = None) -> None:
    """Log in as user `me`."""
    play(made, login.login(made, "me", password, auth), *connections)


@pytest.fixture
def no_scram(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that scramp is not installed."""
    monkeypatch.setattr(scram, "available", lambda: False)


# --- the choice -----------------------------------------------------------------------------------------------


def test_the_strongest_login_ranks_first() -> None:
    """Inside TLS a proof ranks first, then the password itself; without TLS, only a proof may be sent."""
    for listed, where, names in (
        (["SASL LOGIN PLAIN CRAM-MD5", "USER"], "tls", ["PLAIN", "LOGIN", "USER", "CRAM-MD5"]),
        (["SASL LOGIN PLAIN CRAM-MD5", "USER"], "loopback", ["CRAM-MD5", "PLAIN", "LOGIN", "USER"]),
        (["SASL SCRAM-SHA-1 SCRAM-SHA-256 PLAIN"], "tls", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]),
        (["SASL SCRAM-SHA-512 PLAIN CRAM-MD5", "USER"], "clear", ["SCRAM-SHA-512"]),
        (["SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256"], "tls", ["SCRAM-SHA-256"]),
        (["SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256"], "bound", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]),
        (["USER"], "tls", ["USER"]),
        (["TOP"], "tls", ["USER"]),
        ([], "tls", ["USER"]),
        (["SASL"], "tls", ["USER"]),
    ):
        made = session(secure=where in ("tls", "bound"), loopback=where == "loopback")
        made.tls = Channel() if where == "bound" else None
        assert login.ranking(made, Capabilities.from_lines(listed), True) == names, (listed, where)


def test_no_password_is_sent_unencrypted_to_another_machine() -> None:
    """Decision 8: without TLS, neither a password nor a digest that was not requested goes to another machine."""
    for listed in (["USER"], ["SASL PLAIN LOGIN", "USER"], ["SASL CRAM-MD5", "USER"], []):
        with case(listed), pytest.raises(NotSupported, match="unencrypted"):
            enter(session(secure=False), [capa(*listed)])


def test_naming_a_plaintext_mechanism_does_not_allow_plaintext() -> None:
    """`auth="PLAIN"` is a requirement; it does not imply `allow_plaintext=True`."""
    for auth in ("PLAIN", "LOGIN", "USER", "XOAUTH2", "OAUTHBEARER"):
        with case(auth), pytest.raises(NotSupported, match="unencrypted"):
            enter(session(secure=False), [capa("SASL PLAIN LOGIN", "USER")], auth=auth)


@pytest.mark.parametrize("options", [{"loopback": True}, {"allow_plaintext": True}])
def test_plaintext_is_sent_if_it_is_allowed(options: dict[str, bool]) -> None:
    """A password may be sent unencrypted to this machine, or with `allow_plaintext=True`."""
    enter(session(secure=False, **options), [capa("SASL PLAIN"), PLAIN])


def test_pass_obeys_the_same_rule() -> None:
    """The single command PASS is not sent unencrypted either."""
    with pytest.raises(NotSupported, match="unencrypted"):
        play(made := session(secure=False), login.pass_(made, "s3cret"))


@pytest.mark.usefixtures("no_scram")
def test_scram_is_skipped_without_its_library() -> None:
    """The next login in the ranking is used."""
    enter(session(), [capa("SASL SCRAM-SHA-256 PLAIN"), PLAIN])


def test_a_server_without_a_supported_login_is_not_supported() -> None:
    """NotSupported names the mechanisms that the server advertises, and the option that would use them."""
    with pytest.raises(NotSupported, match=r"it advertises XOAUTH2.*OAuth2\(token\)"):
        enter(session(), [capa("SASL XOAUTH2")])


def test_a_server_without_capa_gets_user_and_pass() -> None:
    """A server that supports RFC 1939 and nothing more has no other login."""
    made = session()
    enter(made, [NO_CAPA, *USER])
    assert made.capabilities is None


def test_an_unsupported_mechanism_is_followed_by_the_next() -> None:
    """A server that refuses an advertised mechanism as unknown has judged nothing; the next in the ranking is tried."""
    for refusal in (
        "Unsupported authentication mechanism",
        "Unknown AUTH type",
        "mechanism not available",
        "invalid method",
        "no such mechanism",
    ):
        refused: Turn = (b"AUTH LOGIN\r\n", f"-ERR {refusal}\r\n".encode())
        with case(refusal):
            enter(session(), [capa("SASL LOGIN", "USER"), refused, *USER])


@pytest.mark.threat(37)
def test_a_refusal_that_may_have_judged_is_final() -> None:
    """A second attempt could lock the account, whatever else is advertised and whatever text follows [AUTH]."""
    for text in ("[AUTH] wrong", "[AUTH] unsupported", "wrong", "", "[SYS/TEMP] unsupported now"):
        with case(text):
            with pytest.raises(MailboxError) as caught:
                enter(
                    session(may_reconnect=True),
                    [capa("SASL PLAIN LOGIN", "USER"), (PLAIN[0], f"-ERR {text}\r\n".encode())],
                )
            assert caught.value.usable


@pytest.mark.threat(28)
def test_a_login_requested_by_name_is_a_requirement() -> None:
    """CVE-2006-5867: no other login is tried, even if it is advertised."""
    with pytest.raises(NotSupported):
        enter(
            session(),
            [capa("SASL PLAIN CRAM-MD5", "USER"), (b"AUTH CRAM-MD5\r\n", b"-ERR unsupported\r\n")],
            auth="CRAM-MD5",
        )


def test_a_login_that_the_server_lacks_is_not_supported() -> None:
    """It is NotSupported if the words say so, or if the server advertises others and nothing was judged yet."""
    unknown = ("no such mechanism", "Unsupported authentication mechanism", "unknown AUTH type", "Unrecognized command")
    cases: list[tuple[str, Turn, tuple[str, ...]]] = [
        ("XOAUTH2", (b"AUTH XOAUTH2\r\n", b""), (*unknown, "bad command", "")),
        ("LOGIN", (b"AUTH LOGIN\r\n", b""), (*unknown, "syntax error", "")),
        ("PLAIN", PLAIN, unknown),
        ("APOP", (b"APOP me " + hashlib.md5(b"<a@b>s3cret").hexdigest().encode() + b"\r\n", b""), ("unknown command",)),
        ("USER", USER[0], ("Unknown command.", "command USER not recognized", "USER command is not available")),
    ]
    for auth, (line, _), words in cases:
        for refusal in words:
            made = session()
            made.greeting = "<a@b>"
            with case(auth, refusal):
                with pytest.raises(NotSupported, match=f"does not support the login {auth}") as caught:
                    enter(made, [capa("SASL CRAM-MD5"), (line, f"-ERR {refusal}\r\n".encode())], auth=auth)
                assert caught.value.usable
    for line, refusal in (
        (b"AUTH LOGIN\r\n", "user unknown"),
        (b"AUTH LOGIN\r\n", "[AUTH] unsupported"),
        (b"AUTH LOGIN\r\n", "Login not supported for this account"),
        (b"USER me\r\n", "unknown"),
        (b"USER me\r\n", "unknown user command@example.com"),
    ):
        with case(line, refusal), pytest.raises(AuthenticationError):
            turns = [capa("SASL LOGIN", "USER"), (line, f"-ERR {refusal}\r\n".encode())]
            enter(session(), turns, auth=line.split()[-1].decode().replace("me", "USER"))


def test_the_error_for_a_refused_proof_suggests_the_password() -> None:
    """Some accounts are stored in a form against which no proof can be checked; the error names the option to pass."""
    with pytest.raises(AuthenticationError, match='auth="PLAIN"'):
        enter(
            session(secure=False, loopback=True),
            [capa("SASL CRAM-MD5"), (b"AUTH CRAM-MD5\r\n", b"-ERR [AUTH] no\r\n")],
        )


def test_missing_credentials_are_value_errors() -> None:
    """They raise ValueError before anything is sent for the login."""
    missing: list[tuple[str | None, str | None, Any, str]] = [
        (None, "s3cret", None, "needs a user"),
        ("me", None, None, "a password is needed"),
        ("me", None, "PLAIN", "needs a password"),
        (None, "s3cret", "APOP", "needs a user"),
        (None, None, OAuth2("t"), "needs a user"),
    ]
    for user, password, auth, problem in missing:
        made = session()
        with case(user, password, auth), pytest.raises(ValueError, match=problem):
            play(made, login.login(made, user, password, auth), [capa("SASL PLAIN")])


# --- credentials ----------------------------------------------------------------------------------------------


def test_a_callable_password_is_called_once() -> None:
    """One login calls it exactly once."""
    asked: list[int] = []

    def password() -> str:
        asked.append(1)
        return "s3cret"

    enter(session(), [capa("SASL PLAIN"), PLAIN], password=password)
    assert asked == [1]


def test_a_password_is_a_str_or_bytes() -> None:
    """Other types are TypeError, without showing the value; a token must be a str."""
    for value in (7, bytearray(b"s3cret"), ["s3cret"]):
        with case(value):
            with pytest.raises(TypeError) as caught:
                enter(session(), [capa("SASL PLAIN")], password=lambda value=value: value)
            assert "s3cret" not in str(caught.value)
    with pytest.raises(TypeError) as caught:
        enter(session(), [capa("SASL XOAUTH2")], password=None, auth=OAuth2(lambda: b"s3cret"))  # type: ignore[arg-type,return-value] # on purpose
    assert "s3cret" not in str(caught.value)


LATIN = "grün-geheim".encode("latin-1")


def test_bytes_are_sent_as_they_are() -> None:
    """Servers that expect Latin-1 get it from every login that sends or hashes a password; SCRAM, which hashes UTF-8, is skipped."""
    digest = hashlib.md5(b"<a@b>" + LATIN).hexdigest().encode()
    keyed = hmac.new(LATIN, b"<a@b>", "md5").hexdigest().encode()
    plain: Turn = b"AUTH PLAIN " + coded(b"\0me\0" + LATIN) + b"\r\n", b"+OK\r\n"
    cases: list[tuple[Any, list[Turn]]] = [
        ("USER", [(b"USER me\r\n", b"+OK\r\n"), (b"PASS " + LATIN + b"\r\n", b"+OK\r\n")]),
        ("APOP", [(b"APOP me " + digest + b"\r\n", b"+OK\r\n")]),
        ("PLAIN", [plain]),
        (sasl.Plain("me", LATIN), [plain]),
        (None, [plain]),
        (
            "LOGIN",
            [
                (b"AUTH LOGIN\r\n", b"+ \r\n"),
                (coded("me") + b"\r\n", b"+ \r\n"),
                (coded(LATIN) + b"\r\n", b"+OK\r\n"),
            ],
        ),
        (
            "CRAM-MD5",
            [(b"AUTH CRAM-MD5\r\n", b"+ " + coded("<a@b>") + b"\r\n"), (coded(b"me " + keyed) + b"\r\n", b"+OK\r\n")],
        ),
    ]
    for auth, turns in cases:
        for password in (LATIN, lambda: LATIN):
            made = session()
            made.greeting = "<a@b>"
            with case(auth):
                enter(made, [capa("SASL SCRAM-SHA-256 PLAIN"), *turns], password=password, auth=auth)
    with pytest.raises(ValueError, match="SCRAM needs a UTF-8 password"):
        enter(session(), [capa("SASL SCRAM-SHA-256")], password=LATIN)


def test_scram_accepts_bytes_that_are_utf_8() -> None:
    """They are the same password as the text."""
    with Server(users={"me": "pässwörd"}, sasl=("SCRAM-SHA-256",)) as server:
        Mailbox(server.host, "me", "pässwörd".encode(), port=server.port, security="none").open().close()


def test_a_password_of_bytes_is_shown_nowhere() -> None:
    """It appears in no repr and no error, whatever the server echoes."""
    made = session()
    for shown in (repr(sasl.Plain("me", LATIN)), repr(sasl.Login("me", LATIN)), repr(sasl.CramMD5("me", LATIN))):
        assert "geheim" not in shown
    echo = b"-ERR no PASS " + LATIN + b" for me (" + coded(LATIN) + b")\r\n"
    with pytest.raises(AuthenticationError) as caught:
        enter(made, [capa("USER"), USER[0], (b"PASS " + LATIN + b"\r\n", echo)], password=LATIN)
    for text in (str(caught.value), repr(caught.value), str(vars(caught.value))):
        assert "geheim" not in text
        assert coded(LATIN).decode() not in text


def test_a_coroutine_function_is_for_asyncio() -> None:
    """The blocking driver raises TypeError, and leaves no coroutine that was never awaited."""

    async def password() -> str:
        return "s3cret"

    with pytest.raises(TypeError, match="AsyncMailbox"):
        enter(session(), [capa("SASL PLAIN")], password=password)


def test_a_token_is_fetched_at_each_login() -> None:
    """OAuth2 with a callable asks it for a new token each time."""
    tokens = iter(["first", "second"])
    auth = OAuth2(lambda: next(tokens))
    for token in ("first", "second"):
        message = b"AUTH OAUTHBEARER " + coded(f"n,a=me,\1host=pop.example.com\1auth=Bearer {token}\1\1") + b"\r\n"
        enter(session(), [capa("SASL OAUTHBEARER XOAUTH2"), (message, b"+OK\r\n")], password=None, auth=auth)


def test_the_error_for_a_refused_token_is_about_the_token_its_scope_and_pop() -> None:
    """It never mentions a password, whatever the server's words; other refusals keep their class."""
    token = coded(f"n,a=me,\1host=pop.example.com\1auth=Bearer {SHORT}\1\1")
    reason = b"+ " + coded('{"status":"400"}') + b"\r\n"
    for refusal, kind in (
        ("Authentication failure: unknown user name or bad password.", AuthenticationError),
        ("User is authenticated but not connected.", AuthenticationError),
        ("Connection is closed. 23", AuthenticationError),
        ("[AUTH] OAuth token invalid", AuthenticationError),
        ("", AuthenticationError),
        ("[SYS/TEMP] later", TemporaryFailure),
        ("[IN-USE] locked", MailboxLocked),
        ("[SYS/PERM] POP is disabled for this account", PermanentFailure),
    ):
        refused = f"-ERR {refusal}\r\n".encode()
        for turns in (
            [capa("SASL XOAUTH2"), (b"AUTH XOAUTH2\r\n", b"+ \r\n"), (XOAUTH2 + b"\r\n", refused)],
            [
                capa("SASL XOAUTH2"),
                (b"AUTH XOAUTH2\r\n", b"+ \r\n"),
                (XOAUTH2 + b"\r\n", reason),
                (b"\r\n", refused),
            ],
            [capa("SASL OAUTHBEARER"), (b"AUTH OAUTHBEARER " + token + b"\r\n", refused)],
        ):
            with case(refusal, turns):
                with pytest.raises(MailboxError) as caught:
                    enter(session(), turns, password=None, auth=OAuth2(SHORT))
                assert type(caught.value) is kind
                told = [
                    word in caught.value.problem for word in ("access token was refused", "scope", "POP is enabled")
                ]
                assert all(told) is (kind is AuthenticationError), caught.value
                assert "password" not in caught.value.problem


# --- the forms of AUTH ----------------------------------------------------------------------------------------


def test_xoauth2_is_sent_in_two_steps() -> None:
    """Q22: Microsoft 365 answers "Protocol error" to the shorter form."""
    turns = [capa("SASL XOAUTH2"), (b"AUTH XOAUTH2\r\n", b"+ \r\n"), (XOAUTH2 + b"\r\n", b"+OK\r\n")]
    enter(session(), turns, auth=OAuth2(SHORT))


def test_the_invitation_may_have_any_text() -> None:
    """Q24: the first reply in the two-step form carries no data, and may be +OK."""
    for invitation in (b"+\r\n", b"+ \r\n", b"+ go ahead\r\n", b"+OK\r\n", b"+OK go ahead\r\n"):
        turns = [capa("SASL XOAUTH2"), (b"AUTH XOAUTH2\r\n", invitation), (XOAUTH2 + b"\r\n", b"+OK\r\n")]
        with case(invitation):
            enter(session(), turns, auth=OAuth2(SHORT))


def test_a_line_beyond_255_octets_is_sent_in_two_steps() -> None:
    """RFC 5034 §4: an AUTH line has at most 255 octets, CRLF included; base64 grows in steps of four."""
    for password, line in ((176, 253), (177, 257)):
        response = coded("\0me\0" + "p" * password)
        at_once = b"AUTH PLAIN " + response + b"\r\n"
        assert len(at_once) == line
        turns: list[Turn] = [(at_once, b"+OK\r\n")]
        if line > 255:
            turns = [(b"AUTH PLAIN\r\n", b"+ \r\n"), (response + b"\r\n", b"+OK\r\n")]
        with case(password):
            enter(session(), [capa("SASL PLAIN"), *turns], password="p" * password)


def test_a_long_token_is_sent_in_two_steps() -> None:
    """Real tokens have 1 to 3 KB and do not fit into an AUTH line."""
    response = coded(f"n,a=me,\1host=pop.example.com\1auth=Bearer {LONG}\1\1")
    turns = [
        capa("SASL OAUTHBEARER"),
        (b"AUTH OAUTHBEARER\r\n", b"+ \r\n"),
        (response + b"\r\n", b"+OK\r\n"),
    ]
    enter(session(), turns, auth=OAuth2(LONG))


def test_a_refused_two_step_form_is_tried_in_one() -> None:
    """Q23: no secret was sent, so nothing was judged; it is tried once, on a fresh connection."""
    for refusal in (b"-ERR bad command\r\n", b"-ERR\r\n", None):
        first: list[Turn] = [capa("SASL XOAUTH2"), (b"AUTH XOAUTH2\r\n", refusal)]
        second: list[Turn] = [GREETING, capa("SASL XOAUTH2"), (b"AUTH XOAUTH2 " + XOAUTH2 + b"\r\n", b"+OK\r\n")]
        with case(refusal):
            enter(session(may_reconnect=True), first, second, auth=OAuth2(SHORT))


def test_a_refused_one_step_form_is_tried_in_two() -> None:
    """It is tried only if the line held no secret; UTF8 is requested again on the fresh connection."""
    listed = capa("SASL ANONYMOUS", "UTF8")
    for answer in (b"-ERR Protocol error. 10\r\n", None):
        first: list[Turn] = [(b"AUTH ANONYMOUS " + coded("guest") + b"\r\n", answer)]
        second: list[Turn] = [
            GREETING,
            listed,
            (b"UTF8\r\n", b"+OK\r\n"),
            (b"AUTH ANONYMOUS\r\n", b"+ \r\n"),
            (coded("guest") + b"\r\n", b"+OK\r\n"),
        ]
        made = session(may_reconnect=True)
        play(made, ask_utf8(made), [listed, (b"UTF8\r\n", b"+OK\r\n")])
        with case(answer):
            play(made, login.login(made, None, None, sasl.Anonymous("guest")), first, second)


def test_the_error_for_a_refused_line_with_a_secret_names_the_alternatives() -> None:
    """It names the option for the two-step form, and the next login."""
    for refusal, advice in (
        ("Protocol error. 10", r"sasl.Plain\(user, ..., initial=False\)"),
        ("syntax", "initial=False"),
    ):
        with case(refusal), pytest.raises(AuthenticationError, match=advice):
            enter(session(), [capa("SASL PLAIN"), (PLAIN[0], f"-ERR {refusal}\r\n".encode())])
    with pytest.raises(NotSupported, match="auth='USER' may work"):
        enter(session(), [capa("SASL PLAIN", "USER"), (PLAIN[0], b"-ERR unsupported\r\n")])
    two_steps: list[Turn] = [(b"AUTH PLAIN\r\n", b"+ \r\n"), (coded("\0me\0s3cret") + b"\r\n", b"+OK\r\n")]
    enter(session(), [capa("SASL PLAIN"), *two_steps], auth=sasl.Plain("me", "s3cret", initial=False))


#: Each login up to the line that a server can judge: the value of `auth`, and the turns up to that line.
JUDGED: list[tuple[Any, list[Turn]]] = [
    ("USER", [(b"USER me\r\n", b"+OK\r\n"), (b"PASS s3cret\r\n", b"")]),
    ("APOP", [(b"APOP me " + hashlib.md5(b"<a@b>s3cret").hexdigest().encode() + b"\r\n", b"")]),
    ("PLAIN", [(PLAIN[0], b"")]),
    (
        sasl.Plain("me", "s3cret", initial=False),
        [(b"AUTH PLAIN\r\n", b"+ \r\n"), (coded("\0me\0s3cret") + b"\r\n", b"")],
    ),
    (
        "LOGIN",
        [(b"AUTH LOGIN\r\n", b"+ \r\n"), (coded("me") + b"\r\n", b"+ \r\n"), (coded("s3cret") + b"\r\n", b"")],
    ),
    ("XOAUTH2", [(b"AUTH XOAUTH2\r\n", b"+ \r\n"), (coded("user=me\1auth=Bearer s3cret\1\1") + b"\r\n", b"")]),
    (OAuth2("s3cret"), [(b"AUTH XOAUTH2\r\n", b"+ \r\n"), (coded("user=me\1auth=Bearer s3cret\1\1") + b"\r\n", b"")]),
    (
        sasl.XOAuth2("me", "s3cret", initial=True),
        [(b"AUTH XOAUTH2 " + coded("user=me\1auth=Bearer s3cret\1\1") + b"\r\n", b"")],
    ),
    (
        "CRAM-MD5",
        [
            (b"AUTH CRAM-MD5\r\n", b"+ " + coded("<a@b>") + b"\r\n"),
            (coded("me " + hmac.new(b"s3cret", b"<a@b>", "md5").hexdigest()) + b"\r\n", b""),
        ],
    ),
]


@pytest.mark.threat(37)
def test_a_secret_is_sent_once_whatever_the_answer() -> None:
    """Decision 8: after a refusal in any words, or a hang-up, it is sent neither again nor on a second connection."""
    answers = ("[AUTH] Protocol error", "[IN-USE] syntax", "wrong password", "", "Protocol error. 10", "syntax", None)
    answers = (*answers, "unsupported", "no such mechanism", "unknown command", "[SYS/TEMP] later", "bad command")
    for auth, turns in JUDGED:
        for answer in answers:
            made = session(may_reconnect=True)
            made.greeting = "<a@b>"
            reply = None if answer is None else f"-ERR {answer}\r\n".encode()
            listed = capa("SASL PLAIN LOGIN CRAM-MD5 XOAUTH2", "USER", "AUTH-RESP-CODE")
            with case(auth, answer):
                with pytest.raises(MailboxError) as caught:
                    enter(made, [listed, *turns[:-1], (turns[-1][0], reply)], auth=auth)
                assert made.secret_sent
                if answer is None:
                    lost = caught.value
                    assert (type(lost), lost.retryable, lost.retry_after) == (ConnectionLost, False, 900)
                    assert "the login may be wrong" in str(lost)


def test_silence_after_a_secret_may_be_the_verdict() -> None:
    """Some servers fall silent on a wrong password: `Timeout` is not retryable, and has the `retry_after` of a hang-up."""
    made = session()
    made.capabilities = Capabilities()
    flow = login.login(made, "me", "wrong", None)
    asked = next(flow)
    while isinstance(asked, Command) and asked.verb.name == b"USER":
        asked = flow.send("")
    assert isinstance(asked, Command)
    made.dispatcher.single(asked)
    assert made.protocol.data_to_send() == b"PASS wrong\r\n"
    with pytest.raises(Timeout, match="the login may be wrong") as caught:
        flow.throw(Timeout("silence"))
    assert (caught.value.retryable, caught.value.retry_after) == (False, 900)


def test_each_login_sends_its_secret_once() -> None:
    """A second call of `login` may try several mechanisms, like the first."""
    made = session()
    with pytest.raises(AuthenticationError):
        enter(made, [capa("SASL PLAIN"), (PLAIN[0], b"-ERR [AUTH] wrong\r\n")], auth="PLAIN")
    unknown: Turn = b"AUTH LOGIN\r\n", b"-ERR unsupported mechanism\r\n"
    made.capabilities = Capabilities.from_lines(["SASL LOGIN", "USER"])
    enter(made, [unknown, *USER])


def test_a_hang_up_before_the_secret_is_retryable() -> None:
    """Nothing was judged, so the login may be tried again."""
    for auth, turns in JUDGED[3:6]:
        for known in range(len(turns) - 1):
            made = session()
            with case(auth, known):
                with pytest.raises(ConnectionLost) as caught:
                    enter(made, [capa("SASL PLAIN"), *turns[:known], (turns[known][0], None)], auth=auth)
                assert (caught.value.retryable, caught.value.retry_after, made.secret_sent) == (True, None, False)


def test_a_session_that_ended_before_the_secret_was_sent_is_retryable() -> None:
    """The end is noticed before the line is sent, such as while a person is looking for the password."""
    made = session()

    def ended() -> str:
        made.protocol.receive_eof()
        return "s3cret"

    flow = login.login(made, "me", ended, "USER")
    with pytest.raises(ConnectionLost) as caught:
        play(made, flow, [capa("USER"), USER[0]])
    assert (caught.value.retryable, made.secret_sent) == (True, False)


def test_there_is_no_second_connection_over_the_callers_socket() -> None:
    """Decision 13: the caller's socket cannot be connected again."""
    with pytest.raises(ConnectionLost):
        enter(session(), [capa("SASL XOAUTH2"), (b"AUTH XOAUTH2\r\n", None)], auth=OAuth2(SHORT))


def test_the_fresh_connection_is_made_once() -> None:
    """The second refusal is final."""
    with pytest.raises(AuthenticationError):
        enter(
            session(may_reconnect=True),
            [capa("SASL XOAUTH2"), (b"AUTH XOAUTH2\r\n", b"-ERR bad command\r\n")],
            [GREETING, capa("SASL XOAUTH2"), (b"AUTH XOAUTH2 " + XOAUTH2 + b"\r\n", b"-ERR bad command\r\n")],
            auth=OAuth2(SHORT),
        )


def test_a_fresh_connection_keeps_to_starttls() -> None:
    """The second connection starts TLS before anything else is sent, like the first."""
    made = session(may_reconnect=True, security="starttls")
    enter(
        made,
        [capa("SASL XOAUTH2"), (b"AUTH XOAUTH2\r\n", None)],
        [
            GREETING,
            (b"STLS\r\n", b"+OK\r\n"),
            capa("SASL XOAUTH2"),
            (b"AUTH XOAUTH2 " + XOAUTH2 + b"\r\n", b"+OK\r\n"),
        ],
        auth=OAuth2(SHORT),
    )
    assert made.secure


def test_other_mechanisms_have_one_form_only() -> None:
    """If the server speaks first, there is no other form to try."""
    with pytest.raises(AuthenticationError):
        enter(
            session(may_reconnect=True),
            [capa("SASL LOGIN"), (b"AUTH LOGIN\r\n", b"-ERR bad command\r\n")],
        )


# --- the exchange ---------------------------------------------------------------------------------------------


def test_login_answers_two_prompts() -> None:
    """Two prompts, two responses, +OK; a prompt may begin with +OK (Q24)."""
    for question in (b"+ VXNlcm5hbWU6\r\n", b"+OK\r\n"):
        turns: list[Turn] = [
            capa("SASL LOGIN"),
            (b"AUTH LOGIN\r\n", question),
            (coded("me") + b"\r\n", b"+ UGFzc3dvcmQ6\r\n"),
            (coded("s3cret") + b"\r\n", b"+OK\r\n"),
        ]
        enter(session(), turns)


def test_cram_md5_sends_no_empty_line_after_its_digest() -> None:
    """Q26: two lines are sent, no third."""
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    turns: list[Turn] = [
        capa("SASL CRAM-MD5"),
        (b"AUTH CRAM-MD5\r\n", b"+ " + coded(challenge) + b"\r\n"),
        (coded("tim b913a602c7eda7a495b4e6e7334d3890") + b"\r\n", b"+OK\r\n"),
    ]
    made = session()
    play(made, login.login(made, "tim", "tanstaaftanstaaf"), turns)


CANCELLED: Turn = b"*\r\n", b"-ERR cancelled\r\n"


@pytest.mark.threat(30)
def test_a_challenge_that_is_not_base64_is_cancelled() -> None:
    """CVE-2012-3482: it is not used; `*` is sent, and the session ends."""
    for challenge in ("!!!", "abc", "-ERR what", "-ERR no", "TlRM=VNT", "a", "ä"):
        made = session()
        with case(challenge), pytest.raises(ProtocolError, match="base64"):
            asked: Turn = b"AUTH CRAM-MD5\r\n", f"+ {challenge}\r\n".encode()
            enter(made, [capa("SASL CRAM-MD5"), asked, CANCELLED])
        assert made.protocol.failure, challenge


def test_an_extra_challenge_is_cancelled() -> None:
    """PLAIN has one response; another challenge is cancelled."""
    with pytest.raises(ProtocolError, match="another challenge, but PLAIN"):
        enter(session(), [capa("SASL PLAIN"), (PLAIN[0], b"+ bW9yZQ==\r\n"), CANCELLED])


def test_the_answer_to_the_cancellation_does_not_matter() -> None:
    """The first error is the one that is raised."""
    for last in (CANCELLED[1], b"+OK never mind\r\n", None):
        with case(last), pytest.raises(ProtocolError, match="another challenge, but PLAIN"):
            enter(session(), [capa("SASL PLAIN"), (PLAIN[0], b"+ bW9yZQ==\r\n"), (b"*\r\n", last)])


class Talkative:
    """A mechanism that never ends."""

    name = "X-TALK"
    plaintext = False
    initial = None

    def exchange(self, peer: Peer, /) -> Exchange:
        """Answer every challenge."""
        response: bytes | None = None
        while True:
            yield response
            response = b"more"


@pytest.mark.threat(29)
def test_endless_challenges_end() -> None:
    """After `Limits.sasl_rounds` challenges (10 by default), `*` is sent."""
    for limits, rounds in ((Limits(sasl_rounds=3), 3), (None, 10)):
        made = session(limits=limits) if limits else session()
        more: Turn = coded("more") + b"\r\n", b"+ \r\n"
        turns = [capa("SASL X-TALK"), (b"AUTH X-TALK\r\n", b"+ \r\n"), *[more] * rounds, CANCELLED]
        with case(rounds):
            with pytest.raises(LimitExceeded) as caught:
                enter(made, turns, auth=Talkative())
            assert caught.value.field == "sasl_rounds"
            assert made.protocol.failure


def test_a_failure_in_the_callers_mechanism_ends_the_session() -> None:
    """Its exception comes through unchanged; the server is still waiting, so the session cannot be used again."""

    class Broken(Talkative):
        def exchange(self, peer: Peer, /) -> Exchange:
            yield None
            raise ZeroDivisionError

    made = session()
    with pytest.raises(ZeroDivisionError):
        enter(made, [capa("SASL X"), (b"AUTH X-TALK\r\n", b"+ \r\n")], auth=Broken())
    assert made.protocol.failure


def test_scram_acknowledges_the_servers_proof_with_an_empty_line() -> None:
    """Q26 and RFC 5034 §4: the server's proof is a challenge, acknowledged by an empty line, then comes +OK."""
    made = session()
    flow = login.authenticate(made, sasl.Scram("user", "pencil"))
    mechanism = scramp.ScramMechanism("SCRAM-SHA-256")
    info = mechanism.make_auth_info("pencil")
    other = mechanism.make_server(lambda _: info)
    step: Any = next(flow)
    line = step.line
    other.set_client_first(base64.b64decode(line.split()[2]).decode())
    step = flow.send(Challenge(other.get_server_first().encode(), False))
    line = step.line
    other.set_client_final(base64.b64decode(line).decode())
    step = flow.send(Challenge(other.get_server_final().encode(), False))
    assert step.line == b"\r\n"
    with pytest.raises(StopIteration):
        flow.send(Challenge(b"", True))


# --- APOP -----------------------------------------------------------------------------------------------------


def test_apop_sends_the_digest_of_rfc_1939() -> None:
    """The example of RFC 1939 §7 gives the RFC's digest; APOP is used only by name."""
    made = session()
    made.greeting = "POP3 server ready <1896.697170952@dbc.mtview.ca.us>"
    turns: list[Turn] = [capa("USER"), (b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n", b"+OK\r\n")]
    play(made, login.login(made, "mrose", "tanstaaf", "APOP"), turns)


@pytest.mark.threat(27)
def test_apop_is_never_chosen() -> None:
    """A timestamp in the greeting does not make it a choice: passwords can be guessed offline from an MD5 digest."""
    made = session(secure=False)
    made.greeting = "POP3 server ready <1896.697170952@dbc.mtview.ca.us>"
    with pytest.raises(NotSupported):
        enter(made, [NO_CAPA])
    made = session()
    made.greeting = "POP3 server ready <1896.697170952@dbc.mtview.ca.us>"
    enter(made, [NO_CAPA, *USER])


@pytest.mark.threat(27)
def test_apop_accepts_a_strict_timestamp_only() -> None:
    """CVE-2007-1558: with a challenge of its choice, a man in the middle can recover the password piece by piece."""
    for greeting in (
        "ready",
        "ready <a.b.c>",
        "ready <no-at>",
        "ready <@host>",
        "ready <a@>",
        "ready <a@b@c>",
        "<a@b> junk <c@d>",
        "ready <a@b> junk <c@d>",
        "ready <a@b> <c>",
        "ready <a b@host>",
        "ready <ä@host>",
        "ready <\xff\x80@host>",
        "ready <a\x01@host>",
        "ready <a@host\x80>",
        "ready <a@host",
        "ready <" + "a" * 999 + "@host>",
    ):
        made = session()
        made.greeting = greeting
        with case(greeting):
            with pytest.raises(NotSupported, match="timestamp"):
                play(made, login.apop(made, "me", "s3cret"))
            with pytest.raises(NotSupported, match="timestamp"):
                enter(made, [capa("SASL PLAIN", "USER")], auth="APOP")


def test_apop_accepts_the_timestamps_that_servers_send() -> None:
    """An RFC 822 message id may be anywhere in the greeting (Q7)."""
    for stamp in ("<1.2@host>", "<a/b+c_d.1@[127.0.0.1]>", "<x@y>"):
        made = session()
        made.greeting = f"Hello {stamp} and welcome"
        with case(stamp):
            command: Any = next(login.apop(made, "me", "s3cret"))
            assert command.line.startswith(b"APOP me ")


# --- refusals -------------------------------------------------------------------------------------------------


def test_login_delay_takes_its_seconds_from_capa() -> None:
    """RFC 2449 §6.5: CAPA gives the delay if the refusal does not."""
    turns = [capa("SASL PLAIN", "LOGIN-DELAY 300"), (PLAIN[0], b"-ERR [LOGIN-DELAY] too soon\r\n")]
    with pytest.raises(LoginDelay) as caught:
        enter(session(), turns)
    assert (caught.value.retry_after, caught.value.retryable) == (300, True)


@pytest.mark.threat(82)
def test_a_locked_mailbox_is_locked_by_every_login() -> None:
    """The response code decides, whichever command was refused."""
    for turns in (
        [capa("SASL PLAIN"), (PLAIN[0], b"-ERR [IN-USE]\r\n")],
        [NO_CAPA, USER[0], (USER[1][0], b"-ERR [IN-USE]\r\n")],
    ):
        with case(turns):
            with pytest.raises(MailboxLocked) as caught:
                enter(session(), turns)
            assert caught.value.code == "IN-USE"
            assert caught.value.retryable


def test_capabilities_are_forgotten_at_login() -> None:
    """They change at login (Q13)."""
    made = session()
    enter(made, [capa("SASL PLAIN"), PLAIN])
    assert made.capabilities is None


# --- UTF8 -----------------------------------------------------------------------------------------------------


def test_utf8_is_requested_if_it_is_advertised() -> None:
    """RFC 6856 §2; a refusal is noted as a quirk and is not an error."""
    made = session()
    play(made, ask_utf8(made), [capa("UTF8"), (b"UTF8\r\n", b"+OK\r\n")])
    assert made.utf8
    made = session()
    play(made, ask_utf8(made), [capa("UTF8"), (b"UTF8\r\n", b"-ERR no\r\n")])
    assert not made.utf8
    assert "UTF8_REFUSED" in made.quirks
    play(made := session(), ask_utf8(made), [capa("TOP")])


def test_an_emoji_in_the_password_skips_scram() -> None:
    """RFC 4013 forbids characters newer than Unicode 3.2: SCRAM cannot send them, the next login in the ranking can."""
    password = "\N{KEY} for all"
    users = dict.fromkeys(("me", "\N{KEY}"), password)
    with Server(users=users, sasl=("SCRAM-SHA-256", "PLAIN")) as server:
        for user in users:
            with case(user):
                Mailbox(server.host, user, password, port=server.port, security="none").open().close()
                with pytest.raises(ValueError, match="SCRAM does not allow"):
                    Mailbox(server.host, user, password, port=server.port, security="none", auth="SCRAM-SHA-256").open()
