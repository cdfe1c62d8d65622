"""
Our own Intel, and how its documents are taken in.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.store.made import all_stored
from thim.collateral.records import CollateralKey, tcb_info_key
from thim.errors import ThimError
from thim.intel.names import Tee
from thim.services.ingest import Outcome, Result, ingest
from thim.simulate.pki import ISSUED, Intel
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


INTEL = Intel()
STRANGER = Intel("stranger")
NOW = ISSUED + timedelta(days=100)
CHAINS = to_pem(INTEL.certificates)
KEY = tcb_info_key(Tee.SGX, bytes.fromhex("00606a000000"), 3)

Files = Mapping[str, bytes | ThimError]


def day(n: int) -> datetime:
    """
    Return the instant *n* days after the day on which documents are issued.
    """
    return ISSUED + timedelta(days=n)


def der(certificate: x509.Certificate) -> bytes:
    """
    Write *certificate* in DER.
    """
    return certificate.public_bytes(Encoding.DER)


def take(
    ledger: Ledger, files: Files, now: datetime = NOW
) -> dict[str, list[Result]]:
    """
    Take *files* in and return the results of each.
    """
    results: dict[str, list[Result]] = {name: [] for name in files}
    for result in ingest(files.items(), ledger=ledger, now=now):
        results[result.source].append(result)
    return results


def take_one(
    ledger: Ledger, content: bytes | ThimError, now: datetime = NOW
) -> Result:
    """
    Take a file in that holds one document, where the chains are known.
    """
    take(ledger, {"chains.pem": CHAINS})
    (result,) = take(ledger, {"file": content}, now)["file"]
    return result


def fill(ledger: Ledger, *documents: bytes, now: datetime = NOW) -> None:
    """
    Take documents in, all of which must be welcome.
    """
    take(ledger, {"chains.pem": CHAINS})
    files = {str(n): body for n, body in enumerate(documents)}
    for results in take(ledger, files, now).values():
        assert results
        # A CA that one of the documents revokes is refused itself, rightly.
        assert {"revoked"} >= {
            result.reason
            for result in results
            if result.outcome is Outcome.REFUSED
        }


def summary(results: Iterable[Result]) -> list[tuple[str, str | None]]:
    """
    Return outcome and reason of each.
    """
    return [(result.outcome.value, result.reason) for result in results]


def names(ledger: Ledger) -> set[tuple[CollateralKey, int | None, datetime]]:
    """
    Return what is in the archive.
    """
    return {
        (s.record.key, s.record.evaluation_number, s.record.issued)
        for s in all_stored(ledger)
    }
