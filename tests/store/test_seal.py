import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.errors import OperatorError
from thim.store.seal import Sealer, SealError, find_key_id


KEY, OTHER = bytes(range(32)), bytes(32)
CONTEXT = b"manifest of platform 7"


class TestSealer:
    @given(st.binary(max_size=500), st.binary(max_size=50))
    def test_round_trip(self, plain, context):
        """
        What was sealed is opened by whoever has the key and the context.
        """
        sealed = Sealer(KEY).seal(plain, context)

        assert plain == Sealer(KEY).open(sealed, context)
        assert len(plain) + 33 == len(sealed)

    def test_nothing_shows(self):
        """
        The same text is sealed differently each time, and cannot be seen.
        """
        sealer = Sealer(KEY)
        sealed = [sealer.seal(b"secret words", CONTEXT) for _ in range(2)]

        assert sealed[0] != sealed[1]
        assert b"secret" not in b"".join(sealed)

    def test_wrong_key(self):
        """
        Another key is told apart from damage, and both keys are named.
        """
        sealed = Sealer(KEY).seal(b"x", CONTEXT)
        with pytest.raises(SealError) as caught:
            Sealer(OTHER).open(sealed, CONTEXT)

        assert "wrong-key" == caught.value.reason
        assert Sealer(KEY).key_id in str(caught.value)
        assert Sealer(OTHER).key_id in str(caught.value)

    @given(st.data())
    def test_damaged(self, data):
        """
        Whatever bit is turned, nothing is opened.
        """
        sealed = bytearray(Sealer(KEY).seal(b"words", CONTEXT))
        at = data.draw(st.integers(0, len(sealed) * 8 - 1))
        sealed[at // 8] ^= 1 << at % 8
        with pytest.raises(SealError) as caught:
            Sealer(KEY).open(bytes(sealed), CONTEXT)

        is_id = 1 <= at // 8 <= 4
        assert ("wrong-key" if is_id else "damaged") == caught.value.reason

    @given(st.integers(0, 37))
    def test_cut_off(self, size):
        """
        Nor if some of it is missing.
        """
        sealed = Sealer(KEY).seal(b"words", CONTEXT)
        with pytest.raises(SealError) as caught:
            Sealer(KEY).open(sealed[:size], CONTEXT)

        assert "damaged" == caught.value.reason

    def test_moved(self):
        """
        Nor if it stands where something else was sealed.
        """
        sealed = Sealer(KEY).seal(b"words", CONTEXT)
        with pytest.raises(SealError) as caught:
            Sealer(KEY).open(sealed, b"manifest of platform 8")

        assert "damaged" == caught.value.reason

    @pytest.mark.parametrize("size", [0, 16, 31, 33])
    def test_key_size(self, size):
        """
        A key has 32 bytes.
        """
        with pytest.raises(OperatorError, match=f"{size} bytes, expected 32"):
            Sealer(bytes(size))


class TestKeyId:
    def test_remembered(self, ledger, replica):
        """
        The store remembers the first key that it was told of.
        """
        assert (None, None) == (ledger.keys.find(), find_key_id(replica))
        assert "a1" == ledger.keys.remember("a1")
        assert "a1" == ledger.keys.remember("b2")
        assert ("a1", "a1") == (ledger.keys.find(), find_key_id(replica))
