"""Advice: what the user of an account should know or do, in sentences, from what was found. Pure."""

import ipaddress
from collections.abc import Iterator

from pymailbox.account import Account
from pymailbox.diagnosis.report import Diagnosis
from pymailbox.pop3 import scram

__all__ = ["advise"]

_SOON = 14  # days; who renews by machine does so earlier
_MANY = 1000  # messages in an example
_AT_HAND = {"APOP", "CRAM-MD5", "LOGIN", "PLAIN", "USER"}


def advise(report: Diagnosis, account: Account) -> Iterator[str]:
    """Yield advice, most serious first."""
    yield from _about_the_port(report, account)
    yield from _about_tls(report, account)
    yield from _about_the_login(report)
    yield from _about_uids(report)
    yield from _about_keeping(report)
    yield from _about_speed(report)


def _about_the_port(report: Diagnosis, account: Account) -> Iterator[str]:
    """Say which URL would do, where this one is for another kind of port."""
    where = f"{account.host}:{account.port}"
    if account.security == "tls" and report.encryption is None and report.greeting is not None:
        told = report.capabilities_before_tls
        if told is not None and "STLS" in told:
            yield f"This port begins without TLS and offers STLS: use pop+starttls://{where}."
        else:
            yield "This port speaks POP3 without TLS and offers none: try another port (pops:// is usually on 995)."
    if account.security != "tls" and report.encryption is not None and report.greeting is None:
        yield f"This port speaks TLS from the first octet: use pops://{where}."
    elif account.security == "starttls" and account.port == 995 and not report.opened:
        yield "Port 995 usually speaks TLS from the first octet: try pops://."
    elif account.security == "tls" and account.port == 110 and not report.opened:
        yield "Port 110 usually begins without TLS: try pop+starttls://."


def _about_tls(report: Diagnosis, account: Account) -> Iterator[str]:
    if account.security == "none" and report.greeting is not None:
        told = report.capabilities_before_tls
        here = " (here it does not leave this machine)" if _is_loopback(account.host) else ""
        if told is not None and "STLS" in told:
            yield (
                "Password and mail travel in clear text, and the server offers STLS: use"
                f" pop+starttls://{account.host}:{account.port}{here}."
            )
        else:
            yield f"Password and mail travel in clear text{here}; pops:// on port 995 is the usual way to protect them."
    if report.encryption is None or report.encryption.certificate is None:
        return
    certificate, left = report.encryption.certificate, report.encryption.certificate.days_left
    if left is not None and left < 0:
        yield "The certificate has expired: its operator must renew it (or the clock of this machine is wrong)."
    elif left is not None and left < _SOON:
        yield f"The certificate expires in {left} days: its operator should renew it."
    as_asked = account.security == ("tls" if report.greeting is None else "starttls")
    if not report.encryption.trusted and as_asked:
        yield (
            "If you know that this is the right server, trust its certificate by its fingerprint:"
            f" tls.pinned(fingerprint) with {certificate.fingerprint}."
        )


def _about_the_login(report: Diagnosis) -> Iterator[str]:
    strong = [name for name in report.mechanisms if name.startswith("SCRAM-")]
    if strong and not scram.available():
        yield f"The server offers {strong[0]}, which does not show it the password: pip install 'pymailbox[scram]'."
    told = report.capabilities()
    if told.login_delay:
        yield f"The server wants {told.login_delay} seconds between two logins: poll no more often."
    if not report.opened and report.mechanisms and not _AT_HAND & set(report.mechanisms) and not strong:
        yield f"The server takes no passwords, only {', '.join(report.mechanisms)}: see OAuth2 and sasl."


def _about_uids(report: Diagnosis) -> Iterator[str]:
    uidl = report.probes.get("UIDL")
    if uidl is not None and uidl.works is False:
        yield "Without UIDL mail cannot be told apart across sessions: delete what was fetched, or compare contents."
    if "NEW_UIDS_EACH_SESSION" in report.quirks:
        yield "The uids do not last: what is kept by uid would be fetched again each time. Compare contents instead."
    if "BLANK_UID" in report.quirks:
        yield "Messages with a blank uid count as new in every session."
    if "DUPLICATE_UIDS" in report.quirks:
        yield "Never delete by uid alone: several messages have the same one (identical mails may, RFC 1939 §7)."


def _about_keeping(report: Diagnosis) -> Iterator[str]:
    expire = report.capabilities().expire
    if may_expire(report):
        yield (
            "EXPIRE 0: the server may delete whatever was read once QUIT is said. Store each message before the"
            " session ends. No message was read for this report."
        )
    elif expire is not None:
        yield f"The server keeps mail for {expire} days only: fetch it before."
    if (report.greeting or "").startswith("Gpop ready"):
        yield (
            "Gmail hides what was read by POP once QUIT is said, shows some hundred messages a session, and has"
            ' settings of its own for what DELE does; the user "recent:me@gmail.com" shows the last 30 days again.'
        )


def may_expire(report: Diagnosis) -> bool:
    """Whether the server said at any time that RETR may delete (RFC 2449 §6.7)."""
    stages = (report.capabilities_before_tls, report.capabilities_after_tls, report.capabilities_after_login)
    return any(told is not None and told.expire == 0 for told in stages)


def _about_speed(report: Diagnosis) -> Iterator[str]:
    if "HANGS_ON_CAPA" in report.quirks or "CLOSES_ON_CAPA" in report.quirks:
        yield "CAPA ends the session: open the mailbox with capa=False."
    top, piped = report.probes.get("TOP"), report.probes.get("PIPELINING")
    if top is not None and top.works is False:
        yield "Without TOP a list of subjects downloads every message."
    if piped is None or report.round_trip is None:
        return
    if piped.works is False:
        yield "PIPELINING does not work: open the mailbox with pipelining=False, which spares it the attempt."
    if not piped.works:
        seconds = _MANY * report.round_trip
        example = f": the headers of {_MANY:,} messages take {seconds:,.0f} seconds or more" if seconds >= 1 else ""
        yield f"Without pipelining each message costs a round trip{example}."


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
