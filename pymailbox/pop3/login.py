"""Login: USER and PASS, APOP, SASL, and the choice among them, as flows (`flows` has their contract).

A login requested by name or object is a requirement: nothing else is tried. Otherwise `ranking` chooses among what the
server advertises. Once a secret or a proof of one was sent, nothing is tried again, whatever the server answers (a
hang-up included): a second attempt may lock the account. Only this module decides what may be sent without TLS.
"""

import math
import re
from contextlib import suppress
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
from pymailbox.display import SecretBytes, safe_text, secret, type_name
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
from pymailbox.password_reference import PasswordReference
from pymailbox.pop3 import commands
from pymailbox.pop3.capabilities import Capabilities
from pymailbox.pop3.command import Command
from pymailbox.pop3.commands import Challenge
from pymailbox.pop3.flows import Flow, ask, ask_utf8, callback, known_capabilities, start_over
from pymailbox.pop3.refusal import may_have_judged
from pymailbox.pop3.session import Session

__all__ = ["apop", "authenticate", "login", "named", "pass_", "ranking"]

#: An RFC 822 message id in ASCII; anything looser lets a man in the middle collide MD5s (CVE-2007-1558).
_ATOMS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,200}"
_TIMESTAMP = rf"(?a)<{_ATOMS}@(?:{_ATOMS}|\[[A-Za-z0-9.:-]{{1,60}}\])>"

T = TypeVar("T")

_LINE = 255  # octets in an AUTH line, CRLF included (RFC 5034 §4)

_NOT_BEFORE = 900.0  # seconds; servers that count wrong passwords reset the count after some minutes

#: Refusals of AUTH because of the mechanism or the form of the line; refusals of USER or APOP as unknown commands. All
#: are patterns that are compiled when they are first used.
_UNKNOWN = (
    r"(?i)unsupported|not supported|unknown|unrecogni[sz]ed|not (implemented|available|enabled)"
    r"|no such (auth|mech|method)|(invalid|bad|illegal) (auth\w* )?(mech|method)"
    r"|(mechanism|method)\b.{0,20} (not|in)valid|no mechanism"
)
_FORM = r"(?i)syntax|protocol error|argument|parameter|bad command|invalid command|too long"
_NO_COMMAND = (
    r"(?i)(unknown|unsupported|unrecogni[sz]ed|invalid|bad|illegal|unimplemented|no such) command"
    r"|command\b.{0,40}(not |un)(known|implemented|supported|recogni[sz]ed|valid|available|enabled)|not implemented"
)

_SCRAM = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
_PLAINTEXT = ("PLAIN", "LOGIN", "USER")


# --- the methods ----------------------------------------------------------------------------------------------


def pass_(session: Session, password: str | bytes) -> Flow[str]:
    """Send PASS if a password may be sent at all."""
    _refuse_plaintext(session)
    return (yield from _send_login(session, password, commands.pass_(password)))


def apop(session: Session, user: str, password: str | bytes) -> Flow[str]:
    """Send APOP, using the greeting's timestamp, which must be an RFC 822 message id (CVE-2007-1558)."""
    stamps = re.findall(_TIMESTAMP, session.greeting)
    if len(stamps) != 1 or session.greeting.count("<") != 1:
        raise NotSupported("the greeting has no valid timestamp for APOP (RFC 1939 §7); use another login")
    return (yield from _send_login(session, password, commands.apop(user, password, stamps[0].encode("ascii"))))


def _send_login(session: Session, password: str | bytes, command: Command[str]) -> Flow[str]:
    session.secrets.add(password)
    try:
        message = yield from _send_secret(session, command)
    except MailboxError as error:
        _forget(error)
        raise
    _forget_capabilities(session)
    return session.secrets.redact(message)


def _send_secret(session: Session, command: Command[T]) -> Flow[T]:
    """Send a line that a server can judge: from here on nothing is retried, and a hang-up may be the verdict."""
    before = session.protocol.sent
    try:
        return (yield from ask(command))
    except (ConnectionLost, Timeout) as error:
        if session.protocol.sent > before:
            error.problem += (
                "; the login may be wrong, as some servers hang up or fall silent on a wrong password; check the user"
                " name and password (or token) before trying again, or the account may be locked"
            )
            error.args = (error.problem,)
            error.retryable, error.retry_after = False, _NOT_BEFORE
        raise
    finally:
        session.secret_sent = session.secret_sent or session.protocol.sent > before


def authenticate(session: Session, chosen: Mechanism, *, initial: bool | None = None) -> Flow[None]:
    """Log in with one SASL mechanism (RFC 5034 §4).

    `initial` says whether the first response goes in the AUTH line; None: if the mechanism puts it there and it fits.
    Raises `AuthenticationError` or a related `CommandError` if the server refuses, `ProtocolError` if it breaks the
    exchange, `LimitExceeded` beyond `Limits.sasl_rounds`; the last two end the session.
    """
    if chosen.plaintext:
        _refuse_plaintext(session)
    for held in (getattr(chosen, name, None) for name in ("password", "token")):
        if isinstance(held, str | bytes):
            session.secrets.add(held)
    listed = session.capabilities.sasl if session.capabilities is not None else ()
    exchange = chosen.exchange(Peer(session.host, listed, session.tls, session.limits.scram_iterations))
    session.slow = chosen.name.startswith("SCRAM-")
    try:
        yield from _converse(session, chosen, exchange, initial)
    except MailboxError as error:
        hide_secrets(error, session.secrets)
        _forget(error)
        if not error.usable:
            session.protocol.fail(error.problem)
        raise
    except BaseException:  # raised by the caller's own mechanism: the server may still be waiting for a response
        session.protocol.fail("the login was interrupted")
        raise
    finally:
        session.slow = False
        exchange.close()
    _forget_capabilities(session)


def _converse(session: Session, chosen: Mechanism, exchange: Exchange, initial: bool | None) -> Flow[None]:
    harmless = _harmless_responses(chosen.name)
    first = next(exchange)
    response: bytes | None = None if first is None else SecretBytes(first)
    del first
    if response is None:
        reply = yield from _ask(session, exchange, commands.auth(chosen.name), False)
        responses = 0
    else:
        responses = 1
        at_once = commands.auth(chosen.name, response)
        if initial or (initial is None and chosen.initial and len(at_once.line) <= _LINE):
            reply = yield from _ask(session, exchange, at_once, responses > harmless)
        else:
            # The reply only invites the response, whatever its text (Q24).
            yield from _ask(session, exchange, commands.auth(chosen.name), False)
            reply = yield from _ask(session, exchange, commands.respond(response), responses > harmless)
    for _ in range(session.limits.sasl_rounds):
        try:
            response = _next_response(chosen, exchange, reply, responses > 0)
        except MailboxError:
            if not reply.final:
                yield from _cancel()
            raise
        if response is None:
            return
        responses += 1
        reply = yield from _ask(session, exchange, commands.respond(response), responses > harmless)
    if not reply.final or _next_response(chosen, exchange, reply, responses > 0) is not None:
        if not reply.final:
            yield from _cancel()
        raise LimitExceeded(
            "the server sent more challenges than Limits.sasl_rounds allows; raise that limit if this server can be"
            " trusted",
            field="sasl_rounds",
        )


def _next_response(chosen: Mechanism, exchange: Exchange, reply: Challenge, begun: bool) -> bytes | None:
    """Return the mechanism's response, or None once it accepts the server's +OK."""
    if reply.data is None and not reply.final:
        raise ProtocolError(f"the server's challenge for {chosen.name} is not valid base64 (RFC 5034 §4)")
    # "+OK" instead of "+" before the first response is a challenge (Q24).
    given = None if reply.final and begun else reply.data or b""
    try:
        return SecretBytes(exchange.send(given) or b"")
    except StopIteration:
        pass
    if not reply.final:
        raise ProtocolError(f"the server sent another challenge, but {chosen.name} has no more responses")
    return None


def _cancel() -> Flow[None]:
    with suppress(MailboxError):  # the reply is -ERR; the first error is the one to report
        yield from ask(commands.respond(None))


def _harmless_responses(name: str) -> float:
    """Return how many of a mechanism's first responses a server cannot judge: they hold no secret and no proof."""
    if name in ("ANONYMOUS", "EXTERNAL"):
        return math.inf
    return 1 if name == "LOGIN" or name.startswith("SCRAM-") else 0  # the user name


def _ask(session: Session, exchange: Exchange, command: Command[Challenge], secret: bool) -> Flow[Challenge]:
    """Send a command, and let the mechanism explain a refusal; `secret` marks a command that a server can judge."""
    try:
        return (yield from (_send_secret(session, command) if secret else ask(command)))
    except CommandError as refused:
        with suppress(StopIteration):
            exchange.throw(refused)
        raise


# --- the choice -----------------------------------------------------------------------------------------------


def login(session: Session, user: str | None, password: AsyncPassword | None, auth: Auth = None) -> Flow[None]:
    """Log in by `auth`, or by the strongest login that the server advertises for the credential.

    `auth` is a mechanism, its name (also `APOP` and `USER`), or `OAuth2`. A callable password or token is called once,
    a reference is read once.
    If the server refuses one form of AUTH or hangs up on it, the other form is tried, once, on a fresh connection, and
    only if no secret was sent. Once one was sent, `ConnectionLost` may be the server's verdict, so its `retryable` is
    False.
    Raises `AuthenticationError`, `MailboxLocked`, `LoginDelay`, `TemporaryFailure`, `PermanentFailure` or
    `NotSupported`; `ValueError` if a credential is missing or contains control characters.
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
        if names[0].startswith("SCRAM"):
            from pymailbox.pop3 import scram

            if not scram.allows(user or "", given or ""):  # an emoji needs another login, if one is offered
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
    """Return the names of the logins that the server offers, with or without a password, strongest first.

    Raises `NotSupported`, with the reason, if none can be used, and ValueError if a password is needed.
    """
    offered = capabilities.sasl
    if not password:
        if "EXTERNAL" in offered and session.secure:
            return ["EXTERNAL"]
        raise ValueError("a password is needed; pass password=, or auth= for another way to log in")
    strong = [name + "-PLUS" for name in _SCRAM] if _bindable(session) else []
    strong = [name for name in (*strong, *_SCRAM) if name in offered]
    if strong:
        from pymailbox.pop3 import scram

        strong = strong if scram.available() else []
    # The list of a server that advertises neither SASL nor USER is incomplete (Q13): USER is tried.
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
            f"the server offers no password login that pymailbox supports; it advertises {', '.join(offered)}"
            + (" (for OAuth2, pass auth=OAuth2(token))" if {"XOAUTH2", "OAUTHBEARER"} & set(offered) else "")
        )
    return names


def _bindable(session: Session) -> bool:
    if session.tls is None:
        return False
    from pymailbox.pop3.tls import unique_binding

    # The hash of a certificate binds to a server, not to a channel: dovecot and cyrus refuse it.
    return unique_binding(session.tls) is not None


def named(name: str, user: str | None, password: str | bytes | None) -> Mechanism:
    """Return the mechanism of that name; ValueError if a user or password that it needs is missing."""
    from pymailbox.pop3.sasl import mechanism  # USER and APOP need none

    _require(name.upper(), user, password)
    return mechanism(name, user or "", password or "")


def _method(name: str, user: str | None, password: str | bytes | None) -> Any:
    """Return a method for `_attempt`: a mechanism, or (verb, user, password)."""
    name = name.upper()
    if name in ("APOP", "USER"):
        _require(name, user, password)
        return name, user, password
    return named(name, user, password)


def _require(name: str, user: str | None, password: str | bytes | None) -> None:
    if not needs_user(name):
        return
    if not user:
        raise ValueError(f"{name} needs a user name")
    if password is None:
        raise ValueError(f"{name} needs a password (or a token)")


def _bearer(capabilities: Capabilities, user: str | None, token: str | None) -> Mechanism:
    from pymailbox.pop3.sasl import OAuthBearer, XOAuth2

    if not user or token is None:
        raise ValueError("OAuth2 needs a user name and a token")
    offered = capabilities.sasl
    if "OAUTHBEARER" in offered:
        return OAuthBearer(user, token)
    if offered and "XOAUTH2" not in offered:
        raise NotSupported(
            f"the server advertises no login for OAuth2 tokens, only {', '.join(offered)}"
            " (pass auth='XOAUTH2' with the token as password to try anyway)"
        )
    return XOAuth2(user, token)


def _resolve_credential(session: Session, user: str | None, value: Any, what: str) -> Flow[Any]:
    """Return a credential, reading or calling it if needed; from here on the session redacts it as a secret."""
    if isinstance(value, PasswordReference):
        value = secret((yield from callback(value.reader(session.host, user), in_thread=True)))
    elif callable(value):
        value = secret((yield from callback(value)))
    if hasattr(value, "close") and hasattr(value, "__await__"):
        value.close()
        raise coroutine_refused(what)
    if value is None:
        return None
    if not isinstance(value, str) and not (isinstance(value, bytes) and what == "password"):
        kinds = "a str or bytes" if what == "password" else "a str"
        raise TypeError(f"the {what} must be {kinds}, not {type_name(value)}")
    session.secrets.add(value)
    return secret(value)


def _attempt(session: Session, method: Any) -> Flow[None]:
    if isinstance(method, tuple):
        verb, user, password = method
        if verb == "APOP":
            yield from apop(session, user, password)
        else:
            _refuse_plaintext(session)
            commands.pass_(password)  # raises for an unusable password before USER is sent
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
    """Whether the server refused a login because it does not support it, not because of the credentials."""
    response = error.response or ""
    if error.code is not None:
        return False
    if isinstance(method, tuple):
        return error.command != "PASS ***" and bool(re.search(_NO_COMMAND, response))
    if may_have_judged(response) or not _failed_at_auth_line(error):
        return False
    listed = session.capabilities.sasl if session.capabilities is not None else ()
    return bool(re.search(_UNKNOWN, response)) or not (session.secret_sent or method.name.upper() in listed)


def _no_such_method(method: Any, methods: list[Any], error: AuthenticationError) -> NotSupported:
    others = f"; auth={_name(methods[0])!r} may work" if methods else ""
    return NotSupported(
        f"the server does not support the login {safe_text(_name(method))}{others}",
        command=error.command,
        response=error.response,
    )


def _failed_at_auth_line(error: MailboxError) -> bool:
    """Whether the AUTH line itself failed."""
    return (error.command or "").startswith("AUTH")


def _alternative_form(session: Session, method: Mechanism, error: MailboxError) -> bool | None:
    """Return the form of AUTH to try instead, or None if the credentials may already have been judged."""
    if session.secret_sent or method.initial is None or not session.may_reconnect or not _failed_at_auth_line(error):
        return None
    response = error.response or ""
    if error.code is not None or (re.search(_UNKNOWN, response) and not may_have_judged(response)):
        return None
    if error.command == f"AUTH {method.name}":  # this was the two-step form
        return True
    return None if may_have_judged(response) else False


def _advise(error: AuthenticationError, method: Any) -> None:
    """Add another likely cause: a proof that the server cannot check for some accounts, or the form of the line."""
    name = _name(method)
    if name.startswith(("SCRAM", "CRAM")):
        error.problem += f' (tried {name}, the strongest login offered; auth="PLAIN" sends the password itself)'
    elif error.code is None and _failed_at_auth_line(error) and re.search(_FORM, error.response or ""):
        kind = type(method).__name__
        error.problem += (
            f"; the server may expect the secret on a separate line: pass auth=sasl.{kind}(user, ..., initial=False)"
        )
    error.args = (error.problem,)


# --- shared by all --------------------------------------------------------------------------------------------


def _plaintext_allowed(session: Session) -> bool:
    return session.secure or session.loopback or session.allow_plaintext


def _refuse_plaintext(session: Session) -> None:
    if not _plaintext_allowed(session):
        raise NotSupported(
            f"a password would be sent to {session.host} unencrypted;"
            ' use security="tls" or "starttls", or pass allow_plaintext=True'
        )


def _forget(error: MailboxError) -> None:
    """Clear the variables in an error's frames: a server's reply to a login may echo a secret."""
    from traceback import clear_frames

    for one in (error, error.__cause__):
        if one is not None:
            clear_frames(one.__traceback__)


def _forget_capabilities(session: Session) -> None:
    session.capabilities = None  # to be asked for again: they change at login (Q13); `pipelining` stays until then
