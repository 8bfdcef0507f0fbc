"""PasswordReference: what all references to a secret have in common; they are in `passwords`.

It is a module of its own, so that an account without a reference needs none of them.
"""

from collections.abc import Callable
from typing import cast

__all__ = ["PasswordReference"]


class PasswordReference:
    """A reference to the place where a secret is kept."""

    __slots__ = ()

    def reader(self, host: str, user: str | None) -> Callable[[], str | bytes]:  # noqa: ARG002 - the same for all
        """Return the function that reads the secret of this user at this host: itself, if it is one."""
        return cast(Callable[[], str | bytes], self)
