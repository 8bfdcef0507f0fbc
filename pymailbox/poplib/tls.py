"""Trust: the TLS context of `pymailbox.poplib` where a program gives none.

The standard library's contract is that it verifies nothing. It is kept, with one warning for each process, until the
program says `verify_by_default()`. Everything else in pymailbox verifies always.
"""

import ssl
import warnings

__all__ = ["UnverifiedTLSWarning", "default_context", "verify_by_default"]


class UnverifiedTLSWarning(UserWarning):
    """TLS without a context: no certificate is verified, as with the standard library's `poplib`."""


_verify = False
_warned = False


def verify_by_default() -> None:
    """Verify certificate and host name, in this whole program and from now on, wherever no context is given."""
    global _verify
    _verify = True


def default_context(certfile: str | None = None, keyfile: str | None = None) -> ssl.SSLContext:
    """Return the context to use where the caller of the caller gave none; warns once if it verifies nothing."""
    if _verify:
        from pymailbox.pop3.tls import verified

        context: ssl.SSLContext = verified()
        if certfile is not None:
            context.load_cert_chain(certfile, keyfile)
        return context
    # By this name, because programs replace it to have certificates verified.
    context = vars(ssl)["_create_stdlib_context"](certfile=certfile, keyfile=keyfile)
    if context.verify_mode is ssl.CERT_NONE:
        _warn()
    return context


def _warn() -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "poplib verifies no certificate unless it is given a context: whoever sits between here and the server can"
            " read the password. Pass context=ssl.create_default_context(), or call"
            " pymailbox.poplib.verify_by_default() once",
            UnverifiedTLSWarning,
            stacklevel=4,
        )
