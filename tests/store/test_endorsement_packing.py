import contextlib
import hashlib
import statistics

import pytest
import zstandard

from hypothesis import given
from hypothesis import strategies as st

from tests.amd.certificates import pem_to_der
from tests.made_amd import vcek
from thim.errors import UnavailableError
from thim.store import endorsement_packing
from thim.store.endorsement_packing import MAX_DER_SIZE, NEWEST, pack, unpack


class TestPacking:
    def test_corpus(self, corpus):
        """
        Every VCEK and VLEK of AMD's comes back as it was, and takes less than
        60 % of its size on average.
        """
        ders = [
            pem_to_der(path)
            for kind in ("vcek", "vlek")
            for path in (corpus / "amd" / kind).iterdir()
        ]
        packed = [pack(der) for der in ders]

        assert ders == [unpack(NEWEST, each) for each in packed]
        shares = [len(p) / len(d) for p, d in zip(packed, ders, strict=True)]
        assert 60 == len(shares)
        assert statistics.mean(shares) < 0.6

    @given(st.binary(max_size=MAX_DER_SIZE))
    def test_anything(self, raw):
        """
        Whatever is packed comes back, up to the largest size.
        """
        assert raw == unpack(NEWEST, pack(raw))


class TestDictionaries:
    def test_first_for_ever(self):
        """
        The first dictionary is what it was when the first key was packed
        against it: none that lies in a store could be read with another.
        """
        (first,) = endorsement_packing._DICTIONARIES.values()

        assert DIGEST == hashlib.sha256(first).hexdigest()

    def test_read_what_was_packed_once(self):
        """
        What was packed by the first release is still read.
        """
        assert vcek() == unpack(1, bytes.fromhex(PACKED))


class TestDamage:
    @pytest.mark.parametrize(
        ("number", "packed"),
        [
            (1, b""),
            (1, b"nothing"),
            (1, pack(vcek())[:-1]),
            (1, pack(vcek()) + b"\0"),
            (2, pack(vcek())),
            (0, pack(vcek())),
            (1, pack(bytes(MAX_DER_SIZE + 1))),
            (
                1,
                zstandard.ZstdCompressor(write_content_size=False).compress(
                    b"x" * 99
                ),
            ),
        ],
    )
    def test_refused(self, number, packed):
        """
        What is no body, of no dictionary, or too large is said to be damage
        of the store.
        """
        with pytest.raises(UnavailableError, match="damaged") as e:
            unpack(number, packed)

        assert "store-damaged" == e.value.reason

    @given(st.integers(0), st.integers(1, 255))
    def test_any_byte(self, place, flip):
        """
        Whatever byte is damaged, what comes is an error of ours or other
        bytes, whose digest shows it; never more than a certificate has.
        """
        packed = bytearray.fromhex(PACKED)
        packed[place % len(packed)] ^= flip
        found = b""
        with contextlib.suppress(UnavailableError):
            found = unpack(NEWEST, bytes(packed))

        assert len(found) <= MAX_DER_SIZE


DIGEST = "f6cba888933a1692541743a7c7e2052f7c2e0abc2e2c34271f6aaa10df220c0f"
PACKED = (
    "28b52ffd6047048d1800c42d30820543308202f7410a30341e170d323630333031305a17"
    "0d333304d1116a195867a8af43446d1de13b980ce2c0f5d12b508b5c8078c2a5c1bacefe"
    "5320760f9387cefba604a7d38e90e3cd0c06629102b98d6abd4c50562125f551a678e581"
    "eae785eb6f26dd7819f43cf8d90b6dbb465a9acfae18e02e9dfb0760a382011730820113"
    "04040506070318301204020200db304d040440000102030405060708090a0b0c0d0e0f10"
    "1112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334"
    "35363738393a3b3c3d3e3f03820201000776803306fb475be8316324d21d3d720b167792"
    "ff1675fcc3a57d418809494833506d90125f445d0109c50c0053bf9911697a9fc051ade7"
    "a308c9a9a1e8d3225485323a22dd61bf8ddd683c040b267107647e504f4c4737337ab840"
    "c50e652dddef07be5adbfeb1bad24a24ceb784719e1a3edb722adaa4a9bfd8979c133844"
    "5e695d0768635306d62fba377c1adcddf9b7db58f903e5169a14c3de29b21a6488f02c55"
    "aacb1ee00f56624d4e80c8be76012e0da3088455b446743f07cf2af74b1980a2d1b7dec6"
    "3c47afa2ed3d82098f9c1b1f6c4a437470fb8e4e79684c5267379ca5ce83ccd2e97d0df3"
    "f6cc3a1bacb64693060087ed55b16adff75d826dd25965c56c63872ef13c7ae38666de0c"
    "b6dc5f5437c3033dde653b36268ad69008567f12bb0491649bafc5aad6d3d2471bd6ac59"
    "92b963b4afab16e565112a4142945bf3d6aaa8c8c0dce495d16fbe55a5cc1bacdcc0fb7d"
    "a8f22676e15139d6b53789bd49faa371581634add812325b1887933a580bf2eab4888d3e"
    "a488957800c903c25848f2b6cb4fe87f3661ed58fb7851d0553aad7f9b24c42e814918b5"
    "70c676a14b983f0132837f2a4a796dc68773c490d172bce8c4e6683f2c83d9d6e9218d55"
    "415d362f11f89dc4758383446b7731a53fcbc46f8758ce310e6ad526813c5ecc296ed944"
    "b149672ecea63447b6d51f538c41ff31164aed52a4197c75120003c813148f0636e00604"
    "073c063c01de018f015c521513927111b6d961720a32a3c609b8798814248838f341c0db"
    "8f96b9"
)
