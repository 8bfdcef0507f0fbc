"""Turn findings into advice: sentences on what the user of an account should know or do. Pure."""

import ipaddress
from collections.abc import Iterator
from contextlib import suppress

from pymailbox.account import Account
from pymailbox.diagnosis.report import Diagnosis
from pymailbox.pop3 import scram

__all__ = ["advise"]

_SOON = 14  # days; automatic renewal happens earlier
_MANY = 1000  # messages in an example
_PASSWORD_LOGINS = {"APOP", "CRAM-MD5", "LOGIN", "PLAIN", "USER"}


def advise(report: Diagnosis, account: Account) -> Iterator[str]:
    """Yield advice, most serious first."""
    yield from _about_the_port(report, account)
    yield from _about_tls(report, account)
    yield from _about_the_login(report)
    yield from _about_uids(report)
    yield from _about_keeping(report)
    yield from _about_speed(report)


def _about_the_port(report: Diagnosis, account: Account) -> Iterator[str]:
    """Suggest another URL if this one does not fit the port."""
    where = f"{account.host}:{account.port}"
    capabilities = report.capabilities_before_tls
    if report.failed == "TLS" and account.security == "tls" and report.greeting is not None:
        if capabilities is None:
            yield f"This port uses POP3 without TLS; try pop+starttls://{where}."
        elif "STLS" in capabilities:
            yield f"This port starts without TLS and supports STLS; use pop+starttls://{where}."
        else:
            yield "This port does not support TLS at all; try another port (pops:// is usually on 995)."
    elif report.failed == "greeting" and report.encryption is not None:
        yield f"This port uses TLS from the first byte; use pops://{where}."
    elif report.failed == "STLS" and capabilities is not None and "STLS" not in capabilities:
        yield "This port does not support STLS; try pops://, which is usually on port 995."
    elif report.failed == "connection" and account.port not in (110, 995):
        yield "POP3 is usually on port 995 (pops://) or 110 (pop+starttls://)."


def _about_tls(report: Diagnosis, account: Account) -> Iterator[str]:
    capabilities, encryption = report.capabilities_before_tls, report.encryption
    if account.security == "none" and report.greeting is not None:
        here = " (but do not leave this machine)" if _is_loopback(account.host) else ""
        if capabilities is not None and "STLS" in capabilities:
            yield (
                f"Password and mail travel unencrypted{here}, although the server supports STLS; use"
                f" pop+starttls://{account.host}:{account.port}."
            )
        else:
            yield f"Password and mail travel unencrypted{here}; the usual protection is pops:// on port 995."
    if encryption is None or encryption.certificate is None:
        return
    certificate, left = encryption.certificate, encryption.certificate.days_left
    if encryption.trusted:
        if left is not None and left < 0:
            yield "The certificate has expired; its operator must renew it (unless the clock of this machine is wrong)."
        elif left is not None and left < _SOON:
            when = f"in {left} days" if left > 1 else "in less than two days"
            yield f"The certificate expires {when}; its operator should renew it."
    elif report.failed == "TLS":
        if certificate.names and not any(_is_for(name, account.host) for name in certificate.names):
            yield (
                f"The certificate is for {', '.join(certificate.names[:5])}; if that is your provider, use one of these"
                f" names instead of {account.host}."
            )
        yield (
            "If you are sure that this is the right server, trust its certificate by its fingerprint:"
            f" tls.pinned(fingerprint) with {certificate.fingerprint}."
        )


def _is_for(name: str, host: str) -> bool:
    """Whether a name in a certificate matches the host (RFC 9525 §6.3)."""
    with suppress(ValueError):
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    name, host = name.lower(), host.lower().rstrip(".")
    return name == host or (name.startswith("*.") and name[1:] == host[host.find(".") :])


def _about_the_login(report: Diagnosis) -> Iterator[str]:
    strong = [name for name in report.mechanisms if name.startswith("SCRAM-")]
    if strong and not scram.available():
        yield (
            f"The server supports {strong[0]}, which never reveals the password; to use it, run"
            " pip install 'pymailbox[scram]'."
        )
    capabilities = report.capabilities()
    if capabilities.login_delay:
        yield f"The server requires {capabilities.login_delay} seconds between logins; do not poll more often."
    if not report.opened and report.mechanisms and not _PASSWORD_LOGINS & set(report.mechanisms) and not strong:
        yield f"The server does not accept passwords, only {', '.join(report.mechanisms)}; see OAuth2 and sasl."


def _about_uids(report: Diagnosis) -> Iterator[str]:
    uidl = report.probes.get("UIDL")
    if uidl is not None and uidl.works is False:
        yield (
            "Without UIDL, messages cannot be recognized in a later session; delete what you have fetched, or compare"
            " contents."
        )
    if "NEW_UIDS_EACH_SESSION" in report.quirks:
        yield (
            "The uids change with every session, so a program that remembers uids fetches everything again; compare"
            " contents instead."
        )
    if "BLANK_UID" in report.quirks:
        yield "Messages with a blank uid count as new in every session."
    if "DUPLICATE_UIDS" in report.quirks:
        yield (
            "Never delete by uid alone, because several messages have the same uid (identical messages may, RFC 1939"
            " §7)."
        )


def _about_keeping(report: Diagnosis) -> Iterator[str]:
    expire = report.capabilities().expire
    if may_expire(report):
        yield (
            "EXPIRE 0: the server may delete every message that was read as soon as the session ends with QUIT; save"
            " each message before that. No message was read for this report."
        )
    elif expire is not None:
        yield f"The server keeps mail for only {expire} days (EXPIRE); fetch it before then."
    if (report.greeting or "").startswith("Gpop ready"):
        yield (
            "After QUIT, Gmail hides what was read over POP; it shows a few hundred messages per session, and its POP"
            ' settings decide what DELE does. The user "recent:me@gmail.com" shows the last 30 days again.'
        )


def may_expire(report: Diagnosis) -> bool:
    """Whether the server ever advertised that RETR may delete (RFC 2449 §6.7)."""
    stages = (report.capabilities_before_tls, report.capabilities_after_tls, report.capabilities_after_login)
    return any(capabilities is not None and capabilities.expire == 0 for capabilities in stages)


def _about_speed(report: Diagnosis) -> Iterator[str]:
    if "HANGS_ON_CAPA" in report.quirks or "CLOSES_ON_CAPA" in report.quirks:
        yield "CAPA breaks the session; open the mailbox with capa=False."
    top, piped = report.probes.get("TOP"), report.probes.get("PIPELINING")
    if top is not None and top.works is False:
        yield "Without TOP, listing the subjects downloads every message."
    if piped is None or report.round_trip is None:
        return
    if piped.works is False:
        yield "PIPELINING does not work; open the mailbox with pipelining=False, so that it is not attempted."
    if not piped.works:
        seconds = _MANY * report.round_trip
        example = f"; the headers of {_MANY:,} messages take at least {seconds:,.0f} seconds" if seconds >= 1 else ""
        yield f"Without pipelining, each message costs a round trip{example}."


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
