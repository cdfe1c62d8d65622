import dataclasses
import hashlib

import pytest

from tests.store.made import KEY, OTHER_KEY, all_stored, day, make_record
from thim.collateral.records import ROOT_CA_CRL, pck_crl_key
from thim.collateral.transition import Transition
from thim.intel.authorities import Authority
from thim.intel.names import PckCa, Tee
from thim.simulate.pki import Intel
from thim.store.create import create_store
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.x509.chain import to_pem


INTEL = Intel()
PLATFORM = pck_crl_key(PckCa.PLATFORM)
SIGNED = make_record(0, chain=to_pem((INTEL.signer, INTEL.root)))
LISTED = make_record(
    0,
    key=PLATFORM,
    number=None,
    chain=to_pem((INTEL.platform_ca, INTEL.root)),
)


@pytest.fixture
def store(tmp_path):
    """
    A store for what our own Intel signs.
    """
    path = tmp_path / "thim.db"
    create_store(path, INTEL.anchors)
    return path


@pytest.fixture
def ledger(store):
    """
    That store, opened for writing.
    """
    with Ledger(store, INTEL.anchors) as opened:
        yield opened


def root_crl(issued: int, *revoked: int):
    """
    Make the record of a root CRL of day *issued*.
    """
    der = INTEL.root_crl(issued=day(issued), revoked=revoked)
    record = make_record(
        issued, key=ROOT_CA_CRL, number=None, chain=to_pem((INTEL.root,))
    )
    return dataclasses.replace(
        record, body=der, signed_sha256=hashlib.sha256(der).digest()
    )


SIGNER = INTEL.signer.serial_number
PLATFORM_CA = INTEL.platform_ca.serial_number


class TestRootCrl:
    def test_none(self, ledger):
        """
        A new store has none.
        """
        assert ledger.root_crl() is None

    def test_newest(self, ledger):
        """
        The newest is the one that counts, whatever came last.
        """
        for issued in (1, 2, 0):
            ledger.add(root_crl(issued))

        assert day(2) == ledger.root_crl().this_update


class TestRevocation:
    def test_takes_documents_out(self, ledger, replica):
        """
        A root CRL that revokes a signer takes its documents out of what is
        served, now and as of any instant, and leaves others in.
        """
        ledger.add(SIGNED)
        ledger.add(LISTED)
        ledger.add(root_crl(5, SIGNER))

        assert replica.find(KEY, 17) is None
        assert replica.find(KEY, 17, day(1)) is None
        assert [] == replica.fmspcs()
        assert replica.find(PLATFORM) is not None

    def test_keeps_them_in_the_archive(self, ledger, replica):
        """
        They are archived as before.
        """
        ledger.add(SIGNED)
        ledger.add(root_crl(5, SIGNER))

        assert SIGNED in [s.record for s in all_stored(ledger)]
        assert day(0) == replica.begin(KEY, 17)
        assert frozenset({17}) == replica.numbers()

    def test_of_a_pck_ca(self, ledger, replica):
        """
        The revocation list of a revoked CA goes with it.
        """
        ledger.add(LISTED)
        ledger.add(root_crl(5, PLATFORM_CA))

        assert replica.find(PLATFORM) is None

    def test_later_list_without_it(self, ledger, replica):
        """
        A later root CRL that does not name the signer brings them back.
        """
        ledger.add(SIGNED)
        ledger.add(root_crl(5, SIGNER))
        ledger.add(root_crl(6))

        assert SIGNED.body == replica.find(KEY, 17).body
        assert [("00906ED50000", Tee.SGX)] == replica.fmspcs()

    @pytest.mark.parametrize("serials", [(), (SIGNER,)])
    def test_older_list(self, ledger, replica, serials):
        """
        A root CRL that is older than the newest changes nothing.
        """
        ledger.add(SIGNED)
        ledger.add(root_crl(5, *serials))
        before = replica.find(KEY, 17)

        assert Transition.OLDER is ledger.add(root_crl(4, SIGNER, 1))
        assert before == replica.find(KEY, 17)

    def test_document_after_the_list(self, ledger, replica):
        """
        A document that was verified before the revocation and arrives after
        it, under a chain not seen before, is not served either: another
        process may have taken in the root CRL meanwhile.
        """
        ledger.add(root_crl(5, SIGNER))
        ledger.add(SIGNED)

        assert replica.find(KEY, 17) is None

    def test_again_under_another_certificate(self, ledger, replica):
        """
        A document whose signer's certificate is revoked comes back with
        another certificate of the same key: it is the same document, under a
        chain that holds.
        """
        ledger.add(SIGNED)
        ledger.add(root_crl(5, SIGNER))
        second = INTEL.certificate(Authority.TCB_SIGNING, serial=4711)
        chain = to_pem((second, INTEL.root))

        again = dataclasses.replace(SIGNED, issuer_chain=chain)
        assert Transition.EQUAL is ledger.add(again)
        found = replica.find(KEY, 17)
        assert (SIGNED.body, chain) == (found.body, found.issuer_chain)

    def test_again_under_the_same_certificate(self, ledger, replica):
        """
        Coming back with the revoked one changes nothing.
        """
        ledger.add(SIGNED)
        ledger.add(root_crl(5, SIGNER))

        assert Transition.EQUAL is ledger.add(SIGNED)
        assert replica.find(KEY, 17) is None

    def test_root_itself(self, ledger, replica):
        """
        A list cannot revoke the root that signs it: the pinned key is trusted
        or not by its pin alone.
        """
        ledger.add(SIGNED)
        ledger.add(root_crl(5, INTEL.root.serial_number))

        assert replica.find(ROOT_CA_CRL) is not None
        assert replica.find(KEY, 17) is not None

    def test_other_certificate_of_the_signer(self, ledger, replica):
        """
        Serial numbers tell certificates apart: one signer's second
        certificate is as good as before.
        """
        second = INTEL.certificate(Authority.TCB_SIGNING, serial=4711)
        ledger.add(SIGNED)
        ledger.add(
            make_record(
                key=OTHER_KEY, chain=to_pem((second, INTEL.root)), number=17
            )
        )
        ledger.add(root_crl(5, 4711))

        assert replica.find(KEY, 17) is not None
        assert replica.find(OTHER_KEY, 17) is None


class TestCertificates:
    def test_remembered(self, ledger, store):
        """
        Certificates come back as they were, from any ledger over the store.
        """
        for certificate in INTEL.certificates:
            assert ledger.add_certificate(
                certificate, Authority.ROOT, source="-", now=day(0)
            )

        with Ledger(store, INTEL.anchors) as other:
            assert set(INTEL.certificates) == set(other.certificates())

    def test_known(self, ledger):
        """
        The second time a certificate is not new, and is not kept twice.
        """
        for is_new in (True, False):
            assert is_new == ledger.add_certificate(
                INTEL.root, Authority.ROOT, source="-", now=day(0)
            )

        assert [INTEL.root] == ledger.certificates()


@pytest.fixture
def replica(store):
    """
    That store, opened for reading.
    """
    opened = Replica(store)
    yield opened
    opened.close()
