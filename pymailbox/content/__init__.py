"""Mail as a person reads it, from raw octets: headers, addresses, dates, text, attachments.

Pure and offline: nothing here knows of POP3, and nothing raises on what a mail contains, however bad. Each name
is imported when it is first used: a list of subjects loads no MIME reader.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .address import Address
    from .attachment import Attachment
    from .content import Content
    from .headers import Headers

__all__ = ["Address", "Attachment", "Content", "Headers"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{name.lower()}"), name)
    globals()[name] = value
    return value
