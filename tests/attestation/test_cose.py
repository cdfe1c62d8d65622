import hashlib

import cbor2
import pytest

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.attestation.uvm_made import (
    a_chain,
    a_header,
    a_leaf,
    a_message,
    a_payload,
    ec_key,
    rsa_key,
    slow_key,
)
from thim.attestation.cose import (
    ALG,
    CONTENT_TYPE,
    MAX_SIZE,
    MOST_CERTIFICATES,
    Sign1,
)
from thim.errors import MalformedError, ThimError, UntrustedError


LEAF = a_chain()[0].public_bytes(Encoding.DER)
MESSAGE = a_message()
CURVES = {-7: ec.SECP256R1, -35: ec.SECP384R1, -36: ec.SECP521R1}


def refused(raw, match, reason):
    """
    Check that *raw* is refused for *reason*, in words that *match*.
    """
    with pytest.raises((MalformedError, UntrustedError), match=match) as e:
        Sign1.from_bytes(raw).verify()

    assert reason == e.value.reason


def wrap(protected, unprotected=None, payload=b"{}", signature=b""):
    """
    Write a message of any parts.
    """
    header = {} if unprotected is None else unprotected
    parts = [protected, header, payload, signature]
    return cbor2.dumps(cbor2.CBORTag(18, parts))


class TestRead:
    def test_parts(self):
        """
        Header, chain and payload are as they were signed.
        """
        message = Sign1.from_bytes(MESSAGE)

        assert -35 == message.protected[ALG]
        assert "application/json" == message.text(CONTENT_TYPE)
        assert "a feed" == message.text("feed")
        assert a_chain() == message.chain
        assert a_payload() == message.payload
        message.verify()

    def test_no_text(self):
        """
        A parameter that is missing or no text is refused by its name.
        """
        message = Sign1.from_bytes(MESSAGE)

        with pytest.raises(MalformedError, match="'nobody' is None"):
            message.text("nobody")
        with pytest.raises(MalformedError, match="1 is -35"):
            message.text(ALG)

    def test_one_certificate(self):
        """
        A certificate that is alone stands alone.
        """
        raw = a_message(_33=LEAF)

        assert 1 == len(Sign1.from_bytes(raw).chain)

    @pytest.mark.parametrize(
        ("algorithm", "name"),
        [(-16, "sha256"), (-43, "sha384"), (-44, "sha512")],
    )
    def test_thumbprint(self, algorithm, name):
        """
        The header may name the first certificate by its digest.
        """
        good = [algorithm, hashlib.new(name, LEAF).digest()]
        bad = [algorithm, hashlib.new(name, b"").digest()]

        Sign1.from_bytes(a_message(_34=good)).verify()
        refused(a_message(_34=bad), "x5t", "cose-header")

    @pytest.mark.parametrize("value", [5, b"", [], [-16], [0, b""], ["a", b""]])
    def test_other_thumbprint(self, value):
        """
        A digest of another kind is refused, since it says nothing.
        """
        refused(a_message(_34=value), "x5t", "cose-header")

    def test_critical(self):
        """
        A parameter may be critical if it is known here.
        """
        Sign1.from_bytes(a_message(_2=["feed", 33])).verify()

    @pytest.mark.parametrize("value", [["svn"], [99, 33], [], 5, "feed"])
    def test_other_critical(self, value):
        """
        What is critical and not known is refused.
        """
        refused(a_message(_2=value), "critical", "cose-header")


class TestCbor:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\xd2",
            MESSAGE[:-1],
            MESSAGE + b"\0",
            MESSAGE[1:],
            a_message(tag=17),
            a_message(tag=98),
            b"\xd9\x00\x12" + MESSAGE[1:],  # the tag 18 in two bytes
            b"\xd2\x9f" + MESSAGE[2:] + b"\xff",  # an indefinite length
            b"\xd2\x80",
            b"\xd2\xa0",
            wrap({}),
            wrap(b"\xa0", payload=None),
            wrap(b""),
            wrap(b"\xa2\x01\x01\x01\x02"),  # a label stands twice
            wrap(b"\xa1\x18\x01\x01"),  # a label that is not the shortest
            wrap(b"\xa0\x00"),
            wrap(b"\x81" * 20 + b"\x00"),  # deeply nested
            wrap(b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"),
        ],
    )
    def test_malformed(self, raw):
        """
        A message has one encoding, and is nothing else.
        """
        refused(raw, "COSE", "cose-malformed")

    def test_too_large(self):
        """
        What is larger than any message is not read.
        """
        refused(bytes(MAX_SIZE + 1), "at most", "cose-malformed")

    @pytest.mark.parametrize(
        "raw",
        [
            wrap(b"\x80"),
            wrap(b"\xa1\x41\x00\x00"),  # a label of bytes
            wrap(b"\xa1\xf5\x00"),  # a label that is true, which is 1
            wrap(b"\xa1\x80\x00"),
            wrap(b"\xa1\xfb\x3f\xf0" + bytes(7)),  # 1.0
            wrap(cbor2.dumps(a_header()), unprotected=[]),
            a_message(unprotected={"feed": "other"}),
            a_message(unprotected={b"": 1}),
        ],
    )
    def test_header(self, raw):
        """
        Headers are maps, by numbers and text, and have nothing in common.
        """
        refused(raw, "COSE", "cose-header")

    @pytest.mark.parametrize(
        "value",
        [
            cbor2.CBORTag(35, "(a+)+$"),
            cbor2.CBORTag(4, [10**9, 1]),
            cbor2.CBORTag(5, [10**9, 1]),
            cbor2.CBORTag(2, b"\xff" * 1000),
            cbor2.CBORTag(258, [1]),
            cbor2.CBORTag(28, [cbor2.CBORTag(29, 0)]),
            cbor2.CBORTag(0, "2026-01-01T00:00:00Z"),
        ],
    )
    def test_tags(self, value):
        """
        A tag is a tag: nothing is made of it.
        """
        raw = a_message(_99=value)

        assert value == Sign1.from_bytes(raw).protected[99]


class TestChain:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            [],
            [LEAF],
            [LEAF, "text"],
            [LEAF] * (MOST_CERTIFICATES + 1),
            "text",
            5,
            {},
        ],
    )
    def test_no_chain(self, value):
        """
        The chain is in the protected header, with the signer first.
        """
        refused(a_message(_33=value), "no chain of 1 to", "cose-header")

    def test_unprotected(self):
        """
        A chain beside what is signed is none.
        """
        raw = a_message(_33=None, unprotected={33: [LEAF, LEAF]})

        refused(raw, "no chain", "cose-header")

    @pytest.mark.parametrize("value", [b"", [LEAF, b"hello"], LEAF + b"\0"])
    def test_no_certificate(self, value):
        """
        It is of certificates.
        """
        refused(a_message(_33=value), "chain: not a cert", "cose-header")


class TestVerify:
    @pytest.mark.parametrize("algorithm", CURVES)
    def test_ecdsa(self, algorithm):
        """
        ECDSA goes with the curve of its digest.
        """
        key = ec_key("Signer", CURVES[algorithm])
        chain = a_leaf(key=key), *a_chain()[1:]
        raw = a_message(
            header=a_header(chain, _1=algorithm), key=key, algorithm=algorithm
        )

        Sign1.from_bytes(raw).verify()

    @pytest.mark.parametrize("algorithm", [-37, -38, -39])
    def test_pss(self, algorithm):
        """
        RSA signs with PSS.
        """
        chain = a_leaf(key=rsa_key()), *a_chain()[1:]
        raw = a_message(
            header=a_header(chain, _1=algorithm),
            key=rsa_key(),
            algorithm=algorithm,
        )

        Sign1.from_bytes(raw).verify()

    @pytest.mark.parametrize("algorithm", [-7, -36, -38, -8, 0, None, "ES384"])
    def test_algorithm(self, algorithm):
        """
        The algorithm is one for the key.
        """
        refused(a_message(_1=algorithm), "with the key secp", "cose-algorithm")

    @pytest.mark.parametrize("algorithm", [-35, -257, -258, -259])
    def test_rsa_algorithm(self, algorithm):
        """
        PKCS #1 of old is not known, and ECDSA is not for RSA.
        """
        chain = a_leaf(key=rsa_key()), *a_chain()[1:]
        raw = a_message(header=a_header(chain, _1=algorithm))

        refused(raw, "with the key RSA", "cose-algorithm")

    def test_short_key(self):
        """
        A short key is refused, whatever it signed.
        """
        chain = a_leaf(key=rsa_key(1024)), *a_chain()[1:]
        raw = a_message(
            header=a_header(chain, _1=-37), key=rsa_key(1024), algorithm=-37
        )

        refused(raw, "RSA 1024", "cose-algorithm")

    def test_slow_key(self):
        """
        A key that takes long to verify with is refused before it is tried.
        """
        chain = a_leaf(key=slow_key()), *a_chain()[1:]
        raw = a_message(
            header=a_header(chain, _1=-37), key=slow_key(), algorithm=-37
        )

        refused(raw, "RSA 2048", "cose-algorithm")

    def test_other_kind(self):
        """
        Keys of other kinds are not known.
        """
        key = ed25519.Ed25519PrivateKey.generate()
        chain = a_leaf(key=key), *a_chain()[1:]

        refused(
            a_message(header=a_header(chain, _1=-8)),
            "Ed25519PublicKey",
            "cose-algorithm",
        )

    def test_other_key(self):
        """
        Another's signature is none.
        """
        refused(
            a_message(key=ec_key("Middle")), "not that of", "cose-signature"
        )

    @pytest.mark.parametrize("size", [0, 95, 97, 192])
    def test_size(self, size):
        """
        A signature has one size: both numbers are filled up with zeros.
        """
        parts = list(cbor2.loads(MESSAGE).value)
        parts[3] = parts[3][:size].ljust(size, b"\0")

        refused(wrap(*parts), "not that of", "cose-signature")

    def test_zero(self):
        """
        A zero between the numbers makes another signature.
        """
        parts = list(cbor2.loads(MESSAGE).value)
        parts[3] = parts[3][:48] + b"\0" + parts[3][48:]

        refused(wrap(*parts), "not that of", "cose-signature")

    @pytest.mark.parametrize(
        ("place", "old", "new"),
        [(0, b"a feed", b"a head"), (2, b'"7"', b'"8"')],
    )
    def test_changed(self, place, old, new):
        """
        The header and the payload are signed.
        """
        parts = list(cbor2.loads(MESSAGE).value)
        parts[place] = parts[place].replace(old, new)

        refused(wrap(*parts), "not that of", "cose-signature")

    def test_unprotected(self):
        """
        What else stands in the unprotected header does not matter.
        """
        parts = list(cbor2.loads(MESSAGE).value)
        parts[1] = {"timestamp": b"stamp"}

        Sign1.from_bytes(wrap(*parts)).verify()


class TestAnything:
    @given(st.binary(max_size=200))
    def test_bytes(self, raw):
        """
        Whatever comes, it is refused by name.
        """
        with pytest.raises(MalformedError):
            Sign1.from_bytes(raw)

    @given(
        at=st.integers(0, len(MESSAGE) - 1),
        change=st.binary(min_size=1, max_size=3),
    )
    def test_changed(self, at, change):
        """
        So is a message that was changed anywhere.
        """
        raw = MESSAGE[:at] + change + MESSAGE[at + len(change) :]
        try:
            Sign1.from_bytes(raw).verify()
        except ThimError as e:
            reason = e.reason
        else:
            reason = "cose-the-same" if MESSAGE == raw else ""

        assert reason.startswith("cose-")
