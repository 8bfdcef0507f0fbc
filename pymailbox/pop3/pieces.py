"""Pieces: octets that arrive piece by piece and are wanted whole. Pure."""

from attrs import define, field

__all__ = ["Pieces"]

_SMALL = 16384  # octets, a full TLS record (RFC 8446 §5.1); a piece with less is put together with its neighbours


@define(eq=False)
class Pieces:
    """Pieces in order, joined when they are taken.

    The sender chooses how large pieces are (a TLS record may hold one octet), and each object costs some 50 octets
    beside those in it. So small ones are put together as they come: what is held here takes as much memory as its
    octets and an eighth, and what is taken as much again for a moment.
    """

    octets: int = field(default=0, init=False)
    _pieces: list[bytes] = field(factory=list, init=False)
    _small: bytearray = field(factory=bytearray, init=False)

    def add(self, piece: bytes) -> None:
        """Add a piece at the end."""
        self.octets += len(piece)
        if len(piece) < _SMALL:
            self._small += piece
            return
        if self._small:
            self._pieces.append(bytes(self._small))
            self._small.clear()
        self._pieces.append(piece)

    def take(self) -> bytes:
        """Return all octets, and have none; of one large piece this is that piece, not a copy."""
        pieces = self._pieces
        if self._small:
            pieces.append(bytes(self._small))
        self.clear()
        return b"".join(pieces)

    def clear(self) -> None:
        """Drop everything."""
        self.octets, self._pieces, self._small = 0, [], bytearray()
