"""Words: the text of header fields, with folds, encoded words (RFC 2047) and 8-bit bytes decoded.

Other modules call `decode_text`. One pass, linear in the value, never raises. The text it returns has no C0, C1 or
bidirectional control characters and no lone surrogates: it is safe to print.
"""

import re
from binascii import a2b_qp
from collections.abc import Callable, Iterable
from functools import cache

from pymailbox.display import safe_text

from . import charset

__all__ = ["clean", "decode_raw", "decode_text", "decode_words", "unfold"]

_HEAD = re.compile(r"=\? ?([\"']?)([^?\s\"<>]{1,80})\1 ?\?([bBqQ])\?")
_STRAY = re.compile(r"=(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)


def unfold(raw: bytes) -> bytes:
    """Join the lines of a folded value with one blank each (RFC 5322 §2.2.3), and trim both ends."""
    if b"\n" not in raw:
        return raw.strip(b" \t\r")
    return b" ".join([line.strip(b" \t\r") for line in raw.split(b"\n")]).strip(b" ")


def clean(text: str) -> str:
    """Return a value that is safe to print: control characters become blanks, hidden ones are dropped."""
    return text if text.isprintable() else safe_text(text, controls="drop", limit=None)  # most text is printable


def decode_text(raw: bytes, hints: Callable[[], Iterable[str]] | None = None) -> str:
    """Decode one field's value as a person would read it; `hints` returns charsets to try for unlabelled bytes."""
    text = decode_raw(unfold(raw), hints)
    return clean(decode_words(text) if "=?" in text else text)


def decode_raw(raw: bytes, hints: Callable[[], Iterable[str]] | None = None) -> str:
    """Decode bytes outside encoded words: ASCII, UTF-8 (RFC 6532), otherwise a guess (never a language detector)."""
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    try:
        return raw.decode("utf-8") if b"\x1b" not in raw else charset.guess(raw)
    except UnicodeDecodeError:
        return charset.guess_beyond_utf8(raw, hints() if hints is not None else ())


def decode_words(text: str) -> str:
    """Decode RFC 2047 encoded words, also where the RFC forbids them: quoted, in words, without an end, with blanks.

    Adjacent words with the same charset are joined as bytes first, because mailers split characters between them.
    """
    pieces: list[str] = []
    run: list[tuple[str, str, str]] = []  # adjacent words: charset, encoding, encoded text
    position = 0
    mark = -1  # the next ?=; searched for again only after it has been passed: many words may share it or have none
    while True:
        head = _HEAD.search(text, position)
        if head is None:
            break
        start, body = head.span()
        if mark < body:
            mark = text.find("?=", body)
            mark = len(text) if mark < 0 else mark
        end, after = mark, mark + 2
        inside = text.find("=?", body, end)
        if inside >= 0 and (follower := _HEAD.search(text, inside, end)) is not None:
            end = after = follower.start()
        gap = text[position:start]
        if (end == after or end == len(text)) and not text[body:end].strip():
            # Neither text nor an end: no encoded word, so it stays (RFC 2047 §6.3).
            _flush(run, pieces)
            pieces.append(text[position:after])
            position = after
            continue
        if not run or gap.strip():
            _flush(run, pieces)
            pieces.append(gap)
        run.append((head[2].partition("*")[0].lower(), head[3].lower(), text[body:end]))
        position = after
    _flush(run, pieces)
    pieces.append(text[position:])
    return "".join(pieces)


def _flush(run: list[tuple[str, str, str]], pieces: list[str]) -> None:
    start = 0
    for end in range(1, len(run) + 1):
        if end == len(run) or run[end][0] != run[start][0]:
            pieces.append(_decode_run(run[start:end], run[start][0]))
            start = end
    run.clear()


def _decode_run(words: list[tuple[str, str, str]], label: str) -> str:
    data, sound = _decode_each(words, join=True)
    text, fits = charset.decode(data, label)
    if len(words) > 1 and not (sound and fits):  # the words are not one base64 stream, but each lacks its padding
        apart, fits = charset.decode(_decode_each(words, join=False)[0], label)
        if fits:
            return apart
    return text


@cache
def _base64_decoder() -> "Callable[[bytes], tuple[bytes, str | None]]":
    """Import the decoder with the first word in base64: most headers have none."""
    from .transfer import decode_base64

    return decode_base64


def _decode_each(words: list[tuple[str, str, str]], *, join: bool) -> tuple[bytes, bool]:
    """Decode words that share a charset; with `join`, base64 that seems cut continues in the next word.

    The flag is True if all base64 was well-formed.
    """
    data: list[bytes] = []
    carry: list[str] = []  # base64 that ends inside a group of four letters
    letters = 0
    sound = True
    for number, (_, encoding, encoded) in enumerate(words):
        if encoding == "q":
            # A = that escapes nothing stays, and so do the two characters after it; there are no soft line breaks.
            escaped = _STRAY.sub(lambda match: match[0].replace("=", "=3D"), encoded) if "=" in encoded else encoded
            data.append(a2b_qp(escaped.encode("utf-8", "surrogateescape"), header=True))
            continue
        encoded = encoded.rstrip()
        carry.append(encoded)
        letters += len(encoded)
        follows = number + 1 < len(words) and words[number + 1][1] == "b"
        if join and follows and letters % 4 and not encoded.endswith("="):
            continue
        decoded, defect = _base64_decoder()("".join(carry).encode("ascii", "replace"))
        data.append(decoded)
        sound = sound and defect is None
        carry.clear()
        letters = 0
    return b"".join(data), sound
