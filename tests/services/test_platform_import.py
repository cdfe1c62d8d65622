"""
What becomes of many platforms that are taken in at once.
"""

import gc
import io
import json
import multiprocessing

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.bulk import (
    AT,
    LOW,
    MANIFEST,
    collaterals,
    csv_line,
    registered,
    with_certificates,
)
from tests.platforms import FMSPC, NOW, platform_id
from thim.collateral.platforms import RegisteredBy
from thim.errors import OperatorError
from thim.services.ingest import ingest
from thim.services.platform_files import read_documents, read_platforms
from thim.services.platform_import import Outcome, PlatformImport
from thim.services.platform_sheets import Sheet
from thim.services.register import manifest_context
from thim.simulate.fleet import make_fleet
from thim.simulate.pki import Intel
from thim.store.seal import Sealer
from thim.x509.chain import to_pem


SEALER = Sealer(bytes(range(32)))


@pytest.fixture
def ledger(ledger, intel):
    """
    A store that knows Intel's CAs, opened for writing.
    """
    files = [("ca.pem", to_pem(intel.certificates))]
    list(ingest(files, ledger=ledger, now=NOW))
    return ledger


def take(ledger, content, **options):
    """
    Take the platforms in *content* and return all results.
    """
    found = read_platforms(io.BytesIO(content.encode()))
    return take_sheets(ledger, found, **options)


def take_sheets(ledger, found, provide=lambda: SEALER, **options):
    """
    Take what was *found* and return all results.
    """
    with PlatformImport(ledger, NOW, provide, **options) as run:
        batches = list(run.take("file", found))
    return [result for batch in batches for result in batch]


def outcomes(results):
    """
    Return line, outcome and reason of each.
    """
    return [(r.line, r.outcome.value, r.reason) for r in results]


def fleet(intel, count):
    """
    A fleet, each machine with one certificate, as a file has it.
    """
    for n, one in enumerate(make_fleet(intel, FMSPC, count, keys=8), 1):
        certificate = x509.load_der_x509_certificate(one.certificate)
        yield Sheet(
            line=n,
            id=platform_id(f"{n}"),
            pems=(certificate.public_bytes(Encoding.PEM),),
        )


def test_csv(ledger, reader):
    """
    Platforms of the retrieval tool are known afterwards, without
    certificates.
    """
    results = take(ledger, f"{csv_line('one')}\n{csv_line('two')}\n")
    found = reader.find_platform(platform_id("two"))

    assert [(1, "new", None), (2, "new", None)] == outcomes(results)
    assert (RegisteredBy.ENCRYPTED_PPID, (AT,), None) == (
        found.registered_by,
        found.raw_tcbs,
        found.fmspc,
    )


def test_again(ledger, reader):
    """
    What comes again is known, and nothing is there twice.
    """
    for expected in ("new", "known"):
        results = take(ledger, csv_line("one"))
        assert [(1, expected, None)] == outcomes(results)

    assert 1 == len(list(reader.platforms()))


def test_upload(ledger, reader, intel):
    """
    What pccsadmin puts is taken: platforms, and their certificates answer.
    """
    one = with_certificates(intel, "one", LOW, AT)
    results = take(
        ledger, json.dumps(collaterals(intel, [registered("one")], [one]))
    )

    assert ["new", "known"] == [r.outcome.value for r in results]
    assert [0, 2] == [r.certificates for r in results]
    assert AT == reader.find_answer(platform_id("one"), AT).tcbm


def test_documents(ledger, replica, intel):
    """
    The documents of an upload hold, though the tool wrote them out again.
    """
    content = json.dumps(collaterals(intel, [], []), indent=4).encode()
    results = list(
        ingest(read_documents(io.BytesIO(content)), ledger=ledger, now=NOW)
    )

    assert [] == [r for r in results if r.reason]
    assert {
        "intel/tcb-info/sgx:00606A000000/3",
        "intel/identity/qe/2",
        "intel/pck-crl/platform/0",
        "intel/root-ca-crl/root/0",
    } == {str(entry.key) for entry in replica.entries()}


def test_foreign(ledger, reader, replica):
    """
    Certificates of somebody else's are refused by line and reason, and are
    in quarantine; others are taken.
    """
    stranger = with_certificates(Intel(seed="other"), "one", AT)
    text = {"collaterals": {"pck_certs": [stranger]}}
    results = take(ledger, json.dumps(text))

    assert [(1, "refused", "signature-invalid")] == outcomes(results)
    assert reader.find_platform(platform_id("one")) is None
    assert [("file:1", "signature-invalid")] == replica.rows(
        "SELECT source, reason FROM quarantine"
    )


@pytest.mark.parametrize("cert", ["x", "%2D%2D", "-----BEGIN X"])
def test_no_certificate(ledger, replica, intel, cert):
    """
    What is no certificate is refused, the others of the batch are taken.
    """
    bad = with_certificates(intel, "one", certs=[{"cert": cert}])
    good = with_certificates(intel, "two", AT)
    results = take(
        ledger, json.dumps({"collaterals": {"pck_certs": [bad, good]}})
    )

    assert [("refused", "malformed"), ("new", None)] == [
        (r.outcome.value, r.reason) for r in results
    ]
    assert platform_id("one") == results[0].platform
    assert [("malformed",)] == replica.rows("SELECT reason FROM quarantine")


def test_two_in_one(ledger, intel):
    """
    Two certificates in the place of one are refused.
    """
    one = with_certificates(intel, "one", AT, LOW)
    both = "".join(each["cert"] for each in one["certs"])
    one["certs"] = [{"cert": both}]
    results = take(ledger, json.dumps({"collaterals": {"pck_certs": [one]}}))

    assert [(1, "refused", "pem")] == outcomes(results)


def test_manifest(ledger, replica):
    """
    A manifest is sealed, and the key asked for once.
    """
    asked = []

    def provide():
        asked.append(1)
        return SEALER

    lines = [f"{csv_line(who)},{MANIFEST.hex()}" for who in ("one", "two")]
    take_sheets(
        ledger,
        read_platforms(io.BytesIO("\n".join(lines).encode())),
        provide=provide,
    )
    sealed = replica.rows("SELECT manifest FROM platform_secrets")[0][0]

    assert [1] == asked
    context = manifest_context(platform_id("one"))
    assert MANIFEST == SEALER.open(sealed, context)


def test_no_manifest(ledger):
    """
    Without a manifest nobody is asked for a key.
    """

    def provide():
        pytest.fail("a key was asked for")

    found = read_platforms(io.BytesIO(csv_line("one").encode()))

    assert 1 == len(take_sheets(ledger, found, provide=provide))


def test_order(ledger):
    """
    Results come in the order of the lines, refusals among them.
    """
    lines = [csv_line("one"), "x", csv_line("two"), "y", csv_line("one")]
    results = take(ledger, "\n".join(lines))

    assert [1, 2, 3, 4, 5] == [r.line for r in results]
    assert [Outcome.REFUSED] * 2 == [results[1].outcome, results[3].outcome]


def test_processes(ledger, reader, intel):
    """
    Many certificates are verified in several processes, and it makes no
    difference: one that is forged among them is refused for what it is.
    """
    sheets = [*fleet(intel, 3500)]
    forged = next(fleet(Intel(seed="other"), 1))
    sheets[3200:3200] = [
        Sheet(line=0, id=platform_id("forged"), pems=forged.pems)
    ]
    results = take_sheets(ledger, sheets, processes=2)

    assert 3500 == sum(r.outcome is Outcome.NEW for r in results)
    (refused,) = [r for r in results if r.outcome is Outcome.REFUSED]
    assert ("signature-invalid", platform_id("forged")) == (
        refused.reason,
        refused.platform,
    )
    assert FMSPC == reader.find_platform(platform_id("3500")).fmspc


def test_process_ended(ledger, intel):
    """
    A process that verified and was ended is an error of its own; what was
    taken before stays.
    """
    with PlatformImport(ledger, NOW, lambda: SEALER, processes=2) as run:
        batches = run.take("file", fleet(intel, 9000))
        for _ in range(4):
            next(batches)
        for process in multiprocessing.active_children():
            process.kill()
        with pytest.raises(OperatorError, match="was ended") as caught:
            list(batches)

    assert "process" == caught.value.reason


def test_garbage_collection(ledger):
    """
    How often garbage is collected is afterwards as it was.
    """
    before = gc.get_threshold()
    with PlatformImport(ledger, NOW, lambda: SEALER):
        within = gc.get_threshold()

    assert before == gc.get_threshold()
    assert within > before
