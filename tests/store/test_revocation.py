import dataclasses
import hashlib

from datetime import timedelta

import pytest

from tests.made_amd import (
    ASK,
    ASVK,
    DAY,
    GENOA,
    MILAN,
    NOW,
    chain_record,
    crl_record,
    fill,
)
from tests.new_store import new_store
from tests.store.made import KEY, OTHER_KEY, all_stored, day, make_record
from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key
from thim.collateral.records import ROOT_CA_CRL, pck_crl_key
from thim.collateral.targets import Target
from thim.collateral.transition import Transition
from thim.intel.authorities import Authority
from thim.intel.names import PckCa, Tee
from thim.simulate.amd_profile import Role
from thim.simulate.pki import Intel
from thim.store.agenda import Settlement
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.store.watch import Watch
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
    new_store(path, INTEL.anchors)
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


MINUTE = timedelta(minutes=1)


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


AMD_KEY = cert_chain_key(KeyKind.VCEK, MILAN)
VLEK_KEY = cert_chain_key(KeyKind.VLEK, MILAN)
OTHER = cert_chain_key(KeyKind.VCEK, GENOA)


def serials(ledger):
    """
    Return the serial numbers of AMD's intermediates, those in use and those
    revoked.
    """
    return [
        [c.intermediate.serial_number for c in ledger.amd_chains(revoked=each)]
        for each in (False, True)
    ]


class TestAmd:
    @pytest.mark.parametrize("kind", KeyKind)
    @pytest.mark.parametrize(
        ("serial", "gone", "left"),
        [(ASK, AMD_KEY, VLEK_KEY), (ASVK, VLEK_KEY, AMD_KEY)],
    )
    def test_takes_a_chain_out(self, ledger, replica, kind, serial, gone, left):
        """
        An intermediate that either of the two lists names takes its chain out
        of what is served, and no other.
        """
        fill(ledger)
        ledger.add(chain_record(GENOA))
        ledger.add(crl_record(serial, kind=kind))

        assert replica.find(gone) is None
        assert replica.find(gone, None, NOW) is None
        assert replica.find(left) is not None
        assert replica.find(OTHER) is not None

    def test_asked_for_at_once(self, ledger, replica):
        """
        What is revoked is asked for anew at once, whatever was planned, if it
        is kept fresh; what is not, is not.
        """
        fill(ledger)
        ledger.add(chain_record(GENOA))
        agenda, watch = ledger.agenda, Watch(replica)
        revoked, left = Target(key=AMD_KEY), Target(key=OTHER)
        agenda.promise({revoked: NOW, left: NOW})
        for target in (revoked, left):
            agenda.claim(target, "me", now=NOW, until=NOW + MINUTE)
            well = Settlement(due=NOW + 30 * DAY, answered=True)
            agenda.settle(target, "me", well, now=NOW)
        ledger.add(crl_record(ASK))

        due = {p.target: p.due for p in watch.progress()}
        assert {revoked: NOW, left: NOW + 30 * DAY} == due
        ledger.add(crl_record(ASVK, issued=1))
        assert watch.find(Target(key=VLEK_KEY)) is None

    def test_either_list(self, ledger, replica):
        """
        What one list names stays revoked, whatever the other says.
        """
        fill(ledger)
        ledger.add(crl_record(ASK, kind=KeyKind.VLEK, issued=1))
        ledger.add(crl_record(kind=KeyKind.VCEK, issued=2))
        assert replica.find(AMD_KEY) is None

        ledger.add(crl_record(kind=KeyKind.VLEK, issued=3))
        assert replica.find(AMD_KEY) is not None

    def test_one_body_as_both(self, ledger, replica):
        """
        The very same list is a document under both names.
        """
        fill(ledger)
        records = [crl_record(ASK, kind=kind) for kind in KeyKind]

        assert records[0].body == records[1].body
        assert [Transition.NEWER] * 2 == list(map(ledger.add, records))
        assert [Transition.EQUAL] * 2 == list(map(ledger.add, records))
        for record in records:
            assert record.body == replica.find(record.key).body
        assert replica.find(AMD_KEY) is None

    def test_order_of_lists(self, ledger, replica):
        """
        The newest list decides, whatever came last.
        """
        fill(ledger)
        ledger.add(crl_record(issued=5))
        assert Transition.OLDER is ledger.add(crl_record(ASK, issued=4))
        assert replica.find(AMD_KEY) is not None

        ledger.add(crl_record(ASK, issued=6))
        assert Transition.OLDER is ledger.add(crl_record(issued=3))
        assert replica.find(AMD_KEY) is None

    def test_chain_after_the_list(self, ledger, replica):
        """
        A chain that arrives after the list that names it is archived, and not
        served.
        """
        ledger.add(chain_record(role=Role.ASVK))
        ledger.add(crl_record(ASK))

        assert Transition.NEWER is ledger.add(chain_record())
        assert replica.find(AMD_KEY) is None
        assert replica.begin(AMD_KEY) is not None

    def test_chains_of_the_ledger(self, ledger):
        """
        The ledger tells chains in use from those that are revoked.
        """
        fill(ledger)
        assert [[ASVK, ASK], []] == serials(ledger)

        ledger.add(crl_record(ASK))
        assert [[ASVK], [ASK]] == serials(ledger)

    def test_list_stays(self, ledger, replica):
        """
        The list is served all the same: it is the ARK's.
        """
        fill(ledger)
        ledger.add(crl_record(ASK, ASVK))

        assert replica.find(amd_crl_key(KeyKind.VCEK, MILAN)) is not None

    def test_serial_of_another_line(self, ledger, replica):
        """
        A number that another product line's list names is another's.
        """
        ledger.add(chain_record(GENOA))
        fill(ledger)
        ledger.add(crl_record(ASK, product=GENOA))

        assert replica.find(AMD_KEY) is not None


class TestOfTwoVendors:
    def test_by_the_others_list(self, ledger, replica):
        """
        A number counts among the certificates of the vendor that lists it.
        """
        ledger.add(SIGNED)
        fill(ledger)
        ledger.add(root_crl(5, ASK))
        ledger.add(crl_record(SIGNER))

        assert replica.find(KEY, 17) is not None
        assert replica.find(AMD_KEY) is not None

    @pytest.mark.parametrize("is_turned", [False, True])
    def test_stays(self, ledger, replica, is_turned):
        """
        A list of one vendor's brings nothing of the other's back.
        """
        ledger.add(SIGNED)
        fill(ledger)
        lists = [root_crl(5, SIGNER), crl_record(ASK)]
        empty = [root_crl(6), crl_record(issued=6)]
        if is_turned:
            lists.reverse()
            empty.reverse()
        for each in lists:
            ledger.add(each)
        assert replica.find(KEY, 17) is None
        assert replica.find(AMD_KEY) is None

        ledger.add(empty[0])
        back = (replica.find(KEY, 17), replica.find(AMD_KEY))
        assert [is_turned, not is_turned] == [each is None for each in back]
