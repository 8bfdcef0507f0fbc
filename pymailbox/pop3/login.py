"""Login: USER and PASS, APOP, SASL, and the choice among them, as flows (the contract is in `flows`).

What was asked for by name or object is a requirement: nothing else is tried. Otherwise `ranking` decides among what
the server lists. Once a secret was sent, or a proof of one, nothing is tried again, whatever the server makes of it (a
hang-up included): a second try may lock the account. What may go to a server without TLS is decided here and nowhere
else.
"""

import math
import re
from contextlib import suppress
from traceback import clear_frames
from typing import Any, TypeVar

from pymailbox.account import (
    AsyncPassword,
    Auth,
    Exchange,
    Mechanism,
    OAuth2,
    Peer,
    check_auth,
    coroutine_refused,
    needs_user,
)
from pymailbox.display import SecretOctets, safe_text, secret, type_name
from pymailbox.errors import (
    AuthenticationError,
    CommandError,
    ConnectionLost,
    LimitExceeded,
    LoginDelay,
    MailboxError,
    NotSupported,
    ProtocolError,
    Timeout,
    hide_secrets,
)
from pymailbox.passwords import PasswordReference, reader
from pymailbox.pop3 import commands, scram
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Command
from pymailbox.pop3.commands import Challenge
from pymailbox.pop3.flows import Flow, ask, ask_utf8, callback, known_capabilities, start_over
from pymailbox.pop3.refusal import may_have_judged
from pymailbox.pop3.sasl import OAuthBearer, Scram, XOAuth2, mechanism
from pymailbox.pop3.session import Session

__all__ = ["apop", "authenticate", "login", "named", "pass_", "ranking"]

#: A message id of RFC 822 in ASCII; anything freer lets a man in the middle collide MD5s (CVE-2007-1558).
_ATOMS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,200}"
_TIMESTAMP = re.compile(rf"<{_ATOMS}@(?:{_ATOMS}|\[[A-Za-z0-9.:-]{{1,60}}\])>", re.ASCII)

T = TypeVar("T")

_LINE = 255  # octets of an AUTH line with its CRLF (RFC 5034 §4)

_NOT_BEFORE = 900.0  # seconds; servers that count wrong passwords forget them after some minutes

#: A refusal of AUTH that is about the mechanism, or the form of the line; one of USER or APOP about the command.
_UNKNOWN = re.compile(
    r"unsupported|not supported|unknown|unrecogni[sz]ed|not (implemented|available|enabled)|no such (auth|mech|method)"
    r"|(invalid|bad|illegal) (auth\w* )?(mech|method)|(mechanism|method)\b.{0,20} (not|in)valid|no mechanism",
    re.I,
)
_FORM = re.compile(r"syntax|protocol error|argument|parameter|bad command|invalid command|too long", re.I)
_NO_COMMAND = re.compile(
    r"(unknown|unsupported|unrecogni[sz]ed|invalid|bad|illegal|unimplemented|no such) command"
    r"|command\b.{0,40}(not |un)(known|implemented|supported|recogni[sz]ed|valid|available|enabled)|not implemented",
    re.I,
)

_SCRAM = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
_PLAINTEXT = ("PLAIN", "LOGIN", "USER")


# --- the methods ----------------------------------------------------------------------------------------------


def pass_(session: Session, password: str | bytes) -> Flow[str]:
    """PASS, where a password may be sent at all."""
    _refuse_plaintext(session)
    return (yield from _say(session, password, commands.pass_(password)))


def apop(session: Session, user: str, password: str | bytes) -> Flow[str]:
    """APOP with the greeting's timestamp, which must be a message id of RFC 822 (CVE-2007-1558)."""
    stamps = _TIMESTAMP.findall(session.greeting)
    if len(stamps) != 1 or session.greeting.count("<") != 1:
        raise NotSupported("the greeting has no timestamp for APOP (RFC 1939 §7); use another login")
    return (yield from _say(session, password, commands.apop(user, password, stamps[0].encode("ascii"))))


def _say(session: Session, password: str | bytes, command: Command[str]) -> Flow[str]:
    session.secrets.add(password)
    try:
        said = yield from _send_secret(session, command)
    except MailboxError as error:
        _forget(error)
        raise
    _forget_capabilities(session)
    return session.secrets.redact(said)


def _send_secret(session: Session, command: Command[T]) -> Flow[T]:
    """Send what a server can judge: from here on nothing is tried again, and a hang-up may be its verdict."""
    before = session.protocol.sent
    try:
        return (yield from ask(command))
    except (ConnectionLost, Timeout) as error:
        if session.protocol.sent > before:
            error.problem += (
                "; the login may be wrong, as some servers hang up or fall silent on a wrong password: check user and"
                " password (or token) before you try again, or the account may be locked"
            )
            error.args = (error.problem,)
            error.retryable, error.retry_after = False, _NOT_BEFORE
        raise
    finally:
        session.secret_sent = session.secret_sent or session.protocol.sent > before


def authenticate(session: Session, chosen: Mechanism, *, initial: bool | None = None) -> Flow[None]:
    """Log in with one SASL mechanism (RFC 5034 §4).

    `initial` says whether its first response goes in the line of AUTH; None: where the mechanism has it so and it
    fits. Raises `AuthenticationError` and its kin for a refusal, `ProtocolError` for a server that breaks the
    exchange, `LimitExceeded` beyond `Limits.sasl_rounds`; after the last two the session is over.
    """
    if chosen.plaintext:
        _refuse_plaintext(session)
    for held in (getattr(chosen, name, None) for name in ("password", "token")):
        if isinstance(held, str | bytes):
            session.secrets.add(held)
    listed = session.capabilities.sasl if session.capabilities is not None else ()
    exchange = chosen.exchange(Peer(session.host, listed, session.tls, session.limits.scram_iterations))
    session.slow = isinstance(chosen, Scram)
    try:
        yield from _converse(session, chosen, exchange, initial)
    except MailboxError as error:
        hide_secrets(error, session.secrets)
        _forget(error)
        if not error.usable:
            session.protocol.fail(error.problem)
        raise
    except BaseException:  # of a mechanism of the caller's own: the server may still wait for an answer
        session.protocol.fail("the login was interrupted")
        raise
    finally:
        session.slow = False
        exchange.close()
    _forget_capabilities(session)


def _converse(session: Session, chosen: Mechanism, exchange: Exchange, initial: bool | None) -> Flow[None]:
    harmless = _harmless_responses(chosen.name)
    first = next(exchange)
    response: bytes | None = None if first is None else SecretOctets(first)
    del first
    if response is None:
        reply = yield from _ask(session, exchange, commands.auth(chosen.name), False)
        said = 0
    else:
        said = 1
        at_once = commands.auth(chosen.name, response)
        if initial or (initial is None and chosen.initial and len(at_once.line) <= _LINE):
            reply = yield from _ask(session, exchange, at_once, said > harmless)
        else:
            # What the server says now is an invitation, whatever its words (Q24).
            yield from _ask(session, exchange, commands.auth(chosen.name), False)
            reply = yield from _ask(session, exchange, commands.respond(response), said > harmless)
    for _ in range(session.limits.sasl_rounds):
        try:
            response = _next_response(chosen, exchange, reply, said > 0)
        except MailboxError:
            if not reply.final:
                yield from _cancel()
            raise
        if response is None:
            return
        said += 1
        reply = yield from _ask(session, exchange, commands.respond(response), said > harmless)
    if not reply.final or _next_response(chosen, exchange, reply, said > 0) is not None:
        if not reply.final:
            yield from _cancel()
        raise LimitExceeded(
            "the server did not end the login within Limits.sasl_rounds challenges", field="sasl_rounds"
        )


def _next_response(chosen: Mechanism, exchange: Exchange, reply: Challenge, begun: bool) -> bytes | None:
    """Return what the mechanism answers, None when it is content with the server's +OK."""
    if reply.data is None and not reply.final:
        raise ProtocolError(f"the server's challenge for {chosen.name} is not base64 (RFC 5034 §4)")
    # "+OK" in the place of "+" before the first response is a challenge (Q24).
    given = None if reply.final and begun else reply.data or b""
    try:
        return SecretOctets(exchange.send(given) or b"")
    except StopIteration:
        pass
    if not reply.final:
        raise ProtocolError(f"the server asks for more than {chosen.name} has to say")
    return None


def _cancel() -> Flow[None]:
    with suppress(MailboxError):  # it is answered -ERR; what went wrong before is what to know of
        yield from ask(commands.respond(None))


def _harmless_responses(name: str) -> float:
    """Return how many responses of a mechanism, from the first, hold nothing to be judged: no secret and no proof."""
    if name in ("ANONYMOUS", "EXTERNAL"):
        return math.inf
    return 1 if name == "LOGIN" or name.startswith("SCRAM-") else 0  # the user


def _ask(session: Session, exchange: Exchange, command: Command[Challenge], secret: bool) -> Flow[Challenge]:
    """Ask, and let the mechanism say more about a refusal; `secret`: a server can judge who sends this."""
    try:
        return (yield from (_send_secret(session, command) if secret else ask(command)))
    except CommandError as refused:
        with suppress(StopIteration):
            exchange.throw(refused)
        raise


# --- the choice -----------------------------------------------------------------------------------------------


def login(session: Session, user: str | None, password: AsyncPassword | None, auth: Auth = None) -> Flow[None]:
    """Log in: with `auth` where it says how, else with the strongest that the server lists for the credential.

    `auth` is a mechanism, its name (also `APOP` and `USER`), or `OAuth2`. A callable password or token is asked once, a
    reference read once.
    A server that wants the other form of AUTH, or hangs up on the one, is asked again on a fresh connection, once, and
    only while no secret was sent. `ConnectionLost` after that may be the server's verdict; it has `retryable=False`.
    Raises `AuthenticationError`, `MailboxLocked`, `LoginDelay`, `TemporaryFailure`, `PermanentFailure`,
    `NotSupported`; `ValueError` where a credential is missing or has control characters.
    """
    check_auth(auth)
    password = secret(password)
    session.secret_sent = False
    capabilities = yield from known_capabilities(session)
    given = yield from _resolve_credential(session, user, password, "password")
    if isinstance(auth, OAuth2):
        token = yield from _resolve_credential(session, user, auth.token, "token")
        methods = [_bearer(capabilities, user, token)]
    elif isinstance(auth, str):
        methods = [_method(auth, user, given)]
    elif auth is not None:
        methods = [auth]
    else:
        names = ranking(session, capabilities, given is not None)
        if not scram.allows(user or "", given or ""):  # an emoji needs another method, if there is one
            names = [name for name in names if not name.startswith("SCRAM")] or names
        methods = [_method(name, user, given) for name in names]
    while True:
        method = methods.pop(0)
        try:
            yield from _attempt(session, method)
        except LoginDelay as error:
            if error.retry_after is None:
                error.retry_after = capabilities.login_delay
            raise
        except AuthenticationError as error:
            if _not_known(session, method, error):
                if methods and not session.secret_sent:
                    continue
                raise _no_such_method(method, methods, error) from error
            if auth is None or isinstance(auth, OAuth2):
                _advise(error, method)
            raise
        return


def ranking(session: Session, capabilities: Capabilities, password: bool) -> list[str]:
    """Return the names of what the server offers for a password, or without one, the strongest first.

    Raises `NotSupported` where there is nothing to use, saying why, and ValueError where a password is needed.
    """
    offered = capabilities.sasl
    if not password:
        if "EXTERNAL" in offered and session.secure:
            return ["EXTERNAL"]
        raise ValueError("a password is needed: give one, or `auth=` for another way to log in")
    strong = [name + "-PLUS" for name in _SCRAM] if _bindable(session) else []
    strong = [name for name in (*strong, *_SCRAM) if name in offered] if scram.available() else []
    # Who lists neither SASL nor USER has told too little to be believed (Q13): USER is tried.
    plain = [name for name in _PLAINTEXT if name in (offered if name != "USER" else capabilities)]
    if not plain and not offered:
        plain = ["USER"]
    digest = [name for name in ("CRAM-MD5",) if name in offered]
    if session.secure:
        names = strong + plain + digest
    elif _plaintext_allowed(session):
        names = strong + digest + plain
    else:
        names = strong
        if not names:
            _refuse_plaintext(session)
    if not names:
        raise NotSupported(
            f"the server offers no password login that pymailbox supports; it lists {', '.join(offered)}"
            + (" (OAuth2: auth=OAuth2(token))" if {"XOAUTH2", "OAUTHBEARER"} & set(offered) else "")
        )
    return names


def _bindable(session: Session) -> bool:
    if session.tls is None:
        return False
    from pymailbox.pop3.tls import channel_binding

    # The hash of a certificate binds to a server, not to a channel: dovecot and cyrus do not take it.
    binding = channel_binding(session.tls)
    return binding is not None and binding[0] != "tls-server-end-point"


def named(name: str, user: str | None, password: str | bytes | None) -> Mechanism:
    """Return the mechanism of that name; ValueError where it needs a user or a password that is not there."""
    _require(name.upper(), user, password)
    return mechanism(name, user or "", password or "")


def _method(name: str, user: str | None, password: str | bytes | None) -> Any:
    """Return what `_attempt` takes: a mechanism, or (verb, user, password)."""
    name = name.upper()
    if name in ("APOP", "USER"):
        _require(name, user, password)
        return name, user, password
    return named(name, user, password)


def _require(name: str, user: str | None, password: str | bytes | None) -> None:
    if not needs_user(name):
        return
    if not user:
        raise ValueError(f"{name} needs a user")
    if password is None:
        raise ValueError(f"{name} needs a password (or a token)")


def _bearer(capabilities: Capabilities, user: str | None, token: str | None) -> Mechanism:
    if not user or token is None:
        raise ValueError("OAuth2 needs a user and a token")
    offered = capabilities.sasl
    if "OAUTHBEARER" in offered:
        return OAuthBearer(user, token)
    if offered and "XOAUTH2" not in offered:
        raise NotSupported(
            f"the server lists no login for OAuth2 tokens; it lists {', '.join(offered)}"
            " (pass auth='XOAUTH2' with the token as password to try anyway)"
        )
    return XOAuth2(user, token)


def _resolve_credential(session: Session, user: str | None, value: Any, what: str) -> Flow[Any]:
    """Return a credential, read or called for if need be; from here on the session knows it as a secret."""
    if isinstance(value, PasswordReference):
        value = secret((yield from callback(reader(value, session.host, user), in_thread=True)))
    elif callable(value):
        value = secret((yield from callback(value)))
    if hasattr(value, "close") and hasattr(value, "__await__"):
        value.close()
        raise coroutine_refused(what)
    if value is None:
        return None
    if not isinstance(value, str) and not (isinstance(value, bytes) and what == "password"):
        raise TypeError(f"the {what} must be a str, not {type_name(value)}")
    session.secrets.add(value)
    return secret(value)


def _attempt(session: Session, method: Any) -> Flow[None]:
    if isinstance(method, tuple):
        verb, user, password = method
        if verb == "APOP":
            yield from apop(session, user, password)
        else:
            _refuse_plaintext(session)
            commands.pass_(password)  # what it refuses is refused before USER is sent
            yield from ask(commands.user(user))
            yield from pass_(session, password)
        return
    try:
        yield from authenticate(session, method)
    except (AuthenticationError, ConnectionLost) as error:
        other = _alternative_form(session, method, error)
        if other is None:
            raise
        session.protocol.note("OTHER_AUTH_FORM", f"{method.name}: {error.response or 'no reply'}")
        utf8 = session.utf8
        yield from start_over(session, session.security)
        if utf8:
            yield from ask_utf8(session)
        yield from authenticate(session, method, initial=other)


def _name(method: Any) -> str:
    name: str = method[0] if isinstance(method, tuple) else method.name
    return name


def _not_known(session: Session, method: Any, error: AuthenticationError) -> bool:
    """Whether the server refused a way to log in because it does not have it, and not because of who came."""
    said = error.response or ""
    if error.code is not None:
        return False
    if isinstance(method, tuple):
        return error.command != "PASS ***" and bool(_NO_COMMAND.search(said))
    if may_have_judged(said) or not _failed_at_auth_line(error):
        return False
    listed = session.capabilities.sasl if session.capabilities is not None else ()
    return bool(_UNKNOWN.search(said)) or not (session.secret_sent or method.name.upper() in listed)


def _no_such_method(method: Any, methods: list[Any], error: AuthenticationError) -> NotSupported:
    others = f"; auth={_name(methods[0])!r} may work" if methods else ""
    return NotSupported(
        f"the server does not know the login {safe_text(_name(method))}{others}",
        command=error.command,
        response=error.response,
    )


def _failed_at_auth_line(error: MailboxError) -> bool:
    """Whether it was the line of AUTH itself that failed."""
    return (error.command or "").startswith("AUTH")


def _alternative_form(session: Session, method: Mechanism, error: MailboxError) -> bool | None:
    """Return the form of AUTH to try instead; None where the credentials may have been judged already."""
    if session.secret_sent or method.initial is None or not session.may_reconnect or not _failed_at_auth_line(error):
        return None
    said = error.response or ""
    if error.code is not None or (_UNKNOWN.search(said) and not may_have_judged(said)):
        return None
    if error.command == f"AUTH {method.name}":  # it was the form in two steps
        return True
    return None if may_have_judged(said) else False


def _advise(error: AuthenticationError, method: Any) -> None:
    """Say what else could be wrong: a proof that some accounts cannot give, or the form of the line."""
    name = _name(method)
    if name.startswith(("SCRAM", "CRAM")):
        error.problem += f' (it was {name}, the strongest that is offered; auth="PLAIN" sends the password itself)'
    elif error.code is None and _failed_at_auth_line(error) and _FORM.search(error.response or ""):
        kind = type(method).__name__
        error.problem += f"; it may want the secret in a line of its own: auth=sasl.{kind}(user, ..., initial=False)"
    error.args = (error.problem,)


# --- what all have in common ----------------------------------------------------------------------------------


def _plaintext_allowed(session: Session) -> bool:
    return session.secure or session.loopback or session.allow_plaintext


def _refuse_plaintext(session: Session) -> None:
    if not _plaintext_allowed(session):
        raise NotSupported(
            f"a password would go to {session.host} in clear text;"
            ' use security="tls" or "starttls", or pass allow_plaintext=True'
        )


def _forget(error: MailboxError) -> None:
    """Empty the variables of the frames of an error: what a server says of a login may echo a secret."""
    for one in (error, error.__cause__):
        if one is not None:
            clear_frames(one.__traceback__)


def _forget_capabilities(session: Session) -> None:
    session.capabilities = None  # asked again: they change at login (Q13); pipelining is as listed until then
