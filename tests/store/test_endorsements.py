import contextlib
import sqlite3

import pytest

from tests.made_amd import (
    AMD,
    CHIP,
    DAY,
    GENOA,
    MILAN,
    NAME,
    NOW,
    OLD_TCB,
    OTHER_CHIP,
    TCB,
    chain_record,
    crl_record,
    day,
    endorsement,
    fill,
    vcek,
    vlek,
)
from thim.amd.authorities import KeyKind
from thim.amd.kds import ChipTcb
from thim.amd.tcb import TcbVersion
from thim.collateral.transition import Transition
from thim.errors import UnavailableError
from thim.simulate.amd_pki import to_pem
from thim.simulate.amd_profile import ISSUED, Role
from thim.store import endorsement_view
from thim.store.endorsement_view import EndorsementView


NEWER, EQUAL = Transition.NEWER, Transition.EQUAL
OLDER, FORK = Transition.OLDER, Transition.FORK
FIRST = to_pem(AMD.certificate(GENOA, Role.FIRST_ASK)) + to_pem(
    AMD.certificate(GENOA, Role.ARK)
)
#: Of a VCEK: seven years from then on, in days.
LIFE = 7 * 365 + 2
FIRST_ASK, _ = ISSUED[GENOA, Role.FIRST_ASK]
GENOA_TCB = TcbVersion(product=GENOA, bootloader=4, snp=24, microcode=219)


@pytest.fixture
def view(replica):
    """
    Its endorsement keys.
    """
    return EndorsementView(replica)


def add(ledger, der, chain=None):
    """
    Keep a certificate.
    """
    return ledger.endorsements.add(endorsement(der, chain))


def run(store, statement, *values):
    """
    Change a store past all our own code, or ask it.
    """
    with contextlib.closing(sqlite3.connect(store)) as db:
        rows = db.execute(statement, values).fetchall()
        db.commit()
    return rows


def ders(found):
    """
    Return the certificates of what is held.
    """
    return [held.der for held in found]


class TestVcek:
    def test_read_back(self, ledger, view):
        """
        What is kept comes back in its very bytes, with its chain and what it
        is.
        """
        fill(ledger)
        der = vcek(day(3))

        assert NEWER is add(ledger, der)
        held = view.find_vcek(NAME)
        assert (der, AMD.chain(MILAN)) == (held.der, held.issuer_chain)
        assert (KeyKind.VCEK, MILAN, CHIP, TCB) == (
            held.kind,
            held.product,
            held.holder,
            held.tcb,
        )
        assert (day(3), NOW) == (held.not_before, held.fetched)
        assert endorsement(der).key.not_after == held.not_after
        assert endorsement(der).sha256 == held.sha256

    @pytest.mark.parametrize(
        "other",
        [
            ChipTcb(product=MILAN, hw_id=OTHER_CHIP, tcb=TCB),
            ChipTcb(product=MILAN, hw_id=CHIP, tcb=OLD_TCB),
            ChipTcb(product=GENOA, hw_id=CHIP, tcb=GENOA_TCB),
        ],
    )
    def test_of_another(self, ledger, view, other):
        """
        It answers for no other chip, TCB or product line.
        """
        fill(ledger, vcek())

        assert view.find_vcek(other) is None

    def test_of_another_line(self, ledger, view):
        """
        A chip of another product line may have the same ID and TCB: each has
        its own.
        """
        fill(ledger, vcek())
        ledger.add(chain_record(GENOA))
        twin = vcek(tcb=GENOA_TCB)

        assert TCB.to_bytes() == GENOA_TCB.to_bytes()
        assert NEWER is add(ledger, twin)
        name = ChipTcb(product=GENOA, hw_id=CHIP, tcb=GENOA_TCB)
        assert [vcek(), twin] == ders(
            [view.find_vcek(NAME), view.find_vcek(name)]
        )

    def test_again(self, ledger, store):
        """
        The same bytes again change nothing.
        """
        fill(ledger, vcek())

        assert EQUAL is add(ledger, vcek())
        assert [(1,)] == run(store, "SELECT count(*) FROM endorsement_keys")

    @pytest.mark.parametrize("is_turned", [False, True])
    def test_issued_anew(self, ledger, view, is_turned):
        """
        A certificate that was issued anew is kept beside the first, in
        whatever order they come; the newest is served, and an instant gives
        the one of then.
        """
        fill(ledger)
        old, new = vcek(day(0)), vcek(day(10))
        first, then = (new, old) if is_turned else (old, new)

        assert NEWER is add(ledger, first)
        assert (OLDER if is_turned else NEWER) is add(ledger, then)
        assert new == view.find_vcek(NAME).der
        assert new == view.find_vcek(NAME, day(10)).der
        assert old == view.find_vcek(NAME, day(9)).der
        assert old == view.find_vcek(NAME, day(0)).der
        assert view.find_vcek(NAME, day(-1)) is None

    def test_in_the_same_second(self, ledger, view):
        """
        Of two that were issued in the same second neither is newer; both are
        kept.
        """
        fill(ledger, vcek(day(0)))

        assert OLDER is add(ledger, vcek(day(0), longer=DAY))
        assert (2, 1) == view.count()

    def test_other_key(self, ledger, view):
        """
        Another key for the same chip and TCB is a fork, newer or not, and is
        left out.
        """
        fill(ledger, vcek(day(5)))

        for issued in (4, 5, 6):
            forged = vcek(day(issued), is_other=True)
            assert FORK is add(ledger, forged)
        assert vcek(day(5)) == view.find_vcek(NAME).der
        assert (1, 1) == view.count()


class TestVlek:
    def test_read_back(self, ledger, view):
        """
        A VLEK is found by its TCB, with its chain and its provider.
        """
        fill(ledger, vcek(), vlek())
        held = view.find_vlek(TCB)

        assert (KeyKind.VLEK, b"a provider", vlek()) == (
            held.kind,
            held.holder,
            held.der,
        )
        assert AMD.chain(MILAN, Role.ASVK) == held.issuer_chain
        assert view.find_vlek(OLD_TCB) is None
        assert view.find_vlek(GENOA_TCB) is None

    def test_several_keys(self, ledger, view):
        """
        A provider may have several keys at a TCB; the newest is found.
        """
        fill(ledger, vlek(day(1)))

        assert NEWER is add(ledger, vlek(day(2), is_other=True))
        assert NEWER is add(ledger, vlek(day(0), csp_id="another"))
        assert vlek(day(2), is_other=True) == view.find_vlek(TCB).der
        assert vlek(day(1)) == view.find_vlek(TCB, day(1)).der

    def test_all_keys(self, ledger, view):
        """
        A report does not say whose key signed it: all at a TCB are listed,
        the newest first.
        """
        fill(ledger, vlek(day(1)))
        add(ledger, vlek(day(2), is_other=True))
        add(ledger, vlek(day(0), csp_id="another"))

        listed = [held.der for held in view.list_vleks(TCB)]

        assert [
            vlek(day(2), is_other=True),
            vlek(day(1)),
            vlek(day(0), csp_id="another"),
        ] == listed
        assert 2 == len(view.list_vleks(TCB, day(1)))
        assert [] == view.list_vleks(OLD_TCB)

    def test_is_no_vcek(self, ledger, view):
        """
        Neither a VLEK nor a provider counts as a chip's.
        """
        fill(ledger, vlek())

        assert (0, 0) == view.count()
        assert [] == view.list_chip(b"a provider")


class TestChip:
    def test_newest_of_each_tcb(self, ledger, view):
        """
        Of a chip the newest of each TCB is listed, and of no other chip.
        """
        fill(
            ledger,
            vcek(day(0)),
            vcek(day(1)),
            vcek(day(0), tcb=OLD_TCB),
            vcek(day(2), hw_id=OTHER_CHIP),
        )

        assert {vcek(day(1)), vcek(day(0), tcb=OLD_TCB)} == set(
            ders(view.list_chip(CHIP))
        )
        assert [] == view.list_chip(bytes(64))

    def test_counted(self, ledger, view):
        """
        Certificates and chips are counted.
        """
        assert (0, 0) == view.count()
        fill(
            ledger,
            vcek(day(0)),
            vcek(day(1)),
            vcek(day(0), hw_id=OTHER_CHIP),
        )

        assert (3, 2) == view.count()


class TestExpiring:
    def names(self, view, before, after=(0, 0), most=9):
        """
        List the chips whose VCEK expires by then.
        """
        return [n.hw_id for _, n in view.expiring(before, after, most)]

    def test_newest_counts(self, ledger, view):
        """
        A VCEK counts by the newest of its chip and TCB, and no VLEK does.
        """
        fill(ledger, vcek(day(0)), vcek(day(9)), vlek(day(0)))
        fill(ledger, vcek(day(1), hw_id=OTHER_CHIP))
        fill(ledger, vcek(day(0), tcb=OLD_TCB))
        (_, first), (_, second) = view.expiring(day(2 + LIFE), (0, 0), 9)

        assert (CHIP, OLD_TCB) == (first.hw_id, first.tcb)
        assert (OTHER_CHIP, TCB) == (second.hw_id, second.tcb)
        assert [] == self.names(view, day(LIFE))

    def test_served_counts(self, ledger, view):
        """
        One that is not served any more, because its chain is revoked, does not
        count.
        """
        name = ChipTcb(product=GENOA, hw_id=CHIP, tcb=GENOA_TCB)
        ledger.add(chain_record(GENOA))
        add(ledger, vcek(day(0), tcb=GENOA_TCB))
        add(ledger, vcek(day(300), tcb=GENOA_TCB), FIRST)
        assert [] == view.expiring(day(LIFE + 1), (0, 0), 9)
        ledger.add(crl_record(FIRST_ASK, product=GENOA))

        assert day(0) == view.find_vcek(name).not_before
        ((_, found),) = view.expiring(day(LIFE + 1), (0, 0), 9)
        assert name == found

    def test_pages(self, ledger, view):
        """
        They are listed page by page, each once.
        """
        chips = [bytes([n]) * 64 for n in range(1, 6)]
        fill(ledger, *(vcek(day(0), hw_id=chip) for chip in chips))
        found, after = [], (0, 0)
        while page := view.expiring(day(LIFE + 1), after, 2):
            found += [name.hw_id for _, name in page]
            after = page[-1][0]

        assert chips == found

    def test_by_index(self, ledger, store):
        """
        They are found by an index, whatever else there is.
        """
        with contextlib.closing(sqlite3.connect(store)) as db:
            plan = db.execute(
                f"EXPLAIN QUERY PLAN {endorsement_view._EXPIRING}", [0] * 4
            ).fetchall()

        told = " ".join(row[3] for row in plan)
        assert "endorsement_keys_by_end" in told
        assert "SCAN" not in told
        assert "TEMP B-TREE" not in told


class TestRevoked:
    @pytest.mark.parametrize("kind", KeyKind)
    def test_not_found(self, ledger, view, kind):
        """
        A key whose intermediate either list revokes is not found any more, by
        no way; those of other authorities are.
        """
        fill(ledger, vcek(), vlek())
        ask, _ = ISSUED[MILAN, Role.ASK]
        ledger.add(crl_record(ask, kind=kind))

        assert view.find_vcek(NAME) is None
        assert view.find_vcek(NAME, day(1)) is None
        assert [] == view.list_chip(CHIP)
        assert vlek() == view.find_vlek(TCB).der

    def test_of_a_provider(self, ledger, view):
        """
        The same for an ASVK and VLEKs.
        """
        fill(ledger, vcek(), vlek())
        asvk, _ = ISSUED[MILAN, Role.ASVK]
        ledger.add(crl_record(asvk))

        assert view.find_vlek(TCB) is None
        assert vcek() == view.find_vcek(NAME).der

    def test_found_again(self, ledger, view):
        """
        A newer list without it brings it back.
        """
        fill(ledger, vcek())
        ask, _ = ISSUED[MILAN, Role.ASK]
        ledger.add(crl_record(ask, issued=1))
        ledger.add(crl_record(issued=2))

        assert vcek() == view.find_vcek(NAME).der

    def test_gets_another_chain(self, ledger, view):
        """
        The same bytes again, under a chain that holds, are found under that;
        others are not.
        """
        other = ChipTcb(product=GENOA, hw_id=OTHER_CHIP, tcb=GENOA_TCB)
        add(ledger, vcek(tcb=GENOA_TCB, hw_id=OTHER_CHIP), FIRST)
        name = ChipTcb(product=GENOA, hw_id=CHIP, tcb=GENOA_TCB)
        der = vcek(tcb=GENOA_TCB)
        ledger.add(chain_record(GENOA))
        add(ledger, der, FIRST)
        ledger.add(crl_record(FIRST_ASK, product=GENOA))

        assert view.find_vcek(name) is None
        assert EQUAL is add(ledger, der)
        assert AMD.chain(GENOA) == view.find_vcek(name).issuer_chain
        assert view.find_vcek(other) is None

    def test_contradicts_nobody(self, ledger, view):
        """
        Another key under a revoked intermediate does not stand in the way of
        the right one, which then is the one that there is.
        """
        name = ChipTcb(product=GENOA, hw_id=CHIP, tcb=GENOA_TCB)
        ledger.add(chain_record(GENOA))
        add(ledger, vcek(tcb=GENOA_TCB, is_other=True), FIRST)
        assert FORK is add(ledger, vcek(tcb=GENOA_TCB))
        ledger.add(crl_record(FIRST_ASK, product=GENOA))

        assert OLDER is add(ledger, vcek(day(-1), tcb=GENOA_TCB))
        assert vcek(day(-1), tcb=GENOA_TCB) == view.find_vcek(name).der
        assert FORK is add(
            ledger, vcek(tcb=GENOA_TCB, is_other=True, longer=DAY)
        )
        assert [] == ledger.endorsements.find_contradictions()

    def test_keeps_a_chain_that_holds(self, ledger, view):
        """
        A chain that holds is not replaced, least of all by one that does not.
        """
        fill(ledger, vcek())
        add(ledger, vcek(), FIRST)

        assert AMD.chain(MILAN) == view.find_vcek(NAME).issuer_chain


class TestDamage:
    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("body", b"\0"),
            ("packing", 9),
            ("not_after", 1 << 62),
            ("fetched", 1 << 62),
        ],
    )
    def test_body(self, ledger, view, store, column, value):
        """
        A row that makes no sense is said to be damage, whoever asks.
        """
        fill(ledger, vcek(), vlek())
        run(store, f"UPDATE endorsement_keys SET {column} = ?", value)  # noqa: S608

        for find in (
            lambda: view.find_vcek(NAME),
            lambda: view.find_vlek(TCB),
            lambda: view.list_chip(CHIP),
        ):
            with pytest.raises(UnavailableError) as e:
                find()
            assert "store-damaged" == e.value.reason

    def test_tcb(self, ledger, view, store):
        """
        So is a TCB that there cannot be.
        """
        fill(ledger, vcek())
        run(store, "UPDATE endorsement_keys SET tcb = x'01'")

        with pytest.raises(UnavailableError):
            view.list_chip(CHIP)


class TestStored:
    def test_page_by_page(self, ledger, store):
        """
        Every row is read back, however many there are.
        """
        fill(ledger, vcek())
        run(
            store,
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n "
            "WHERE i < 1201) INSERT INTO endorsement_keys SELECT n.i, kind, "
            "product, holder, tcb, not_before, not_after, spki_sha256, sha256, "
            "chain_id, packing, body, source, fetched FROM endorsement_keys, n",
        )
        found = [stored.id for stored in ledger.endorsements.stored()]

        assert list(range(1, 1202)) == found

    def test_contradictions(self, ledger, store):
        """
        Of two keys for one chip and TCB the first row is named.
        """
        fill(
            ledger,
            vcek(day(0)),
            vcek(day(1)),
            vcek(hw_id=OTHER_CHIP),
            vlek(),
            vlek(is_other=True),
        )

        assert [] == ledger.endorsements.find_contradictions()
        run(
            store,
            "UPDATE endorsement_keys SET spki_sha256 = x'00' WHERE id = 2",
        )
        assert [1] == ledger.endorsements.find_contradictions()

    def test_duplicates(self, ledger, store):
        """
        So is that of a certificate that is there twice.
        """
        fill(ledger, vcek(day(0)), vcek(day(1)), vlek())

        assert [] == ledger.endorsements.find_duplicates()
        run(
            store,
            "UPDATE endorsement_keys SET sha256 = "
            "(SELECT sha256 FROM endorsement_keys WHERE id = 2) WHERE id = 3",
        )
        assert [2] == ledger.endorsements.find_duplicates()


class TestIndexes:
    @pytest.mark.parametrize(
        ("statement", "index"),
        [
            ("_VCEK", "endorsement_keys_by_name"),
            ("_CHIP", "endorsement_keys_by_name"),
            ("_VLEK", "endorsement_keys_of_providers"),
        ],
    )
    def test_used(self, store, statement, index):
        """
        What answers requests goes through its index.
        """
        text = getattr(endorsement_view, statement)
        plan = run(
            store,
            f"EXPLAIN QUERY PLAN {text}",
            *([None] * text.count("?")),
        )

        assert index in " ".join(str(row[3]) for row in plan)
