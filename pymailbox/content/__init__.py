"""Mail as a person reads it, from raw bytes: headers, addresses, dates, text, attachments.

Pure and offline: nothing here knows about POP3, and nothing raises on the content of a message, however bad. Each name
is imported when it is first used: a list of subjects loads no MIME reader.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .address import Address
    from .content import Attachment, Content
    from .headers import Headers
    from .received import Hop

__all__ = ["Address", "Attachment", "Content", "Headers", "Hop"]

#: The module of each public name.
_HOMES = {"Address": "address", "Attachment": "content", "Content": "content", "Headers": "headers", "Hop": "received"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
