"""A recording contains no secret, however the client logs in and whatever the server repeats."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.testing.observer import Observer
from pymailbox.testing.recording import Recording
from pymailbox.testing.redaction import Redaction

USER, SECRET = b"ada.archer@example.org", b'p%ss "w\xc3\xb6rd\\ 7'
DIGEST = SECRET.replace(b" ", b"_")
XOAUTH2 = b"user=%s\x01auth=Bearer %s\x01\x01"
OAUTHBEARER = b"n,a=%s,\x01host=h\x01port=995\x01auth=Bearer %s\x01\x01"


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


#: For each login: what the client sends, and what the server answers to each line before the last.
LOGINS: dict[str, tuple[list[bytes], list[bytes]]] = {
    "USER": ([b"USER " + USER, b"PASS " + SECRET], [b"+OK"]),
    "in small letters": ([b"user " + USER, b"pass " + SECRET], [b"+OK"]),
    "APOP": ([b"APOP %s %s" % (USER, DIGEST)], []),
    "PLAIN at once": ([b"AUTH PLAIN " + b64(b"\0%s\0%s" % (USER, SECRET))], []),
    "PLAIN": ([b"AUTH PLAIN", b64(b"\0%s\0%s" % (USER, SECRET))], [b"+ "]),
    "PLAIN for another": ([b"AUTH PLAIN", b64(b"%s\0%s\0%s" % (USER, USER, SECRET))], [b"+"]),
    "LOGIN": ([b"AUTH LOGIN", b64(USER), b64(SECRET)], [b"+ " + b64(b"Username:"), b"+ " + b64(b"Password:")]),
    "LOGIN at once": ([b"AUTH LOGIN " + b64(USER), b64(SECRET)], [b"+ " + b64(b"Password:")]),
    "CRAM-MD5": ([b"AUTH CRAM-MD5", b64(USER + b" " + DIGEST)], [b"+ " + b64(b"<1.2@example.net>")]),
    "XOAUTH2": ([b"AUTH XOAUTH2 " + b64(XOAUTH2 % (USER, SECRET)), b""], [b"+ " + b64(b'{"status":"401"}')]),
    "OAUTHBEARER": ([b"auth oauthbearer", b64(OAUTHBEARER % (USER, SECRET))], [b"+ "]),
    "an unknown mechanism": ([b"AUTH X-FOO", b64(SECRET)], [b"+ " + b64(b"r=1,s=2")]),
    "a line that is not base64": ([b"AUTH PLAIN", SECRET], [b"+ "]),
    "a password without a command": ([DIGEST, b"NOOP"], [b"-ERR"]),
    "an unknown command": ([b"XPASS " + SECRET, b"NOOP"], [b"-ERR"]),
}


def forms(secret: bytes) -> list[bytes]:
    """Return the forms in which a server might repeat a secret."""
    text = secret.decode()
    return [secret, b64(secret), quote(text, safe="").encode(), json.dumps(text)[1:-1].encode(), secret.upper()]


def record(lines: list[bytes], answers: list[bytes], sizes: list[int], redaction: Redaction | None = None) -> str:
    """Return the file of a session in which both sides send pieces of these sizes."""
    observer = Observer(redaction or Redaction())
    observer.server_sent(b"+OK ready\r\n")
    for line, answer in zip(lines, answers, strict=True):
        for send, data in ((observer.client_sent, line + b"\r\n"), (observer.server_sent, answer + b"\r\n")):
            rest, cuts = data, list(sizes)
            while rest:
                size = cuts.pop(0) if cuts else len(rest)
                send(rest[:size])
                rest = rest[size:]
    return Recording((observer.recorded("keep"),)).text()


WITHOUT_USER = {
    "an unknown mechanism",
    "a line that is not base64",
    "a password without a command",
    "an unknown command",
}


@pytest.mark.parametrize("name", LOGINS)
@given(sizes=st.lists(st.integers(1, 20), max_size=10))
def test_no_secret_is_recorded(name: str, sizes: list[int]) -> None:
    """In each form of login, in any pieces, and also if the server repeats what it got in any form."""
    lines, answers = LOGINS[name]
    secret = DIGEST if name in ("APOP", "CRAM-MD5", "a password without a command") else SECRET
    secrets = [*forms(secret), *([] if name in WITHOUT_USER else [*forms(USER), b"ada.archer"])]
    echo = b"[AUTH] wrong: " + b" / ".join([*lines, *secrets])
    replies = [*answers, b"-ERR " + echo, b"+OK\r\n" + echo + b"\r\n."]
    text = record([*lines, b"RETR 1"], replies, sizes)
    sent = b"".join(step.reply for step in Recording.parse(text).sessions[0].steps)
    for hidden in secrets:
        assert hidden.decode() not in text
        assert hidden not in sent
    assert "***" in text
    assert sent.endswith(b".\r\n")
    assert len(Recording.parse(text).sessions[0].steps[-1].reply) == len(replies[-1]) + 2  # sizes of mails are kept


def test_user_names() -> None:
    """They are replaced as whole words, also before the @, unless `keep_user` is set."""
    lines = [b"USER me@example.org", b"PASS longsecret", b"RETR 1"]
    answers = [b"+OK", b"+OK me has some messages, me@example.org", b"+OK\r\nTo: me@example.org, some\r\n."]
    text = record(lines, answers, [])
    assert "S: +OK *** has some messages, ***" in text
    assert "S: To: **************, some" in text
    text = record(lines, answers, [], Redaction(keep_user=True))
    assert "C: USER me@example.org\n" in text
    assert "S: +OK me has some messages, me@example.org" in text
    assert "longsecret" not in text
    assert "C: APOP me ***" in record([b"APOP me 0123456789"], [b"+OK"], [], Redaction(keep_user=True))


def test_what_is_known_before() -> None:
    """Strings that were given are replaced wherever the server sends them."""
    text = record([b"CAPA"], [b"+OK\r\nIMPLEMENTATION host7\r\n."], [], Redaction.of(False, ["Ready", "host7"]))
    assert "S: +OK ***\n" in text
    assert "S: IMPLEMENTATION ***\n" in text


def test_challenges() -> None:
    """Challenges from which a password could be guessed are replaced, and what is repeated in others."""
    scram = [b"AUTH SCRAM-SHA-1 " + b64(b"n,,n=ada,r=abc"), b64(b"c=biws,r=abcdef,p=xyz"), b""]
    text = record(scram, [b"+ " + b64(b"r=abcdef,s=salt,i=4096"), b"+ " + b64(b"v=proof"), b"+OK"], [])
    assert text.split("\n")[3:-2] == [
        *("S: +OK ready", "C: AUTH SCRAM-SHA-1 ***", "S: + ***", "C: ***", "S: + ***", "C:", "S: +OK")
    ]
    failure = b'{"status":"401","user":"ada@example.org"}'
    lines = [b"AUTH XOAUTH2 " + b64(XOAUTH2 % (b"ada@example.org", b"ya29.a0AfH6SMBx-y_z")), b""]
    text = record(lines, [b"+ " + b64(failure), b"-ERR"], [])
    assert "S: + " + b64(b'{"status":"401","user":"***"}').decode() + "\n" in text
    prompt = "S: + " + b64(b"Username:").decode()
    assert prompt in record([b"AUTH LOGIN", b"*"], [b"+ " + b64(b"Username:"), b"-ERR"], [])
    assert "C: *\n" in record([b"AUTH LOGIN", b"*"], [b"+ " + b64(b"Username:"), b"-ERR"], [])


@pytest.mark.parametrize("password", ["1", "42", "OK", "ERR", "+", "USER", "octets", "AUTH"])
def test_a_password_that_looks_like_the_protocol(password: str) -> None:
    """What clients parse stays as it is: status, response codes, numbers, capabilities."""
    lines = [b"USER me", b"PASS " + password.encode(), b"STAT", b"LIST", b"LIST 1", b"UIDL", b"CAPA", b"RETR 42"]
    answers = [b"+OK", b"-ERR [AUTH] no", b"+OK 1 42", b"+OK\r\n1 42\r\n42 1\r\n.", b"+OK 1 42", b"+OK\r\n1 x\r\n."]
    answers += [b"+OK\r\nUSER\r\nAUTH-RESP-CODE\r\n.", b"+OK 42 octets\r\n\r\n."]
    replies = [step.reply for step in Recording.parse(record(lines, answers, [])).sessions[0].steps]
    assert replies[1:] == [answer + b"\r\n" for answer in answers]
