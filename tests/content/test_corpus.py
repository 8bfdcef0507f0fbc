"""300 real messages are read as several other parsers agree; the corpus defines how the result is scored.

The corpus is next to the repository (`../shared/corpus`) and not part of it.
"""

import hashlib
import json
import unicodedata
from collections import Counter
from datetime import UTC
from typing import Any

import pytest

from pymailbox.content import Address, Content
from tests import SHARED
from tests.content.test_mutations import NAMES

CORPUS = SHARED / "corpus"
FIELDS = [
    "subject",
    "from",
    "to",
    "cc",
    "from_addrs",
    "to_addrs",
    "cc_addrs",
    "date",
    "text",
    "has_html",
    "attachments",
]

pytestmark = pytest.mark.skipif(not (CORPUS / "expected.json").is_file(), reason=f"no corpus at {CORPUS}")


def squeeze(text: str | None) -> str:
    """Normalise subjects and names for comparison: NFC, blanks collapsed."""
    return " ".join(unicodedata.normalize("NFC", text or "").split())


def solid(text: str | None) -> str:
    """Normalise text for comparison: NFC, without blanks, byte order marks and zero-width spaces."""
    return "".join(c for c in unicodedata.normalize("NFC", text or "") if not c.isspace() and c not in "\ufeff\u200b")


def wanted(field: str, value: Any) -> Any:
    """Convert an expected value to the form that is compared."""
    if field == "subject":
        return squeeze(value)
    if field == "text":
        return solid(value)
    if field.endswith("_addrs"):
        return [(email or "").lower() for email in value]
    if field in ("from", "to", "cc"):
        return [(squeeze(name), (email or "").lower()) for name, email in value]
    if field == "attachments":
        return sorted((squeeze(item["name"]), item["sha256"]) for item in value)
    return value


def read(field: str, content: Content) -> Any:
    """Return a field in the form that is compared."""
    if field == "subject":
        return squeeze(content.subject)
    if field == "date":
        return content.date and content.date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if field == "text":
        return solid(content.text)
    if field == "has_html":
        return content.html is not None
    if field == "attachments":
        return sorted(
            (squeeze(item.filename), hashlib.sha256(item.payload).hexdigest())
            for item in content.attachments
            if not item.content_type.startswith("message/")
        )
    addresses: tuple[Address, ...] = content.headers.addresses(field.removesuffix("_addrs"))
    if field.endswith("_addrs"):
        return [address.email.lower() for address in addresses]
    return [(squeeze(address.name), address.email.lower()) for address in addresses]


def score() -> dict[str, tuple[int, int, list[str]]]:
    """Read every message once; per field, return how many expectations hold, how many there are, and the misses."""
    expected = json.loads((CORPUS / "expected.json").read_text())
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    misses: dict[str, list[str]] = {field: [] for field in FIELDS}
    for name, expectations in expected.items():
        content = Content.from_bytes((CORPUS / name).read_bytes())
        for field in FIELDS:
            got = read(field, content)
            if field not in expectations or field in expectations["weak"]:
                continue
            total[field] += 1
            if got == wanted(field, expectations[field]):
                right[field] += 1
            else:
                misses[field].append(name)
    return {field: (right[field], total[field], misses[field]) for field in FIELDS}


def test_at_least_995_of_1000_expectations_hold() -> None:
    """At least 99.5 % of what other parsers agree on is read the same way, in each field."""
    for field, (right, total, misses) in score().items():
        assert total > 200, field
        assert right / total >= 0.995, f"{field}: {right} of {total}, not {misses}"


def test_every_name_of_every_message_reads() -> None:
    """No message of the corpus makes any name raise, and its text and names can be encoded."""
    for path in sorted(CORPUS.glob("*.eml")):
        content = Content.from_bytes(path.read_bytes())
        for name in (*NAMES, "headers"):
            value = getattr(content, name)
            repr(value).encode()
        assert content.subject == content.headers.subject
        repr(content).encode("ascii")
