import sqlite3

from datetime import UTC, datetime, timedelta

import pytest

from tests.services.made import (
    CHAINS,
    INTEL,
    NOW,
    STRANGER,
    day,
    der,
    fill,
    names,
    summary,
    take,
    take_one,
)
from tests.store.made import all_stored
from thim.collateral.transition import Transition
from thim.intel.authorities import Authority
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.services.ingest import Outcome, ingest
from thim.simulate.pki import ISSUED, SIGNER_UNTIL


def read_quarantine(store) -> list[tuple[bytes, str, str]]:
    """
    Return body, source and reason of all that was refused.
    """
    db = sqlite3.connect(store)
    rows = db.execute(
        "SELECT body, source, reason FROM quarantine ORDER BY id"
    ).fetchall()
    db.close()
    return rows


class TestCertificates:
    def test_accepted_and_known(self, ledger):
        """
        A file of certificates is accepted once and known ever after.
        """
        first = take(ledger, {"chains.pem": CHAINS})["chains.pem"]
        again = take(ledger, {"chains.pem": CHAINS})["chains.pem"]

        assert [("accepted", None)] * 4 == summary(first)
        assert [("known", None)] * 4 == summary(again)
        assert set(INTEL.certificates) == set(ledger.certificates())

    def test_named(self, ledger):
        """
        Each is named, dated, and no record.
        """
        result = take(ledger, {"a": der(INTEL.root)})["a"][0]

        assert "certificate 'Intel SGX Root CA'" == result.what
        assert INTEL.root.not_valid_before_utc == result.issued
        assert (None, None) == (result.transition, result.evaluation_number)

    def test_root_comes_first(self, ledger):
        """
        A CA is accepted whether its root is in a file before or behind.
        """
        found = take(ledger, {"a": der(INTEL.signer), "b": der(INTEL.root)})

        assert Outcome.ACCEPTED is found["a"][0].outcome

    @pytest.mark.parametrize(
        ("certificate", "reason"),
        [
            (STRANGER.root, "root-untrusted"),
            (STRANGER.signer, "no-issuer-chain"),
            (
                INTEL.certificate(
                    Authority.TCB_SIGNING, name="Intel SGX PCK Certificate"
                ),
                "pck-certificate",
            ),
            (
                INTEL.certificate(Authority.ROOT, name="ARK-Milan"),
                "foreign-certificate",
            ),
            (
                INTEL.certificate(
                    Authority.TCB_SIGNING, since=NOW + timedelta(days=1)
                ),
                "certificate-dates",
            ),
        ],
    )
    def test_refused(self, ledger, certificate, reason):
        """
        What is not one of Intel's authorities is refused by name.
        """
        result = take_one(ledger, der(certificate))

        assert (Outcome.REFUSED, reason) == (result.outcome, result.reason)
        assert result.detail
        assert certificate not in ledger.certificates()

    def test_foreign_by_name(self, ledger):
        """
        Whose certificate it is stands in the refusal.
        """
        foreign = INTEL.certificate(Authority.ROOT, name="SEV-VCEK")
        result = take_one(ledger, der(foreign))

        assert "certificate 'SEV-VCEK'" == result.what
        assert (
            "certificate of 'SEV-VCEK', which is not an Intel CA"
            == result.detail
        )

    def test_revoked(self, ledger):
        """
        A CA that the root CRL revokes is refused.
        """
        fill(ledger, INTEL.root_crl(revoked=[4711]))
        second = INTEL.certificate(Authority.TCB_SIGNING, serial=4711)

        assert "revoked" == take_one(ledger, der(second)).reason

    def test_revoked_in_the_same_run(self, ledger):
        """
        So it is when the root CRL comes with it: that two runs say the same
        of one folder does not depend on what the first one learnt.
        """
        second = INTEL.certificate(Authority.TCB_SIGNING, serial=4711)
        files = {
            "chains.pem": CHAINS,
            "second.der": der(second),
            "root.crl": INTEL.root_crl(revoked=[4711]),
        }
        first = take(ledger, files)["second.der"]

        assert summary(first) == summary(take(ledger, files)["second.der"])


class TestRevocationLists:
    @pytest.mark.parametrize("ca", PckCa)
    def test_accepted_and_known(self, ledger, ca):
        """
        A list of either PCK CA is accepted, then known.
        """
        crl = INTEL.pck_crl(ca=ca)
        first, again = take_one(ledger, crl), take_one(ledger, crl)

        assert f"intel/pck-crl/{ca.value}/0" == first.what
        assert (Outcome.ACCEPTED, Transition.NEWER) == (
            first.outcome,
            first.transition,
        )
        assert (Outcome.KNOWN, Transition.EQUAL) == (
            again.outcome,
            again.transition,
        )

    def test_root(self, ledger):
        """
        So is the root CA's, without any chain but the root itself.
        """
        take(ledger, {"root": der(INTEL.root)})
        (result,) = take(ledger, {"crl": INTEL.root_crl()})["crl"]

        assert "intel/root-ca-crl/root/0" == result.what

    def test_order_is_by_date(self, ledger):
        """
        An earlier list is older, whatever its CRL number.
        """
        fill(ledger, INTEL.pck_crl(issued=day(1), number=1))
        result = take_one(ledger, INTEL.pck_crl(issued=day(0), number=9))

        assert (Outcome.ACCEPTED, Transition.OLDER) == (
            result.outcome,
            result.transition,
        )

    @pytest.mark.parametrize(
        ("crl", "reason"),
        [
            (INTEL.pck_crl(revoked=[1]), "fork"),
            (INTEL.pck_crl(issued=NOW + timedelta(days=1)), "not-yet-valid"),
            (STRANGER.pck_crl(), "signature-invalid"),
            (STRANGER.root_crl(), "signature-invalid"),
            (
                INTEL.crl(Authority.PCK_PLATFORM, name="Foreign"),
                "unknown-issuer",
            ),
            (INTEL.crl(Authority.TCB_SIGNING), "unknown-issuer"),
            (
                INTEL.pck_crl(
                    issued=SIGNER_UNTIL + timedelta(days=1),
                ),
                "not-yet-valid",
            ),
        ],
    )
    def test_refused(self, ledger, store, crl, reason):
        """
        A list that contradicts another, or is not Intel's, is refused with a
        reason and quarantined.
        """
        fill(ledger, INTEL.pck_crl())
        result = take_one(ledger, crl)

        assert (Outcome.REFUSED, reason) == (result.outcome, result.reason)
        assert (crl, "file", reason) in read_quarantine(store)

    def test_before_its_signer(self, ledger):
        """
        A list that is older than every certificate of its CA has no chain.
        """
        early = INTEL.pck_crl(issued=datetime(2018, 1, 1, tzinfo=UTC))

        assert "no-issuer-chain" == take_one(ledger, early).reason

    def test_newest_root_crl_decides(self, ledger):
        """
        Of two root CRLs in one run the newest decides on all documents, in
        whatever order the files come.
        """
        files = {
            "chains": CHAINS,
            "tcb": INTEL.tcb_info(),
            "old": INTEL.root_crl(
                issued=day(0), revoked=[INTEL.signer.serial_number]
            ),
            "new": INTEL.root_crl(issued=day(1)),
        }
        for order in (files, dict(reversed(files.items()))):
            found = take(ledger, order)

            assert "refused" not in {r.outcome.value for r in found["tcb"]}
        assert day(1) == ledger.root_crl().this_update

    def test_revoked_ca(self, ledger):
        """
        The list of a CA that the root CRL revokes is refused.
        """
        serial = INTEL.platform_ca.serial_number
        fill(ledger, INTEL.root_crl(revoked=[serial]))

        assert "revoked" == take_one(ledger, INTEL.pck_crl()).reason


class TestSignedDocuments:
    @pytest.mark.parametrize(
        ("body", "what", "number"),
        [
            (INTEL.tcb_info(), "intel/tcb-info/sgx:00606A000000/3", 17),
            (
                INTEL.tcb_info(tee=Tee.TDX, fmspc="50806f000000", number=18),
                "intel/tcb-info/tdx:50806F000000/3",
                18,
            ),
            (
                INTEL.tcb_info(structure=2),
                "intel/tcb-info/sgx:00606A000000/2",
                17,
            ),
            (
                INTEL.tcb_info(structure=1),
                "intel/tcb-info/sgx:00606A000000/1",
                None,
            ),
            *(
                (INTEL.identity(kind=kind), f"intel/identity/{name}/2", 17)
                for kind, name in zip(
                    EnclaveKind, ("qe", "qve", "td-qe", "qae"), strict=True
                )
            ),
            (
                INTEL.numbers(tee=Tee.TDX),
                "intel/tcb-evaluation-data-numbers/tdx/1",
                None,
            ),
        ],
    )
    def test_accepted(self, ledger, body, what, number):
        """
        Each kind is accepted under its own name, and its very bytes are kept.
        """
        result = take_one(ledger, body)

        assert (Outcome.ACCEPTED, Transition.NEWER, what, number) == (
            result.outcome,
            result.transition,
            result.what,
            result.evaluation_number,
        )
        assert body in [s.record.body for s in all_stored(ledger)]

    def test_known(self, ledger):
        """
        The same signed bytes are known, also in another envelope.
        """
        body = INTEL.tcb_info()
        fill(ledger, body)

        for again in (body, b" " + body + b"\n"):
            result = take_one(ledger, again)
            assert (Outcome.KNOWN, Transition.EQUAL) == (
                result.outcome,
                result.transition,
            )

    def test_age_does_not_matter(self, ledger):
        """
        A document that expired years ago is as welcome as a new one.
        """
        result = take_one(ledger, INTEL.tcb_info(), NOW + timedelta(days=9000))

        assert Outcome.ACCEPTED is result.outcome

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (INTEL.tcb_info(changes={"pceId": "0001"}), "fork"),
            (
                INTEL.tcb_info(issued=NOW + timedelta(minutes=6)),
                "not-yet-valid",
            ),
            (INTEL.tcb_info(next_update=ISSUED), "date"),
            (INTEL.tcb_info(changes={"issueDate": "yesterday"}), "date"),
            (INTEL.tcb_info(changes={"version": 4}), "version"),
            (INTEL.tcb_info(changes={"tcbType": 1}), "tcb-type"),
            (INTEL.tcb_info(changes={"fmspc": "00"}), "hex"),
            (INTEL.tcb_info(changes={"tcbLevels": []}), "tcb-levels"),
            (INTEL.tcb_info(changes={"pceId": None}), "fields"),
            (INTEL.tcb_info(changes={"id": "SEV"}), "id"),
            (INTEL.identity(changes={"id": "VM"}), "id"),
            (STRANGER.tcb_info(), "signature-invalid"),
            (STRANGER.numbers(), "signature-invalid"),
            (
                INTEL.tcb_info().replace(b'"0000"', b'"0001"'),
                "signature-invalid",
            ),
            (
                INTEL.tcb_info(key=INTEL.key(Authority.PCK_PLATFORM)),
                "signature-invalid",
            ),
            (
                INTEL.tcb_info(issued=datetime(2017, 1, 1, tzinfo=UTC)),
                "no-issuer-chain",
            ),
        ],
    )
    def test_refused(self, ledger, store, body, reason):
        """
        What is wrong with a document is named; it is quarantined with that
        name and does not enter the archive.
        """
        fill(ledger, INTEL.tcb_info())
        before = names(ledger)
        result = take_one(ledger, body)

        assert (Outcome.REFUSED, reason) == (result.outcome, result.reason)
        assert result.detail
        assert [(body, "file", reason)] == read_quarantine(store)
        assert before == names(ledger)

    @pytest.mark.parametrize(
        ("body", "what"),
        [
            (STRANGER.tcb_info(), "tcbInfo"),
            (STRANGER.root_crl(), "CRL of 'Intel SGX Root CA'"),
        ],
    )
    def test_refused_by_name(self, ledger, body, what):
        """
        A refused document is named as far as it could be read.
        """
        assert what == take_one(ledger, body).what

    def test_without_any_chain(self, ledger):
        """
        Without certificates no document can be verified, and that is what
        the refusal says.
        """
        (result,) = take(ledger, {"tcb": INTEL.tcb_info()})["tcb"]

        assert "no-issuer-chain" == result.reason

    def test_refused_then_accepted(self, ledger):
        """
        What was refused for want of a chain is accepted once it is known.
        """
        take(ledger, {"tcb": INTEL.tcb_info()})

        assert Outcome.ACCEPTED is take_one(ledger, INTEL.tcb_info()).outcome

    def test_revoked_signer(self, ledger):
        """
        A document of a revoked signer is refused, however old it is.
        """
        serial = INTEL.signer.serial_number
        fill(ledger, INTEL.root_crl(issued=day(9), revoked=[serial]))
        result = take_one(ledger, INTEL.tcb_info(issued=day(0)))

        assert (Outcome.REFUSED, "revoked") == (result.outcome, result.reason)

    def test_second_certificate_of_the_signer(self, ledger):
        """
        Where a signer's key has two certificates and one is revoked, the
        document holds under the other.
        """
        second = INTEL.certificate(
            Authority.TCB_SIGNING, serial=4711, since=ISSUED - timedelta(9)
        )
        take(ledger, {"chains": CHAINS, "second": der(second)})
        fill(ledger, INTEL.root_crl(revoked=[4711]))

        assert Outcome.ACCEPTED is take_one(ledger, INTEL.tcb_info()).outcome

    def test_result_follows_the_commit(self, ledger, store):
        """
        When a result is yielded, its document can be read by others.
        """
        files = {"chains": CHAINS, "tcb": INTEL.tcb_info()}
        counts = []
        for result in ingest(files.items(), ledger=ledger, now=NOW):
            db = sqlite3.connect(store)
            table = "records" if result.transition else "certificates"
            (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
            db.close()
            counts.append(count)

        assert [1, 2, 3, 4, 1] == counts
