"""The names that read a message are defined once, and are the same for asyncio."""

from typing import Any, get_type_hints

import pytest

from pymailbox import Address, AsyncMessage, Attachment, Content, Headers, Message
from pymailbox.content.reading_names import ContentNames, HeaderNames

#: Names that the modules import only for typing.
NAMES = {"Address": Address, "Attachment": Attachment}
for module, name in (("datetime", "datetime"), ("email.message", "EmailMessage")):
    NAMES[name] = getattr(__import__(module, fromlist=[name]), name)

HEADER = {"subject", "from_", "sender", "to", "cc", "bcc", "reply_to", "date", "date_str", "received", "message_id"}
HEADER |= {"in_reply_to", "references"}
WHOLE = {"body", "text", "html", "links", "attachments", "email"}


def public(kind: type) -> set[str]:
    """Return the public names that a class defines itself."""
    return {name for name in vars(kind) if not name.startswith("_")}


def test_reading_names_are_defined_once() -> None:
    """No class that inherits the names defines one again."""
    assert public(HeaderNames) == HEADER
    assert public(ContentNames) == WHOLE
    for kind, names in ((Headers, HEADER), (Content, HEADER | WHOLE), (Message, HEADER | WHOLE)):
        assert not public(kind) & names, kind
        assert all(isinstance(getattr(kind, name), property) for name in names)


@pytest.mark.parametrize("name", sorted(HEADER | WHOLE))
def test_the_same_for_asyncio(name: str) -> None:
    """A coroutine has the docstring and the type of the property."""
    one: Any = getattr(Message, name)
    other: Any = getattr(AsyncMessage, name)
    assert other.__doc__ == one.__doc__
    hints = get_type_hints(one.fget, localns=NAMES)
    if name == "attachments":  # a type variable, because reading_names cannot import Attachment
        hints["return"] = hints["return"][Attachment]
    assert get_type_hints(other, localns=NAMES) == hints
