import contextlib
import datetime
import itertools

import pytest

from thim.agent.cache import Cache
from thim.agent.certification import Certification, is_revoked, read_crl
from thim.agent.identity import Declared, settle
from thim.amd.authorities import AMD_ROOTS
from thim.errors import MalformedError, UntrustedError
from thim.services.certification import write_pem


#: When all of AMD's recorded certificates are valid.
NOW = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)


@pytest.fixture(scope="session")
def genuine(corpus):
    """
    Every recorded VCEK under the recorded intermediate that signed it.
    """
    return list(read_genuine(corpus / "amd"))


def read_genuine(folder):
    """
    Put the recorded certificates together.
    """
    for path in sorted((folder / "vcek").iterdir()):
        product = path.name.partition("-")[0]
        asks = sorted((folder / "ca").glob(f"{product}-ask*.pem"))
        ark = (folder / "ca" / f"{product}-ark.pem").read_bytes()
        for ask in asks:
            pem = path.read_bytes() + ask.read_bytes() + ark
            found = Certification.from_pem(pem)
            with contextlib.suppress(UntrustedError):
                found.verify(names_of(found), anchors=AMD_ROOTS, now=NOW)
                yield found


def names_of(held):
    """
    Return the names by which an agent knows the chip of *held*.
    """
    chip_id = held.key.hw_id.ljust(64, b"\0")
    declared = Declared(chip_id=chip_id, tcb=held.key.tcb.to_bytes())
    return settle(None, declared).names()


class TestGenuine:
    def test_all(self, corpus, genuine):
        """
        Every recorded VCEK of AMD's holds under exactly one intermediate.
        """
        count = len(list((corpus / "amd" / "vcek").iterdir()))
        assert count == len(genuine) > 50
        products = {held.key.product.value for held in genuine}
        assert {"Milan", "Genoa", "Turin"} == products

    def test_kept(self, genuine, tmp_path):
        """
        What is kept on disk is read back the same, whichever product line it
        is taken for.
        """
        cache = Cache(tmp_path, AMD_ROOTS)
        for held in genuine:
            names = names_of(held)
            assert cache.keep(held, names)
            assert held == cache.load(names, NOW)
            assert held == cache.load(names[::-1], NOW)

    def test_another_chip(self, genuine):
        """
        None of them is another chip's, or another TCB's: two of one name are
        re-issued ones.
        """
        for held, other in itertools.pairwise(genuine):
            if held.key.spki == other.key.spki:
                continue
            with pytest.raises(UntrustedError) as caught:
                held.verify(names_of(other), anchors=AMD_ROOTS, now=NOW)
            assert "other-chip" == caught.value.reason

    def test_expired(self, genuine):
        """
        Each holds up to its last instant, and not beyond.
        """
        for held in genuine:
            last = held.not_after
            held.verify(names_of(held), anchors=AMD_ROOTS, now=last)
            late = last + datetime.timedelta(seconds=1)
            with pytest.raises(UntrustedError, match="valid"):
                held.verify(names_of(held), anchors=AMD_ROOTS, now=late)


class TestCrl:
    @pytest.fixture
    def genoa(self, corpus):
        """
        Genoa's list, which revokes the first ASK.
        """
        path = corpus / "amd" / "crl" / "ark-genoa-20221031-n1.der"
        return path.read_bytes()

    def test_revoked(self, corpus, genuine, genoa):
        """
        Genoa's first ASK is revoked, the second one is not.
        """
        chains = [h.chain for h in genuine if h.key.product.value == "Genoa"]
        for chain in chains:
            crl = read_crl(genoa, chain, now=None)
            serial = chain.intermediate.serial_number
            assert (serial in crl.revoked) == is_revoked(chain, crl)

    def test_expired(self, genuine, genoa):
        """
        A list that has expired is not taken anew.
        """
        chain = next(h.chain for h in genuine if h.key.product.value == "Genoa")
        with pytest.raises(UntrustedError, match="valid"):
            read_crl(genoa, chain, now=NOW)

    def test_other_product(self, genuine, genoa):
        """
        A list of another product line's says nothing.
        """
        chain = next(h.chain for h in genuine if h.key.product.value == "Milan")
        with pytest.raises(UntrustedError, match="Genoa's, for Milan"):
            read_crl(genoa, chain, now=None)


class TestPem:
    def test_order(self, genuine):
        """
        The VCEK comes first, the ARK last.
        """
        held = genuine[0]
        pem = held.to_pem()
        assert held == Certification.from_pem(pem)
        vcek = write_pem(held.key.der)
        assert pem == vcek + held.chain.to_pem()
        with pytest.raises(MalformedError):
            Certification.from_pem(held.chain.to_pem() + vcek)
