"""
How PCK certificates lie in the store: compressed, with a dictionary that was
trained on the store's own.

There may be millions of them, alike but for their keys, numbers and
signatures: of 1750 bytes of PEM 260 are left.
"""

from __future__ import annotations

import functools

from typing import TYPE_CHECKING, Final

import zstandard

from zstandard import ZstdError

from thim.errors import UnavailableError


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ENOUGH", "MAX_BODY_SIZE", "NONE", "Packer", "ZstdError", "train"]

#: No certificate is larger.
MAX_BODY_SIZE: Final = 16 * 1024
#: So many certificates are enough to train a dictionary, ...
ENOUGH: Final = 1000
#: ... of so many bytes.
_DICTIONARY_SIZE: Final = 16 * 1024
#: Higher ones cost fifty times as much and save two bytes in a hundred.
_LEVEL: Final = 3
#: The number of no dictionary.
NONE: Final = 0


def train(bodies: Sequence[bytes]) -> bytes:
    """
    Make a dictionary from `ENOUGH` *bodies* or more.
    """
    trained = zstandard.train_dictionary(_DICTIONARY_SIZE, list(bodies))
    return trained.as_bytes()


class Packer:
    """
    Packs with the newest of *dictionaries* (by their numbers), and unpacks
    with any.
    """

    def __init__(self, dictionaries: Mapping[int, bytes]) -> None:
        self.newest = max(dictionaries, default=NONE)
        self._compressor = zstandard.ZstdCompressor(
            level=_LEVEL,
            dict_data=_load(dictionaries.get(self.newest)),
            write_dict_id=False,
        )
        # Each by its dictionary's number, without any check of what it gets.
        self.unpackers = {
            number: zstandard.ZstdDecompressor(dict_data=_load(body)).decompress
            for number, body in [(NONE, None), *dictionaries.items()]
        }

    def pack(self, body: bytes) -> bytes:
        """
        Compress *body* with the dictionary `newest`.
        """
        return self._compressor.compress(body)

    def unpack(self, dictionary: int, packed: bytes) -> bytes:
        """
        Return what was *packed* with the *dictionary* of that number.

        Raises:
            UnavailableError: The store is damaged.
        """
        try:
            size = zstandard.frame_content_size(packed)
            if size <= MAX_BODY_SIZE:
                return self.unpackers[dictionary](packed)
        except (ZstdError, KeyError) as e:
            raise _damaged(str(e)) from e
        why = f"of {size} bytes"
        raise _damaged(why)


def _damaged(why: str) -> UnavailableError:
    msg = f"the store holds a damaged PCK certificate: {why}"
    return UnavailableError(msg, reason="store-damaged")


@functools.lru_cache(maxsize=8)
def _load(body: bytes | None) -> zstandard.ZstdCompressionDict | None:
    return None if body is None else zstandard.ZstdCompressionDict(body)
