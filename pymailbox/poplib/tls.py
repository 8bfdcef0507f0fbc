"""The TLS context that `pymailbox.poplib` uses if a program passes none.

In that case the standard library verifies nothing. This module does the same, with one warning per process, until the
program calls `verify_by_default()`. Everything else in pymailbox always verifies certificates.
"""

import ssl
import warnings

__all__ = ["UnverifiedTLSWarning", "default_context", "verify_by_default"]


class UnverifiedTLSWarning(UserWarning):
    """A warning that no certificate is verified, because no context was passed (as in the standard library)."""


_verify = False
_warned = False


def verify_by_default() -> None:
    """Verify certificate and host name from now on, in the whole program, whenever no context is passed."""
    global _verify
    _verify = True


def default_context(certfile: str | None = None, keyfile: str | None = None) -> ssl.SSLContext:
    """Return the context to use if the program passed none; warn once if it verifies nothing."""
    if _verify:
        from pymailbox.pop3.tls import verified

        context: ssl.SSLContext = verified()
        if certfile is not None:
            context.load_cert_chain(certfile, keyfile)
        return context
    # Look it up by this name, because some programs replace it to verify certificates.
    context = vars(ssl)["_create_stdlib_context"](certfile=certfile, keyfile=keyfile)
    if context.verify_mode is ssl.CERT_NONE:
        _warn()
    return context


def _warn() -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "poplib does not verify certificates without a context, so the password can be intercepted; pass"
            " context=ssl.create_default_context(), or call pymailbox.poplib.verify_by_default() once",
            UnverifiedTLSWarning,
            stacklevel=4,
        )
