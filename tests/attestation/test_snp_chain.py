import contextlib
import itertools

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.attestation.snp_made import make_chain
from tests.made_amd import AMD, GENOA, MILAN, TCB, vcek, vlek
from thim.amd.authorities import CaChain, KeyKind
from thim.amd.endorsement_key import EndorsementKey
from thim.attestation.snp_chain import MAX_PEM_SIZE, read_submitted_key
from thim.errors import MalformedError
from thim.simulate.amd_pki import to_pem
from thim.simulate.amd_profile import Role


VCEK = vcek()
LEAF = to_pem(VCEK)
ASK, ARK = (
    to_pem(AMD.certificate(MILAN, role)) for role in (Role.ASK, Role.ARK)
)
CHAIN = CaChain.from_pem(ASK + ARK)


def refused(pem, match, reason=None):
    """
    Check that *pem* is refused in words that *match*.
    """
    with pytest.raises(MalformedError, match=match) as e:
        read_submitted_key(pem)

    if reason is not None:
        assert reason == e.value.reason


class TestRead:
    @pytest.mark.parametrize(
        "order", list(itertools.permutations([LEAF, ASK, ARK]))
    )
    def test_order(self, order):
        """
        Each certificate says what it is, wherever it stands.
        """
        key = read_submitted_key(b"".join(order))

        assert key is not None
        assert EndorsementKey.from_der(VCEK) == key.leaf
        assert CHAIN == key.chain

    @pytest.mark.parametrize(
        "change",
        [
            lambda pem: pem.replace(b"\n", b"\r\n"),
            lambda pem: pem.replace(b"\n", b"\n\n"),
            lambda pem: b" \t\n" + pem + b"\n \0",
            lambda pem: pem.replace(b"-\n-", b"--"),
            lambda pem: pem.replace(b"\n", b""),
            lambda pem: pem.replace(b"\n", b"\n  "),
        ],
    )
    def test_blanks(self, change):
        """
        White space, and the end of a C string, do not matter.
        """
        key = read_submitted_key(change(LEAF + ASK + ARK))

        assert key is not None
        assert CHAIN == key.chain

    def test_vlek(self):
        """
        A provider's key comes with its own intermediate.
        """
        key = read_submitted_key(make_chain(vlek(), role=Role.ASVK))

        assert key is not None
        assert key.chain is not None
        assert (KeyKind.VLEK, KeyKind.VLEK) == (key.leaf.kind, key.chain.kind)
        assert "a provider" == key.leaf.csp_id

    def test_alone(self):
        """
        A key may come without what is above it.
        """
        key = read_submitted_key(LEAF)

        assert key is not None
        assert key.chain is None
        assert TCB == key.leaf.tcb

    @pytest.mark.parametrize("pem", [b"", b"\n \r\n", b"\0"])
    def test_nothing(self, pem):
        """
        What is empty is no key.
        """
        assert read_submitted_key(pem) is None


class TestRefused:
    @pytest.mark.parametrize(
        ("pem", "match"),
        [
            (ASK + ARK, "0 VCEKs or VLEKs and 2 auth"),
            (LEAF + ASK, "1 VCEKs or VLEKs and 1 auth"),
            (LEAF + ARK, "1 VCEKs or VLEKs and 1 auth"),
            (LEAF + LEAF, "2 VCEKs or VLEKs and 0 auth"),
            (LEAF + LEAF + ARK, "2 VCEKs or VLEKs and 1 auth"),
        ],
    )
    def test_count(self, pem, match):
        """
        A key is alone, or has exactly what is above it.
        """
        refused(pem, match, "certificate-chain")

    @pytest.mark.parametrize("pem", [LEAF + ASK + ASK, LEAF + ARK + ARK])
    def test_roles(self, pem):
        """
        Two intermediates, or two roots, are no chain.
        """
        refused(pem, "not an intermediate and an ARK", "certificate-name")

    def test_products(self):
        """
        Intermediate and root are of one product line.
        """
        other = to_pem(AMD.certificate(GENOA, Role.ARK))

        refused(LEAF + ASK + other, "two product lines", "certificate-issuer")

    def test_four(self):
        """
        More than three certificates are no chain of AMD's.
        """
        refused(LEAF + ASK + ARK + ARK, "up to 3", "certificate-malformed")

    @pytest.mark.parametrize(
        "pem",
        [
            b"hello",
            LEAF + b"hello",
            b"subject=CN = SEV-VCEK\n" + LEAF,
            VCEK,
            LEAF[:-5],
            LEAF.replace(b"BEGIN", b"begin"),
        ],
    )
    def test_no_pem(self, pem):
        """
        Besides the blocks there is nothing; DER is not read.
        """
        refused(pem, "expected up to 3", "certificate-malformed")

    def test_padding(self):
        """
        A block is base64.
        """
        head, _, rest = LEAF.partition(b"\n")

        refused(head + b"\nA" + rest, "not PEM", "certificate-malformed")

    def test_no_certificate(self):
        """
        A block holds a certificate such as AMD signs.
        """
        pem = to_pem(b"hello")

        refused(pem, "not as X.509", "certificate-malformed")

    def test_too_large(self):
        """
        What is longer than any chain is not read.
        """
        refused(LEAF.ljust(MAX_PEM_SIZE + 1), "at most", "too-large")

    @given(
        at=st.integers(0, len(LEAF + ASK + ARK) - 1),
        change=st.binary(max_size=4),
    )
    def test_anything(self, at, change):
        """
        Whatever comes, it is refused by name or read.
        """
        pem = LEAF + ASK + ARK
        with contextlib.suppress(MalformedError):
            read_submitted_key(pem[:at] + change + pem[at + len(change) :])
