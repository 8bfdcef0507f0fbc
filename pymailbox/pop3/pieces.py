"""Pieces: data that arrives in pieces, joined into one `bytes`. Pure."""

from attrs import define, field

__all__ = ["Pieces"]

_SMALL = 16384  # bytes, a full TLS record (RFC 8446 §5.1); smaller pieces are merged with their neighbours


@define(eq=False, repr=False)
class Pieces:
    """Pieces in order, joined when they are taken.

    The sender chooses the size of the pieces (a TLS record may hold one byte), and each `bytes` object costs some 50
    bytes on top of its content. Small pieces are therefore merged as they arrive: the memory held is the size of the
    content and an eighth, and briefly twice that when it is taken.
    """

    size: int = field(default=0, init=False)
    _pieces: list[bytes] = field(factory=list, init=False)
    _small: bytearray = field(factory=bytearray, init=False)

    def add(self, piece: bytes) -> None:
        """Add a piece at the end."""
        self.size += len(piece)
        if len(piece) < _SMALL:
            self._small += piece
            return
        if self._small:
            self._pieces.append(bytes(self._small))
            self._small.clear()
        self._pieces.append(piece)

    def take(self) -> bytes:
        """Return everything and empty the buffer; a single large piece is returned itself, not copied."""
        pieces = self._pieces
        if self._small:
            pieces.append(bytes(self._small))
        self.clear()
        return b"".join(pieces)

    def clear(self) -> None:
        """Drop everything."""
        self.size, self._pieces, self._small = 0, [], bytearray()
