"""Mail as a person reads it, from raw octets: headers, addresses, dates, text, attachments.

Pure and offline: nothing here knows of POP3, and nothing raises on what a mail contains, however bad.
"""

from .address import Address
from .attachment import Attachment
from .content import Content
from .headers import Headers

__all__ = ["Address", "Attachment", "Content", "Headers"]
