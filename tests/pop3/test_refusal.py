"""The class of a refusal follows its response code, then its words, then the purpose of the refused command."""

import pytest

from pymailbox.errors import (
    AuthenticationError,
    CommandError,
    LoginDelay,
    MailboxLocked,
    MessageUnavailable,
    PermanentFailure,
    TemporaryFailure,
)
from pymailbox.pop3.refusal import is_unknown_command, refusal, response_code


def refused(text: str, command: str = "PASS ***", default: type[CommandError] = AuthenticationError) -> CommandError:
    """Return the error for a refusal."""
    return refusal(text, command=command, default=default, problem="the command was refused")


def test_a_response_code_is_at_the_start_in_brackets() -> None:
    """RFC 2449 §8: nowhere else; it is returned in upper case."""
    for text, code in (
        ("[IN-USE] do you have another session?", "IN-USE"),
        ("[sys/temp] later", "SYS/TEMP"),
        ("[AUTH]", "AUTH"),
        ("[LOGIN-DELAY 300] slowly", "LOGIN-DELAY"),
        ("no code [AUTH] here", None),
        ("[]", None),
        ("[unended", None),
        ("", None),
    ):
        assert response_code(text) == code, text


@pytest.mark.threat(82)
def test_known_codes_decide() -> None:
    """RFC 2449 §8 and RFC 3206: codes are hierarchical; an unknown one decides nothing."""
    for text, kind, retryable in (
        ("[AUTH] wrong", AuthenticationError, False),
        ("[IN-USE] locked", MailboxLocked, True),
        ("[LOGIN-DELAY] minimum time between mail checks violation", LoginDelay, True),
        ("[SYS/TEMP] Temporary authentication failure", TemporaryFailure, True),
        ("[SYS/TEMP/DISK] full", TemporaryFailure, True),
        ("[SYS/PERM] your mailbox is gone", PermanentFailure, False),
        ("[X-OWN] whatever", AuthenticationError, False),
    ):
        error = refused(text)
        assert (type(error), error.retryable, error.usable) == (kind, retryable, True), text


def test_words_decide_without_codes() -> None:
    """Q27-Q29: the same meaning in prose is the same error."""
    for text, kind in (
        ("maildrop already locked", MailboxLocked),
        ("mailbox in use", MailboxLocked),
        ("Unable to lock maildrop: is another session active?", MailboxLocked),
        ("There is another POP session", MailboxLocked),
        ("can't get LOCK on mailbox", MailboxLocked),
        ("login allowed only every 15 minutes", LoginDelay),
        ("Exceeded the login limit for a 15 minute period. Reduce the frequency of requests", LoginDelay),
        ("too many logins", LoginDelay),
        ("authentication server unreachable", TemporaryFailure),
        ("LDAP lookup failed, please retry", TemporaryFailure),
        ("backend timeout while checking credentials", TemporaryFailure),
        ("mysql server has gone away", TemporaryFailure),
        ("upstream connect error", TemporaryFailure),
        ("cluster failover in progress", TemporaryFailure),
        ("This account is being migrated", TemporaryFailure),
        ("greylisted; come back in 300 seconds", TemporaryFailure),
        ("invalid credentials, ldap error 49", AuthenticationError),
        ("login delay 30 seconds", LoginDelay),
        ("minimum interval between logins is 10 minutes", LoginDelay),
        ("You can log in only every 2 minutes", LoginDelay),
        ("Mailbox busy", MailboxLocked),
        ("Service unavailable", TemporaryFailure),
        ("Internal server error", TemporaryFailure),
        ("Too many simultaneous connections", TemporaryFailure),
        ("Maximum number of connections from user+IP exceeded", TemporaryFailure),
        ("Please try again in 5 minutes", TemporaryFailure),
        ("Temporary authentication failure", TemporaryFailure),
        ("Server busy, try again later", TemporaryFailure),
        ("please wait", TemporaryFailure),
        ("Too many connections", TemporaryFailure),
        ("POP access is disabled", PermanentFailure),
        ("Your account is not enabled for POP access", PermanentFailure),
        ("Authentication failed.", AuthenticationError),
        ("authorization failed", AuthenticationError),
        ("", AuthenticationError),
    ):
        assert type(refused(text)) is kind, text


@pytest.mark.threat(37)
def test_a_wrong_password_is_never_retryable() -> None:
    """Mistaken for a lock or a fault of the server, it would be tried until the account is locked."""
    for text in (
        "Password incorrect, please wait before you try again later",
        "invalid login; your account is locked",
        "You are locked out after too many wrong passwords",
        "Authentication failure, server busy",
        "Invalid password. Your account is temporarily disabled",
        "Your account has been temporarily locked",
        "Too many failed login attempts, try again later",
        "unknown user lock@example.com",
        "Please check your user name and try again",
        "Logon failure: unknown user name or bad password.",
        "login failure or POP3 disabled, try later",
        "Your IP address has been blocked due to too many failed login attempts",
        "Maximum number of failed attempts exceeded",
        "[AUTH] Too many login attempts",
        "[AUTH] Too many failed login attempts, rate limit exceeded",
        "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited",
        "Login failed: server error",
        "ERR.LOGIN.PASSERR",
    ):
        error = refused(text)
        assert type(error) is AuthenticationError, text
        assert not error.retryable, text


def test_limits_and_throttling_are_temporary() -> None:
    """They are not about the password, even after [AUTH]: `TemporaryFailure`, or `LoginDelay` for limits on logins."""
    for text in (
        "Account exceeded pop command or bandwidth limits (Failure)",
        "Account exceeded command or bandwidth limits.",
        "Rate limit exceeded",
        "request was throttled",
        "Throttling: slow down",
        "Too many simultaneous connections",
        "Too many concurrent POP sessions",
        "Too many requests from your IP",
        "Your IP has been blocked due to too many connections",
        "connection limit reached",
        "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        "maximum sessions reached",
        "You have exceeded the download quota",
        "daily limit exceeded",
        "authentication rate limit exceeded",
    ):
        for prefix in ("", "[AUTH] ", "[SYS/TEMP] "):
            error = refused(prefix + text)
            assert (type(error), error.retryable) == (TemporaryFailure, True), prefix + text
    for text in ("Exceeded the login limit", "login rate too often", "Login frequency limited", "too frequent logins"):
        assert type(refused(text)) is LoginDelay, text
        assert type(refused(f"[AUTH] {text}")) is TemporaryFailure, text


def test_server_faults_are_not_bad_credentials() -> None:
    """They can occur after the password was accepted; some are temporary, some need the server's operator."""
    for text in (
        "unable to scan $HOME/Maildir",
        "unable to open mailbox",
        "can't open mailbox: I/O error",
        "aack, child crashed",
        "out of memory",
        "unable to fork",
        "Server error",
        "System error, can't open temporary file",
        "Server Unavailable. 21",
        "Internal authentication failure. Refer to server log",
        "Authentication service unavailable",
        "Authentication server not responding",
        "Auth process not responding",
        "Unable to contact the password server",
        "user database error",
        "could not connect to LDAP server",
        "Connection to backend timed out",
        "no space left on device",
        "Oops, unexpected error",
        "try later",
    ):
        error = refused(text)
        assert (type(error), error.retryable) == (TemporaryFailure, True), text
    for text in ("this user has no $HOME/Maildir", "user has no mail directory", "mailbox is corrupted"):
        error = refused(text)
        assert (type(error), error.retryable) == (PermanentFailure, False), text


@pytest.mark.threat(82)
def test_the_code_wins_over_the_words() -> None:
    """The code alone decides the class; the words may add advice that fits it."""
    texts = (
        "login failure or POP3 disabled, try later",
        "Application-specific password required",
        "Web login required",
        "Password expired",
        "mailbox is locked",
        "Server error, try again later",
        "incorrect password, too many connections",
        "Too many failed login attempts, rate limit exceeded",
    )
    codes: dict[str, type[CommandError]] = {
        "AUTH": AuthenticationError,
        "SYS/PERM": PermanentFailure,
        "SYS/TEMP": TemporaryFailure,
        "IN-USE": MailboxLocked,
        "LOGIN-DELAY": LoginDelay,
    }
    for code, kind in codes.items():
        for text in texts:
            assert type(refused(f"[{code}] {text}")) is kind, (code, text)
    assert "app password" in refused("[AUTH] Application-specific password required").problem
    assert "again later" in refused("[SYS/TEMP] Application-specific password required").problem
    for word in ("user name and password", "POP3 is disabled"):
        assert word in refused("[AUTH] login failure or POP3 disabled, try later").problem


#: Real replies of providers and servers to a login.
SAID: dict[type[CommandError], tuple[str, ...]] = {
    TemporaryFailure: (
        "[AUTH] Account exceeded pop command or bandwidth limits (Failure)",
        "[SYS/TEMP] Temporary system problem. Please try again later.",
        "Server Unavailable. 21",
        "[SYS/TEMP] Too many connections",
        "Too many connections from your IP (rate controlled).",
        "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        "[SYS/TEMP] Temporary authentication failure. [mx1:2026-01-01 00:00:00]",
        "Temporary authentication failure.",
        "Mail server is shutting down",
        "unable to scan $HOME/Maildir",
        "Internal server error",
        "[SYS/TEMP] Server error - Please try again later.",
    ),
    AuthenticationError: (
        "[AUTH] login failure or POP3 disabled, try later. sc=HtjJitcPRuQ1",
        "[AUTH] Username and password not accepted.",
        "[AUTH] Application-specific password required: https://support.google.com/accounts/answer/185833",
        "[AUTH] Web login required: https://support.google.com/mail/answer/78754",
        "Logon failure: unknown user name or bad password.",
        "Authentication failure: unknown user name or bad password.",
        "authentication failed",
        "[AUTH] Authentication failed.",
        "[AUTH] Password expired",
        "[AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
        "invalid login or password",
        "sorry, no mailbox for you here",
        "Your IP address has been blocked due to too many failed login attempts",
        "ERR.LOGIN.PASSERR",
        "Login fail. Please using weaker token to login. More information at http://service.mail.qq.com",
        "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or system is busy. More information at https://help.mail.qq.com/detail/108/1023",
        "NEOBHODIM parol prilozheniya https://help.mail.ru/mail/security/protection/external / Application password is REQUIRED",
        "[AUTH] (#MBR1212) Incorrect username or password.",
    ),
    PermanentFailure: (
        "[SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and enable your account for POP access.",
        "this user has no $HOME/Maildir",
        "[SYS/PERM] POP access is disabled for this account",
    ),
    LoginDelay: (
        "Exceeded the login limit for a 15 minute period. Reduce the frequency of requests to the POP3 server.",
        "[LOGIN-DELAY] minimum time between mail checks violation",
        "[LOGIN-DELAY] Minimum time between logins not met",
    ),
    MailboxLocked: (
        "[IN-USE] mailbox already in use by pid 12345",
        "[IN-USE] Unable to lock maildrop: Mailbox is locked by POP server",
        "maildrop already locked",
        "Can't get lock. Mailbox in use",
        "unable to lock maildrop",
    ),
}


@pytest.mark.threat(82)
def test_real_refusals_are_read_as_they_are_meant() -> None:
    """This holds for every command of a login."""
    for kind, texts in SAID.items():
        for text in texts:
            for command in ("PASS ***", "AUTH PLAIN ***", "SASL response ***", "APOP ***"):
                assert type(refused(text, command)) is kind, (text, command)


def test_retry_after_is_read_from_the_words() -> None:
    """A time span in a temporary refusal becomes `retry_after`, in seconds."""
    for text, seconds in (
        ("login allowed only every 15 minutes", 900.0),
        ("[LOGIN-DELAY] try again in 60 seconds", 60.0),
        ("[SYS/TEMP] back in 2 hours", 7200.0),
        ("[LOGIN-DELAY] wait 300s", 300.0),
        ("[LOGIN-DELAY] later", None),
        ("[AUTH] wrong, wait 60 seconds", None),
    ):
        assert refused(text).retry_after == seconds, text


def test_a_refused_message_is_not_a_locked_mailbox() -> None:
    """Words about locks count for logins, greetings and STAT; a refused RETR is MessageUnavailable."""
    error = refused("message is locked", "RETR 3", MessageUnavailable)
    assert type(error) is MessageUnavailable
    assert type(refused("mailbox locked", "STAT", CommandError)) is MailboxLocked
    assert type(refused("login allowed only every 15 minutes", "STAT", CommandError)) is LoginDelay
    assert type(refused("Exceeded the login limit", "RETR 3", MessageUnavailable)) is LoginDelay


def test_words_after_the_login_are_about_the_server_or_the_message() -> None:
    """Temporary failures are about the server and retryable; the rest is about the message and final."""
    for text, kind in (
        ("Server Unavailable. 21", TemporaryFailure),
        ("Can't get the letter xtb[301], try again later", TemporaryFailure),
        ("Account exceeded command or bandwidth limits", TemporaryFailure),
        ("request rate limit", TemporaryFailure),
        ("Too many requests", TemporaryFailure),
        ("mailbox is locked by another session", TemporaryFailure),
        ("Internal server error", TemporaryFailure),
        ("throttled", TemporaryFailure),
        ("limit exceeded", TemporaryFailure),
        ("daily quota reached", TemporaryFailure),
        ("backend failure", TemporaryFailure),
        ("Operation timed out", TemporaryFailure),
        ("please wait and retry", TemporaryFailure),
        ("[IN-USE] locked", MailboxLocked),
        ("message not available", MessageUnavailable),
        ("message unavailable", MessageUnavailable),
        ("message size exceeds the limit", MessageUnavailable),
        ("size limit exceeded", MessageUnavailable),
        ("no such message, try again", MessageUnavailable),
        ("message 3 was deleted by another session", MessageUnavailable),
        ("", MessageUnavailable),
    ):
        error = refused(text, "RETR 3", MessageUnavailable)
        assert type(error) is kind, text
        assert error.retryable is (kind is not MessageUnavailable), text


def test_an_unknown_command_is_recognized_by_its_words() -> None:
    """Only these words turn an advertised command into a missing one."""
    for text, missing in (
        ("unknown command", True),
        ("Unrecognised command", True),
        ("command not implemented", True),
        ("UIDL is not supported", True),
        ("TOP command disabled", True),
        ("unique-ids are not available", True),
        ("Unable to process command", False),
        ("unavailable", False),
        ("refused", False),
        ("", False),
    ):
        assert is_unknown_command(text) is missing, text


def test_common_causes_get_advice() -> None:
    """The providers' words for "create an app password", "use OAuth2" and "enable POP" become advice."""
    for text, advice in (
        ("[AUTH] Application-specific password required: https://support.google.com/x", "app password"),
        ("AuthFailed:LogonDenied-BasicAuthBlocked", "OAuth2"),
        ("[SYS/PERM] POP access is disabled for your domain", "enable it"),
    ):
        assert advice in str(refused(text)), text
