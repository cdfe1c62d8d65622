import contextlib
import sqlite3

import pytest

from tests.made_amd import (
    ASK,
    GENOA,
    MILAN,
    chain_record,
    crl_record,
    name_of,
)
from tests.services.made import INTEL, KEY, day, fill
from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key
from thim.collateral.records import (
    AMD,
    FMSPCS,
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.collateral.targets import Target
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.services.promise import list_core, list_promises, read_signed
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.amd_profile import Role
from thim.simulate.documents import ISSUED, NUMBERS


LAZY = VendorSettings(mode=FillMode.LAZY)
QE = identity_key(EnclaveKind.QE)
TDX_KEY = tcb_info_key(Tee.TDX, bytes.fromhex("00606a000000"), 3)
CORE = [
    *(Target(key=numbers_key(tee)) for tee in Tee),
    *(Target(key=pck_crl_key(ca)) for ca in PckCa),
    *(Target(key=QE, update=update) for update in Update),
    Target(key=FMSPCS),
]


def numbers(*which, tee=Tee.SGX, issued=ISSUED):
    """
    Issue a list of numbers.
    """
    return INTEL.numbers(
        tee=tee, numbers={n: NUMBERS[n] for n in which}, issued=issued
    )


def infos(replica, settings=LAZY):
    """
    Return the TCB infos among what is promised, as key and number.
    """
    return [
        (target.key, target.number)
        for target in list_promises(replica, settings)
        if target.key.kind is KEY.kind
    ]


class TestCore:
    def test_empty(self, replica):
        """
        Whatever is served: the number lists, the revocation lists, the
        channels and the list of FMSPCs, and nothing else at first.
        """
        assert CORE == list_promises(replica, LAZY)
        assert CORE == list(list_core(replica))

    def test_root_crl(self, ledger, replica):
        """
        The root CRL comes without a chain, so it is promised as soon as a PCK
        CRL has shown the root.
        """
        fill(ledger, INTEL.pck_crl(ca=PckCa.PROCESSOR))

        found = list_promises(replica, LAZY)
        assert Target(key=ROOT_CA_CRL) in found
        assert {*CORE, Target(key=ROOT_CA_CRL)} == set(found)


class TestNumbers:
    def test_signed(self, ledger, replica):
        """
        The newest signed lists say which numbers there are, the newest first.
        """
        fill(ledger, numbers(17, 18), numbers(18, 20, 19, issued=day(1)))

        assert {Tee.SGX: (20, 19, 18), Tee.TDX: ()} == read_signed(replica)

    def test_identities(self, ledger, replica):
        """
        Of each number the identities: of SGX and of TDX, by their own lists.
        """
        fill(ledger, numbers(19, 20), numbers(20, tee=Tee.TDX))

        found = [
            (t.key, t.number)
            for t in list_promises(replica, LAZY)
            if t.key.kind is QE.kind and t.update is None
        ]
        kinds = (EnclaveKind.QE, EnclaveKind.QVE, EnclaveKind.QAE)
        assert [
            *((identity_key(kind), 20) for kind in kinds),
            *((identity_key(kind), 19) for kind in kinds),
            (identity_key(EnclaveKind.TD_QE), 20),
        ] == found

    def test_damaged(self, ledger, replica, store):
        """
        A list that is damaged names no number; a new one mends it.
        """
        fill(ledger, numbers(19, 20))
        with contextlib.closing(sqlite3.connect(store)) as db:
            db.execute("UPDATE records SET body = x'7b'")
            db.commit()

        assert () == read_signed(replica)[Tee.SGX]
        assert CORE == list_promises(replica, LAZY)

    def test_damaged_crl(self, ledger, replica, store):
        """
        A CRL that is damaged keeps nothing else from being promised.
        """
        fill(ledger, INTEL.pck_crl())
        before = list_promises(replica, LAZY)
        with contextlib.closing(sqlite3.connect(store)) as db, db:
            db.execute("UPDATE records SET body = x'7b'")

        assert before == list_promises(replica, LAZY)
        assert CORE != before


class TestTcbInfos:
    @pytest.fixture(autouse=True)
    def listed(self, ledger):
        """
        There are two numbers for SGX and one for TDX.
        """
        fill(ledger, numbers(19, 20), numbers(20, tee=Tee.TDX))

    def test_served(self, ledger, replica):
        """
        Of each FMSPC and TEE that is served, the TCB infos of all numbers that
        the vendor still signs, in Intel's newest layout.
        """
        fill(
            ledger,
            INTEL.tcb_info(number=19),
            INTEL.tcb_info(number=17, structure=2, fmspc="00906ED50000"),
        )

        other = tcb_info_key(Tee.SGX, bytes.fromhex("00906ed50000"), 3)
        assert [(KEY, 20), (KEY, 19), (other, 20), (other, 19)] == infos(
            replica
        )

    def test_withdrawn(self, ledger, replica):
        """
        A number that is archived and on no list any more is not asked for.
        """
        fill(ledger, INTEL.tcb_info(number=17, tee=Tee.TDX))

        assert [(TDX_KEY, 20)] == infos(replica)

    @pytest.mark.parametrize("mode", FillMode)
    def test_set(self, replica, mode):
        """
        An FMSPC that the operator names is kept fresh from the start, for
        both TEEs.
        """
        settings = VendorSettings(mode=mode, fmspcs=frozenset({"00606A000000"}))

        assert [(KEY, 20), (KEY, 19), (TDX_KEY, 20)] == infos(replica, settings)

    def test_registered(self, ledger, replica):
        """
        Where only what is registered is filled nothing else is.
        """
        fill(ledger, INTEL.tcb_info(number=20))
        settings = VendorSettings(mode=FillMode.REGISTERED)

        assert [] == infos(replica, settings)

    def test_offline(self, ledger, replica):
        """
        Without a vendor it is what is served, whose end is to be seen coming.
        """
        fill(ledger, INTEL.tcb_info(number=20))
        settings = VendorSettings(mode=FillMode.OFFLINE)

        assert [(KEY, 20), (KEY, 19)] == infos(replica, settings)

    def test_once(self, ledger, replica):
        """
        Nothing is promised twice.
        """
        fill(ledger, INTEL.tcb_info(number=19), INTEL.tcb_info(number=20))
        settings = VendorSettings(
            mode=FillMode.LAZY, fmspcs=frozenset({"00606A000000"})
        )

        found = list_promises(replica, settings)
        assert len(set(found)) == len(found)


def of_amd(replica):
    """
    Return what is promised of AMD's.
    """
    found = list_promises(replica, LAZY)
    return [target.key for target in found if target.key.vendor == AMD]


VCEK, VLEK = KeyKind
MILANS = [cert_chain_key(VCEK, MILAN), amd_crl_key(VCEK, MILAN)]


class TestAmd:
    def test_of_a_chain(self, ledger, replica):
        """
        A chain that is there is kept fresh, and with it the list of its ARK
        that is published for such keys; of no other product line.
        """
        ledger.add(chain_record())
        assert MILANS == of_amd(replica)

        ledger.add(chain_record(role=Role.ASVK))
        assert {
            *MILANS,
            cert_chain_key(VLEK, MILAN),
            amd_crl_key(VLEK, MILAN),
        } == set(of_amd(replica))

    def test_of_a_revoked_one(self, ledger, replica):
        """
        Also one that is revoked: there may be a new one.
        """
        ledger.add(chain_record())
        ledger.add(crl_record(ASK))

        assert MILANS == of_amd(replica)

    def test_awaited(self, ledger, replica):
        """
        While a VCEK of a product line is waited for, its chain is promised:
        it cannot be verified without.
        """
        ledger.chips.add(name_of(1, GENOA), day(0), 9)

        assert [cert_chain_key(VCEK, GENOA)] == of_amd(replica)

    def test_each_once(self, ledger, replica):
        """
        What is there and waited for is promised once.
        """
        ledger.add(chain_record())
        ledger.chips.add(name_of(1), day(0), 9)

        assert MILANS == of_amd(replica)
