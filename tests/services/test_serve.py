import contextlib

from datetime import UTC, datetime, timedelta

import pytest

from tests.services.made import INTEL, KEY, NOW, day, fill
from thim.baseline.select import Wish
from thim.collateral.freshness import State
from thim.collateral.records import (
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.errors import NotFoundError, ParameterError, UnavailableError
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.services.serve import Query, find_answer
from thim.simulate.pki import ISSUED, NUMBERS
from thim.x509.chain import to_pem


FMSPC = bytes.fromhex("00606a000000")
V2_KEY = tcb_info_key(Tee.SGX, FMSPC, 2)
QE = identity_key(EnclaveKind.QE)
PLATFORM = pck_crl_key(PckCa.PLATFORM)
SIGNER = INTEL.signer.serial_number


def ask(replica, *keys, at=None, now=NOW, **wish):
    """
    Ask for the first of *keys* that there is.
    """
    query = Query(keys=keys or (KEY,), wish=Wish(**wish), at=at)
    return find_answer(replica, query, now)


@pytest.fixture
def numbered(ledger):
    """
    A store with a signed list of numbers, and TCB infos 17 to 20.
    """
    fill(
        ledger,
        INTEL.numbers(),
        *(INTEL.tcb_info(number=number) for number in NUMBERS),
        *(INTEL.identity(number=number) for number in NUMBERS),
    )
    return ledger


class TestBaselines:
    @pytest.mark.parametrize(
        ("wish", "number", "baseline", "inferred"),
        [
            # 540 days before NOW lie between the events of 17 and 18.
            ({}, 17, "default", False),
            ({"update": Update.STANDARD}, 17, "default", False),
            ({"update": Update.EARLY}, 20, "early", True),
            ({"baseline": "default"}, 17, "default", False),
            ({"baseline": "early"}, 20, "early", True),
            ({"baseline": "standard"}, 17, "standard", True),
            (
                {"baseline": "standard", "update": Update.EARLY},
                20,
                "early",
                True,
            ),
            ({"baseline": "19"}, 19, "19", False),
            ({"baseline": "19", "update": Update.STANDARD}, 19, "19", False),
            ({"number": 18}, 18, "18", False),
            ({"custom_number": 18}, 18, "18", False),
        ],
    )
    def test_number(self, numbered, replica, wish, number, baseline, inferred):
        """
        What is wished decides on the number, and the answer says by which
        baseline.
        """
        answer = ask(replica, **wish)

        assert number == answer.held.evaluation_number
        assert (number, inferred) == (
            answer.choice.number,
            answer.choice.inferred,
        )
        assert baseline == answer.baseline
        assert INTEL.tcb_info(number=number) == answer.held.body

    @pytest.mark.parametrize(
        ("now", "standard", "default"),
        [
            (datetime(2025, 3, 1, tzinfo=UTC), 17, 17),
            (datetime(2025, 11, 11, tzinfo=UTC), 17, 17),
            (datetime(2025, 11, 12, tzinfo=UTC), 18, 17),
            (datetime(2026, 5, 5, tzinfo=UTC), 18, 17),
            (datetime(2026, 5, 6, tzinfo=UTC), 18, 18),
            (datetime(2026, 8, 12, tzinfo=UTC), 20, 18),
        ],
    )
    def test_time_moves_them(self, numbered, replica, now, standard, default):
        """
        A floating baseline moves with the clock, on the day that its rule
        names, and not before; it says when it will next.
        """
        for name, expected in (("standard", standard), ("default", default)):
            answer = ask(replica, now=now, baseline=name)

            assert expected == answer.held.evaluation_number
            assert answer.choice.until is None or answer.choice.until > now

    def test_channel_that_was_seen(self, numbered, replica):
        """
        Where the vendor's channel was seen, its own word counts.
        """
        numbered.observe_channel(Update.STANDARD, 19, source="-", seen=day(0))
        answer = ask(replica, baseline="standard")

        assert (19, False) == (answer.choice.number, answer.choice.inferred)

    def test_without_a_list(self, ledger, replica):
        """
        Without a signed list the newest archived number is the default, and
        marked as inferred.
        """
        fill(ledger, INTEL.tcb_info(number=16), INTEL.tcb_info(number=19))
        answer = ask(replica)

        assert (19, True) == (answer.choice.number, answer.choice.inferred)

    def test_empty(self, replica):
        """
        From an empty archive nothing is answered, and that is said.
        """
        with pytest.raises(NotFoundError, match="no document") as caught:
            ask(replica)

        assert "empty-archive" == caught.value.reason

    @pytest.mark.parametrize(
        ("wish", "reason"),
        [
            ({"baseline": "nightly"}, "unknown-baseline"),
            ({"baseline": "azure"}, "unknown-number"),
            ({"baseline": "16"}, "unknown-number"),
            ({"number": 16}, "unknown-number"),
        ],
    )
    @pytest.mark.parametrize("key", [KEY, QE])
    def test_unknown(self, numbered, replica, wish, reason, key):
        """
        Of a baseline or a number that nothing is known of there is no answer,
        and never that of another.
        """
        with pytest.raises(NotFoundError) as caught:
            ask(replica, key, **wish)

        assert reason == caught.value.reason

    @pytest.mark.parametrize("key", [PLATFORM, ROOT_CA_CRL])
    @pytest.mark.parametrize("baseline", ["16", "nightly"])
    def test_unknown_for_revocation(self, numbered, replica, key, baseline):
        """
        Nor is there a revocation list under it.
        """
        fill(numbered, INTEL.pck_crl(), INTEL.root_crl())

        with pytest.raises(NotFoundError):
            ask(replica, key, baseline=baseline)

    @pytest.mark.parametrize(
        "wish",
        [
            {"number": 18, "update": Update.EARLY},
            {"number": 18, "update": Update.STANDARD},
            {"number": 18, "custom_number": 19},
            {"baseline": "18", "number": 19},
            {"baseline": "18", "custom_number": 19},
        ],
    )
    def test_contradiction(self, numbered, replica, wish):
        """
        A wish that contradicts itself is refused.
        """
        with pytest.raises(ParameterError, match=r"tcbEval|customParameter"):
            ask(replica, **wish)

    def test_missing_member_of_a_set(self, ledger, replica):
        """
        A document that the number does not have is named with the number; no
        other number's is given.
        """
        fill(ledger, INTEL.identity(number=18), INTEL.tcb_info(number=17))

        with pytest.raises(
            NotFoundError,
            match="sgx:00606A000000/3 of TCB evaluation data number 18",
        ) as caught:
            ask(replica, number=18)
        assert "unknown-document" == caught.value.reason

    def test_unpinned_early(self, numbered, replica):
        """
        A baseline that is a number answers ``update=early`` too, and warns.
        """
        answer = ask(replica, baseline="18", update=Update.EARLY)

        assert 18 == answer.held.evaluation_number
        assert "baseline 18" in answer.choice.warning

    def test_a_set_is_of_one_number(self, numbered, replica):
        """
        TCB info and identity under one wish are of one number.
        """
        for wish in ({}, {"baseline": "19"}, {"update": Update.EARLY}):
            assert (
                ask(replica, KEY, **wish).held.evaluation_number
                == ask(replica, QE, **wish).held.evaluation_number
            )


class TestDocuments:
    def test_newest(self, numbered, replica):
        """
        Of several documents of one number the newest answers.
        """
        again = INTEL.tcb_info(number=18, issued=day(9))
        fill(numbered, again)

        assert again == ask(replica, number=18).held.body

    def test_expired(self, numbered, replica):
        """
        A document past its next update is answered, and flagged.
        """
        now = day(30)

        assert State.STALE is ask(replica, now=now).state
        assert (
            State.EXPIRED is ask(replica, now=now + timedelta(seconds=1)).state
        )

    @pytest.mark.parametrize(
        ("bodies", "structure", "is_other"),
        [
            ([2], 2, False),
            ([3], 3, True),
            ([2, 3], 2, False),
        ],
    )
    def test_layouts(self, ledger, replica, bodies, structure, is_other):
        """
        The layout that the API version speaks answers if there is one; else
        the other does, and says so.
        """
        fill(ledger, *(INTEL.tcb_info(structure=s) for s in bodies))
        answer = ask(replica, V2_KEY, KEY)

        assert (structure, is_other) == (
            answer.held.key.structure,
            answer.is_other_layout,
        )

    def test_unnumbered(self, numbered, replica):
        """
        A list of numbers is no baseline's matter, also where one is named.
        """
        key = numbers_key(Tee.SGX)
        for baseline, shown in ((None, "default"), ("18", "18")):
            answer = ask(replica, key, baseline=baseline)

            assert INTEL.numbers() == answer.held.body
            assert answer.choice is None
            assert shown == answer.baseline

    @pytest.mark.parametrize("key", [PLATFORM, ROOT_CA_CRL, V2_KEY])
    def test_unknown(self, numbered, replica, key):
        """
        A document that was never seen is not found, by its name.
        """
        with pytest.raises(NotFoundError, match=str(key)) as caught:
            ask(replica, key)

        assert "unknown-document" == caught.value.reason

    def test_revoked_signer(self, numbered, replica):
        """
        What a revoked signer signed is not answered, and that is why.
        """
        fill(numbered, INTEL.root_crl(issued=day(1), revoked=[SIGNER]))

        with pytest.raises(NotFoundError, match="signer") as caught:
            ask(replica, baseline="18")
        assert "signer-revoked" == caught.value.reason

    def test_revoked_signer_at(self, numbered, replica):
        """
        So it is for an instant at which the archive has documents.
        """
        fill(numbered, INTEL.root_crl(issued=day(1), revoked=[SIGNER]))

        with pytest.raises(NotFoundError) as caught:
            ask(replica, at=day(5), baseline="18")
        assert "signer-revoked" == caught.value.reason


class TestRevocationLists:
    def test_newest_whatever_the_baseline(self, numbered, replica):
        """
        Revocation is never pinned: every baseline has the newest list.
        """
        newest = INTEL.pck_crl(issued=day(9), revoked=[1])
        fill(numbered, INTEL.pck_crl(), newest)

        for baseline in (None, "default", "17", "18", "early", "standard"):
            answer = ask(replica, PLATFORM, baseline=baseline)
            assert newest == answer.held.body

    def test_chain(self, ledger, replica):
        """
        A PCK CA's list comes with that CA's chain.
        """
        fill(ledger, INTEL.pck_crl())
        answer = ask(replica, PLATFORM)

        expected = to_pem((INTEL.platform_ca, INTEL.root))
        assert expected == answer.issuer_chain

    @pytest.mark.parametrize(
        ("lists", "expected"),
        [
            ([], (INTEL.root,)),
            ([PckCa.PLATFORM], (INTEL.platform_ca, INTEL.root)),
            (list(PckCa), (INTEL.processor_ca, INTEL.root)),
        ],
    )
    def test_chain_of_the_root(self, ledger, replica, lists, expected):
        """
        The root CA's list comes with a chain of two certificates, a PCK CA's,
        where one is known: clients want two.
        """
        fill(ledger, INTEL.root_crl(), *(INTEL.pck_crl(ca=ca) for ca in lists))
        answer = ask(replica, ROOT_CA_CRL)

        assert INTEL.root_crl() == answer.held.body
        assert to_pem(expected) == answer.issuer_chain

    def test_chain_of_a_revoked_ca(self, ledger, replica):
        """
        A CA that is revoked does not lend its chain.
        """
        serial = INTEL.processor_ca.serial_number
        fill(ledger, *(INTEL.pck_crl(ca=ca) for ca in PckCa))
        fill(ledger, INTEL.root_crl(issued=day(1), revoked=[serial]))
        answer = ask(replica, ROOT_CA_CRL)

        expected = to_pem((INTEL.platform_ca, INTEL.root))
        assert expected == answer.issuer_chain


class TestAt:
    @pytest.fixture
    def history(self, ledger):
        """
        A store with two documents of one number and a gap between them, and
        lists of numbers and revocations that grow.
        """
        fill(
            ledger,
            INTEL.tcb_info(issued=day(0)),
            INTEL.tcb_info(issued=day(60)),
            INTEL.tcb_info(number=18, issued=day(60)),
            INTEL.numbers(issued=day(0), numbers={17: NUMBERS[17]}),
            INTEL.numbers(
                issued=day(60), numbers={17: NUMBERS[17], 18: NUMBERS[18]}
            ),
            INTEL.pck_crl(issued=day(0)),
            INTEL.pck_crl(issued=day(60), revoked=[1]),
        )
        return ledger

    @pytest.mark.parametrize(
        ("at", "issued", "has_gap"),
        [
            (day(0), 0, False),
            (day(30), 0, False),
            (day(31), 0, True),
            (day(60), 60, False),
            (NOW, 60, True),
        ],
    )
    def test_what_was_current(self, history, replica, at, issued, has_gap):
        """
        The newest document issued by then answers; where none was valid, the
        answer says that there is a gap.
        """
        answer = ask(replica, at=at, number=17)

        assert day(issued) == answer.held.issued
        assert has_gap == answer.has_gap

    def test_revocation_lists_too(self, history, replica):
        """
        As of an instant even revocation is that of then.
        """
        answer = ask(replica, PLATFORM, at=day(59))

        assert day(0) == answer.held.issued

    def test_chain_of_the_root(self, history, replica):
        """
        And the chain beside the root CRL is one of then.
        """
        fill(history, INTEL.root_crl(issued=day(-5)))
        before = ask(replica, ROOT_CA_CRL, at=day(-1))
        after = ask(replica, ROOT_CA_CRL, at=day(1))

        assert to_pem((INTEL.root,)) == before.issuer_chain
        assert to_pem((INTEL.platform_ca, INTEL.root)) == after.issuer_chain

    def test_numbers_of_then(self, history, replica):
        """
        A floating baseline floats as it did then.
        """
        assert 17 == ask(replica, at=day(59), baseline="early").choice.number
        assert 18 == ask(replica, at=day(61), baseline="early").choice.number

    def test_number_that_came_later(self, history, replica):
        """
        A number that is known by now, but had no document then, is missing
        for being too early, not for being unknown.
        """
        with pytest.raises(
            NotFoundError, match="begins at 2025-08-04T03:43:45Z"
        ) as caught:
            ask(replica, at=day(59), number=18)
        assert "before-archive" == caught.value.reason

    def test_before_the_archive(self, history, replica):
        """
        Before its begin the archive has nothing, and says where it begins.
        """
        with pytest.raises(
            NotFoundError, match="begins at 2025-06-05T03:43:45Z"
        ) as caught:
            ask(replica, at=day(-1), number=17)
        assert "before-archive" == caught.value.reason

    def test_unknown_document(self, history, replica):
        """
        What was never archived is unknown at any instant.
        """
        with pytest.raises(NotFoundError) as caught:
            ask(replica, QE, at=day(1), number=17)
        assert "unknown-document" == caught.value.reason

    def test_before_everything(self, history, replica):
        """
        A floating baseline before the archive begins has nothing to choose.
        """
        with pytest.raises(NotFoundError):
            ask(replica, at=day(-1))

    def test_future(self, history, replica):
        """
        What will be current is not known.
        """
        with pytest.raises(ParameterError, match=r"at: got .* no later than"):
            ask(replica, at=NOW + timedelta(seconds=1))


class TestOneGeneration:
    def test_unreadable(self, store, ledger, replica):
        """
        Where the store cannot be read there is no answer, and a retry may
        help.
        """
        fill(ledger, INTEL.tcb_info())
        ledger.close()
        raw = store.read_bytes()
        store.write_bytes(raw[:4096] + bytes(len(raw) - 4096))

        with pytest.raises(UnavailableError, match="cannot be read"):
            ask(replica)

    def test_no_snapshot_left_open(self, numbered, replica):
        """
        After an answer, or none, the reader sees what is new.
        """
        with contextlib.suppress(NotFoundError):
            ask(replica, PLATFORM)
        fill(numbered, INTEL.pck_crl(issued=ISSUED))

        assert ask(replica, PLATFORM).held.issued == ISSUED
