"""Owns the text of header fields: folding, RFC 2047 words, 8-bit text, and no control characters.

Other modules call `decode_text`. One pass, linear in the value, never raises. The text it returns has no C0, C1 or
bidirectional control characters and no lone surrogates: it can be printed.
"""

import re
from collections.abc import Callable, Iterable

from pymailbox.display import safe_text

from . import charset
from .transfer import decode_base64, decode_quoted_printable

__all__ = ["clean", "decode_raw", "decode_text", "decode_words", "unfold"]

_HEAD = re.compile(r"=\? ?([\"']?)([^?\s\"<>]{1,80})\1 ?\?([bBqQ])\?")
_UNDERSCORE = str.maketrans("_", " ")


def unfold(raw: bytes) -> bytes:
    """Join the lines of a folded value with one blank each (RFC 5322 §2.2.3), and trim both ends."""
    if b"\n" not in raw:
        return raw.strip(b" \t\r")
    return b" ".join([line.strip(b" \t\r") for line in raw.split(b"\n")]).strip(b" ")


def clean(text: str) -> str:
    """Return a value that can be printed: control characters become blanks, hidden ones are dropped."""
    return text if text.isprintable() else safe_text(text, controls="drop", limit=None)  # most are: saves a call


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
    """Replace RFC 2047 encoded words, even where they are not allowed: in quotes, in other words, unended, with blanks.

    Adjacent words that share a charset are joined as bytes first, because mailers split characters between them.
    """
    pieces: list[str] = []
    run: list[tuple[str, str, str]] = []  # neighbours: charset, encoding, encoded text
    position = 0
    mark = -1  # where the next ?= is; searched for only once it has been passed: many words may share it, or have none
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
    if len(words) > 1 and not (sound and fits):  # not cut inside a group of four letters then, but without padding
        apart, fits = charset.decode(_decode_each(words, join=False)[0], label)
        if fits:
            return apart
    return text


def _decode_each(words: list[tuple[str, str, str]], *, join: bool) -> tuple[bytes, bool]:
    """Undo the encoding of words that share a charset; with `join`, base64 that seems cut continues in the next word.

    The flag is True if all base64 was well-formed.
    """
    data: list[bytes] = []
    carry: list[str] = []  # ends inside a group of four letters
    letters = 0
    sound = True
    for number, (_, encoding, encoded) in enumerate(words):
        if encoding == "q":
            data.append(decode_quoted_printable(encoded.translate(_UNDERSCORE).encode("utf-8", "surrogateescape"))[0])
            continue
        encoded = encoded.rstrip()
        carry.append(encoded)
        letters += len(encoded)
        follows = number + 1 < len(words) and words[number + 1][1] == "b"
        if join and follows and letters % 4 and not encoded.endswith("="):
            continue
        decoded, defect = decode_base64("".join(carry).encode("ascii", "replace"))
        data.append(decoded)
        sound = sound and defect is None
        carry.clear()
        letters = 0
    return b"".join(data), sound
