"""
What is taken of platforms that somebody brings.
"""

import dataclasses

import pytest

from tests.platforms import FMSPC, NOW, issue, platform_id, records, tcbm
from thim.collateral.platforms import RegisteredBy
from thim.errors import OperatorError
from thim.services.ingest import ingest
from thim.services.register import Brought, Registrar, manifest_context
from thim.simulate.pki import Intel
from thim.store.seal import Sealer
from thim.x509.chain import to_pem


LOW, AT = tcbm(1, 1), tcbm(4, 4)
OTHER_PPID = {"ppid": b"another PPID...."}
SEALER = Sealer(bytes(range(32)))


@pytest.fixture
def ledger(ledger, intel):
    """
    A store that knows Intel's CAs, opened for writing.
    """
    files = [("ca.pem", to_pem(intel.certificates))]
    list(ingest(files, ledger=ledger, now=NOW))
    return ledger


def bring(intel, who="one", *at, **changes):
    """
    A platform with certificates for the TCBs *at*.
    """
    values = {
        "source": "test",
        "raw_tcbs": (AT,),
        "certificates": tuple(issue(intel, who, one) for one in at),
        **changes,
    }
    return Brought(id=platform_id(who), **values)


def take(ledger, *brought):
    """
    Take platforms in.
    """
    return Registrar(ledger, NOW, SEALER).take(brought)


def test_taken(ledger, reader, intel):
    """
    A platform with genuine certificates is known, and answered for.
    """
    (taken,) = take(ledger, bring(intel, "one", LOW, AT))
    found = reader.find_platform(taken.id)

    assert (taken.row, FMSPC, RegisteredBy.CERTIFICATES) == (
        found.row,
        found.fmspc,
        found.registered_by,
    )
    assert AT == reader.find_answer(taken.id, AT).tcbm


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"enc_ppid": b"\1" * 384}, RegisteredBy.ENCRYPTED_PPID),
        ({"manifest": b"manifest"}, RegisteredBy.MANIFEST),
        (
            {"manifest": b"manifest", "enc_ppid": b"\1" * 384},
            RegisteredBy.MANIFEST,
        ),
    ],
)
def test_registered_by(ledger, reader, intel, changes, expected):
    """
    What a vendor can be asked with says how a platform is registered; it
    needs no certificates yet.
    """
    (taken,) = take(ledger, bring(intel, **changes))

    assert expected is reader.find_platform(taken.id).registered_by


def test_manifest_sealed(ledger, replica, intel):
    """
    A manifest lies sealed in the store, for its own platform only.
    """
    (taken,) = take(ledger, bring(intel, manifest=b"a manifest in clear"))
    ((sealed,),) = replica.rows("SELECT manifest FROM platform_secrets")

    assert b"clear" not in sealed
    opened = SEALER.open(sealed, manifest_context(taken.id))
    assert b"a manifest in clear" == opened


def test_no_key(ledger, intel):
    """
    A manifest without a key to seal it with is an error, not a platform.
    """
    with pytest.raises(OperatorError, match="no key"):
        Registrar(ledger, NOW).take([bring(intel, manifest=b"x")])


def test_foreign(ledger, reader, replica, intel):
    """
    Forged certificates are refused and quarantined; the platform is not
    known, and others are taken.
    """
    forged = bring(intel, certificates=(issue(Intel(seed="other"), "one", AT),))
    good = bring(intel, "two", AT)
    one, two = take(ledger, forged, good)

    assert ("signature-invalid", None) == (one.reason, one.row)
    assert reader.find_platform(one.id) is None
    assert reader.find_platform(two.id) is not None
    assert [("signature-invalid",)] == replica.rows(
        "SELECT reason FROM quarantine"
    )


def test_other_ppid(ledger, reader, replica, intel):
    """
    Certificates with another PPID than the QE ID has are quarantined.
    """
    take(ledger, bring(intel, "one", AT))
    other = (issue(intel, "one", LOW, **OTHER_PPID),)
    (taken,) = take(ledger, bring(intel, certificates=other))
    platform = reader.find_platform(taken.id)

    assert "ppid-conflict" == taken.reason
    assert [AT] == [held.tcbm for held in reader.certificates(platform)]
    assert [("ppid-conflict",)] == replica.rows("SELECT reason FROM quarantine")
    assert OTHER_PPID["ppid"].hex() not in taken.detail


def test_two_ppids(ledger, reader, intel):
    """
    Certificates of two machines are not one platform's.
    """
    mixed = (issue(intel, "one", AT), issue(intel, "one", LOW, **OTHER_PPID))
    (taken,) = take(ledger, bring(intel, certificates=mixed))

    assert "ppid-conflict" == taken.reason
    assert reader.find_platform(taken.id) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pce_id": b"\1\0"}, "pce-id"),
        ({"fmspc": bytes(6)}, "fmspc-conflict"),
    ],
)
def test_conflict(ledger, intel, changes, reason):
    """
    Certificates with another PCE ID, or of more than one FMSPC, are refused.
    """
    certificates = (
        issue(intel, "one", AT),
        issue(intel, "one", LOW, **changes),
    )
    (taken,) = take(ledger, bring(intel, certificates=certificates))

    assert reason == taken.reason


def test_name_taken(ledger, reader, intel):
    """
    A name that another platform has stops that one platform only.
    """
    take(ledger, bring(intel, "one", name="rack 1"))
    results = take(
        ledger,
        bring(intel, "two", name="rack 1"),
        bring(intel, "three", name="rack 3"),
    )

    assert ["platform-name", None] == [taken.reason for taken in results]
    assert reader.find_by_name("rack 3").id == platform_id("three")


def test_twins(ledger, reader, intel):
    """
    A platform that comes twice in one list is taken twice.
    """
    one = bring(intel, "one", LOW)
    again = dataclasses.replace(bring(intel, "one", AT), raw_tcbs=(LOW,))
    results = take(ledger, one, bring(intel, "two"), again)
    platform = reader.find_platform(one.id)

    assert 3 == len(results)
    assert results[0].row == results[2].row
    assert (AT, LOW) == platform.raw_tcbs
    assert 2 == len(reader.certificates(platform))


def test_new_or_known(ledger, intel):
    """
    It is said whether a platform was known before.
    """
    results = [take(ledger, bring(intel, "one", AT))[0] for _ in range(2)]

    assert [True, False] == [taken.is_new for taken in results]


def test_verified_before(ledger, reader, intel):
    """
    Certificates that were verified already are taken as they are.
    """
    (taken,) = take(
        ledger, bring(intel, certificates=records(intel, "one", LOW, AT))
    )

    assert AT == reader.find_answer(taken.id, AT).tcbm


def test_verified_other_ppid(ledger, replica, intel):
    """
    They are compared with what is known all the same.
    """
    take(ledger, bring(intel, "one", AT))
    other = records(intel, "one", LOW, **OTHER_PPID)
    (taken,) = take(ledger, bring(intel, certificates=other))

    assert "ppid-conflict" == taken.reason
    assert [(other[0].pem,)] == replica.rows("SELECT body FROM quarantine")


def test_many_names_taken(ledger, intel):
    """
    Of many that come at once, each whose name is taken is refused alone.
    """
    take(ledger, bring(intel, "one", name="1"))
    many = [bring(intel, f"other {i}", name=f"{i}") for i in range(20)]
    results = take(ledger, *many, bring(intel, "last", name="5"))

    assert [1, 20] == [i for i, r in enumerate(results) if r.row is None]


@pytest.mark.parametrize("is_registration", [True, False])
def test_retired(ledger, reader, intel, is_registration):
    """
    A platform that was retired is in service again when it is registered, and
    not when the vendor was asked again.
    """
    (taken,) = take(ledger, bring(intel, "one", AT))
    ledger.platforms.retire(taken.row, actor="test", now=NOW)
    again = bring(intel, "one", AT, is_registration=is_registration)
    take(ledger, again)
    retired = reader.find_platform(taken.id).retired

    assert is_registration == (retired is None)


class TestAnybody:
    """
    What came because anybody asked.
    """

    def test_gives_way(self, ledger, reader, intel):
        """
        Certificates that came because anybody asked under this QE ID give way
        to those of somebody who may register it, all of them at once.
        """
        stolen = bring(
            intel,
            certificates=tuple(
                issue(intel, "one", at, **OTHER_PPID) for at in (LOW, AT)
            ),
            enc_ppid=b"\2" * 384,
            is_vouched=False,
        )
        (first,) = take(ledger, stolen)
        (taken,) = take(ledger, bring(intel, "one", AT))
        platform = reader.find_platform(taken.id)
        held = reader.certificates(platform)

        assert (None, None) == (first.reason, taken.reason)
        assert [AT] == [one.tcbm for one in held]
        assert held[0].pem == reader.find_answer(taken.id, AT).pem

    def test_registered_first(self, ledger, reader, intel):
        """
        Who registers a platform without certificates has those that come by
        what was given replace anybody's.
        """
        stolen = bring(
            intel,
            certificates=(issue(intel, "one", AT, **OTHER_PPID),),
            is_vouched=False,
        )
        take(ledger, stolen, bring(intel, enc_ppid=b"\1" * 384))
        (taken,) = take(ledger, bring(intel, "one", AT))

        assert taken.reason is None
        assert reader.find_platform(taken.id).ca is not None

    def test_changes_nothing(self, ledger, reader, replica, intel):
        """
        Of a platform that somebody stands behind, anybody changes neither
        certificates nor what the vendor is asked by.
        """
        take(ledger, bring(intel, "one", AT, enc_ppid=b"\1" * 384))
        (other,) = take(
            ledger,
            bring(
                intel,
                certificates=(issue(intel, "one", LOW, **OTHER_PPID),),
                is_vouched=False,
            ),
        )
        (same,) = take(
            ledger,
            bring(intel, "one", AT, enc_ppid=b"\2" * 384, is_vouched=False),
        )

        assert ("ppid-conflict", None) == (other.reason, same.reason)
        assert [(b"\1" * 384,)] == replica.rows(
            "SELECT enc_ppid FROM platform_secrets"
        )

    def test_forgotten(self, ledger, reader, replica, intel):
        """
        Who registers a platform that just anybody asked for begins anew:
        neither answers nor secrets of another machine are left.
        """
        stolen = bring(
            intel,
            certificates=(issue(intel, "one", AT, **OTHER_PPID),),
            enc_ppid=b"\2" * 384,
            is_vouched=False,
        )
        take(ledger, stolen, bring(intel, raw_tcbs=(LOW,), manifest=b"mine"))
        platform = reader.find_platform(platform_id("one"))

        assert ((LOW,), None, None) == (
            platform.raw_tcbs,
            platform.ca,
            platform.looked,
        )
        assert reader.find_answer(platform.id, AT) is None
        assert [] == list(reader.certificates(platform))
        assert [(None,)] == replica.rows(
            "SELECT enc_ppid FROM platform_secrets"
        )

    def test_same_machine(self, ledger, reader, intel):
        """
        Certificates of the same PPID show that it was the same machine: what
        is known of it stays.
        """
        take(ledger, bring(intel, "one", AT, is_vouched=False))
        take(ledger, bring(intel, "one", LOW, raw_tcbs=(LOW,)))
        platform = reader.find_platform(platform_id("one"))

        assert (AT, LOW) == platform.raw_tcbs
        assert reader.find_answer(platform.id, AT) is not None

    def test_two_anybodies(self, ledger, intel):
        """
        Of two who just ask, the first counts.
        """
        first = bring(intel, "one", AT, is_vouched=False)
        second = bring(
            intel,
            certificates=(issue(intel, "one", AT, **OTHER_PPID),),
            is_vouched=False,
        )
        one, two = take(ledger, first, second)

        assert (None, "ppid-conflict") == (one.reason, two.reason)
