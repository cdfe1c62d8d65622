"""
One day of the corpus: tenants at different numbers get different documents from
the same URL, and what-if names the quotes' machines that would break.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import shutil

import pytest

from tests.conformance.quotes import entries, library, read
from tests.conformance.test_fleet import SHORT
from tests.new_store import new_store
from tests.serving import serving
from tests.tenants import Decisions
from thim.collateral.anchors import VENDOR_ROOTS
from thim.collateral.fleet_tcbs import Origin
from thim.collateral.platforms import PlatformId
from thim.intel.names import Tee
from thim.intel.pck_chain import read_pck
from thim.intel.signed import SignedJson
from thim.intel.steps import Remedy
from thim.intel.tcb_info import TcbInfo
from thim.intel.tcb_table import TcbTable
from thim.services.fleet_import import Told, read_evidence
from thim.services.fleet_question import Question, answer
from thim.services.ingest import ingest
from thim.services.judged_apart import ask_apart
from thim.store.ledger import Ledger
from thim.store.replica import Replica


FMSPC = "00606A000000"
DAY = datetime.datetime(2025, 6, 6, 23, 59, tzinfo=datetime.UTC)
NUMBERS = (17, 18, 19)
#: Of these there is an identity of that day.
WHOLE = (17, 19)
V4 = "/sgx/certification/v4"
TCB = f"{V4}/tcb?fmspc={FMSPC}"
IDENTITY = f"{V4}/qe/identity"
#: Behind the names of machines whose quoting enclave is not known.
LISTED = " (listed)"
GOOD = {
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
}
BREAKS = ["SWHardeningNeeded", "OutOfDate", "OutOfDate"]

pytestmark = pytest.mark.skipif(
    not library().entries, reason="the corpus is not there"
)


def decide(store):
    """
    Put tenants at the three numbers, with overrides and without.
    """
    decisions = Decisions()
    for number in NUMBERS:
        decisions.tenant(f"at-{number}", f"{number}")
        decisions.tenant(f"free-{number}", f"{number}", overrides="allowed")
    decisions.write(store, VENDOR_ROOTS)


@pytest.fixture(scope="module")
def pcks():
    """
    The PCK certificates of the quotes of that FMSPC, by the quotes' names.
    """
    found = {}
    for entry in entries():
        if entry.get("fmspc", "").upper() == FMSPC:
            quote = read(entry["name"])
            if quote.pck_name is None:
                found[entry["name"]] = read_pck(quote.certification_data)
    assert found
    return found


@pytest.fixture(scope="module")
def told(pcks):
    """
    What the quotes tell, as if each were of a machine of its own; and again as
    an inventory has it that knows of no quoting enclave.
    """
    evidence = [
        dataclasses.replace(
            read_evidence(
                Told(source=name, name=name, now=pck.not_before),
                library().bytes(name),
                VENDOR_ROOTS,
            ),
            id=PlatformId(n.to_bytes(16, "big"), pck.pce_id),
        )
        for n, (name, pck) in enumerate(pcks.items(), 1)
    ]
    inventory = [
        dataclasses.replace(
            each,
            id=PlatformId(each.id.qe_id[::-1], each.id.pce_id),
            name=f"{each.name}{LISTED}",
            qe_svn=None,
            origin=Origin.IMPORTED,
        )
        for each in evidence
    ]
    return [*evidence, *inventory]


@pytest.fixture(scope="module")
def archive(corpus_store, tmp_path_factory):
    """
    All of the corpus, as it is today, and the tenants.
    """
    path = tmp_path_factory.mktemp("archive") / "thim.db"
    shutil.copyfile(corpus_store, path)
    path.chmod(0o600)
    decide(path)
    return path


@pytest.fixture(scope="module")
def that_day(told, tmp_path_factory):
    """
    What there was of Intel's documents by the end of that day, the tenants,
    and those machines.
    """
    path = tmp_path_factory.mktemp("that-day") / "thim.db"
    new_store(path, VENDOR_ROOTS)
    files = sorted((library().root / "intel").rglob("*"))
    with Ledger(path, VENDOR_ROOTS) as ledger:
        for _ in ingest(
            ((str(f), f.read_bytes()) for f in files if f.is_file()),
            ledger=ledger,
            now=DAY,
        ):
            pass
        ledger.fleet_tcbs.note(told)
    decide(path)
    return path


def ask_all(store, prefix, clock):
    """
    Ask a service for both documents, for each of the three tenants.
    """
    with serving(store, clock) as served:
        return {
            (number, path): served.get(f"{prefix.format(number)}{path}")
            for number in NUMBERS
            for path in (TCB, IDENTITY)
        }


@pytest.fixture(scope="module", params=["as of that day", "on that day"])
def answers(request, archive, that_day):
    """
    What the tenants get: of a service of today that is asked as of that day,
    and of one on that day.
    """
    if request.param == "on that day":
        return ask_all(that_day, "/tenant/at-{}", lambda: DAY)
    prefix = "/tenant/free-{}/at/" + f"{DAY:%Y-%m-%dT%H:%M:%SZ}"
    today = datetime.datetime.now(datetime.UTC)
    return ask_all(archive, prefix, lambda: today)


@pytest.fixture(scope="module")
def standings(answers, pcks):
    """
    How the machine of each quote stands under each of the TCB infos.
    """
    found: dict[str, list[str | None]] = {}
    for number in NUMBERS:
        signed = SignedJson.from_json(answers[number, TCB].body).signed
        table = TcbTable(TcbInfo.from_json(signed).levels)
        for name, pck in pcks.items():
            level = table.find(pck.tcb)
            found.setdefault(name, []).append(level and level.status.value)
    return found


class TestServed:
    def test_tcb_infos(self, answers):
        """
        From the same path below their prefixes each tenant gets the TCB info
        of its number and of that day.
        """
        bodies = [answers[number, TCB] for number in NUMBERS]

        assert [200] * 3 == [got.status for got in bodies]
        infos = [got.json["tcbInfo"] for got in bodies]
        assert list(NUMBERS) == [i["tcbEvaluationDataNumber"] for i in infos]
        assert {"2025-06-06"} == {i["issueDate"][:10] for i in infos}
        assert 3 == len({got.body for got in bodies})

    def test_identities(self, answers):
        """
        So it is with identities: there is one of 17 and one of 19.
        """
        bodies = [answers[number, IDENTITY] for number in WHOLE]

        identities = [got.json["enclaveIdentity"] for got in bodies]
        assert [200] * 2 == [got.status for got in bodies]
        assert list(WHOLE) == [i["tcbEvaluationDataNumber"] for i in identities]
        assert {"2025-06-06"} == {i["issueDate"][:10] for i in identities}

    def test_missing(self, answers):
        """
        18 has none of that day: a 404 that names it, and never another
        number's.
        """
        got = answers[18, IDENTITY]

        assert 404 == got.status
        assert b"data number 18" in got.body
        assert b"qe" in got.body

    def test_genuine(self, answers):
        """
        They are the vendor's very bytes.
        """
        known = {
            hashlib.sha256(library().bytes(entry["name"])).digest()
            for entry in entries("intel-tcb-info", "intel-enclave-identity")
        }

        for got in answers.values():
            if got.status == 200:
                assert hashlib.sha256(got.body).digest() in known


@pytest.fixture(scope="module")
def replica(that_day):
    """
    The store of that day.
    """
    with contextlib.closing(Replica(that_day)) as opened:
        yield opened


def ask(replica, number, tenant="at-17"):
    """
    Ask what *number* would make of the machines.
    """
    question = Question(baseline=f"{number}", tenant=tenant, now=DAY)
    return answer(replica, question)


class TestWhatIf:
    @pytest.mark.parametrize(("number", "needed"), [(18, 15), (19, 16)])
    def test_named(self, replica, standings, number, needed):
        """
        What-if names the quotes that are SWHardeningNeeded under 17 and
        OutOfDate under 18 and 19, with the component that is short and by
        how much.  Where the quoting enclave is known too, 18 has nothing to
        judge it by, and that is told beside.
        """
        found = ask(replica, number)

        quotes = {n for n, each in standings.items() if BREAKS == each}
        expected = quotes | {f"{name}{LISTED}" for name in quotes}
        assert quotes
        broken = [b for b in found.all_broken() if b.name in expected]
        assert expected == {b.name for b in broken}
        for each in broken:
            is_unsaid = number == 18 and each.name in quotes
            after = "no-document" if is_unsaid else "OutOfDate"
            standing = (each.tee, each.before, each.after)
            assert (Tee.SGX.value, "SWHardeningNeeded", after) == standing
            assert len(SHORT) + is_unsaid == len(each.findings)
            for component in SHORT:
                (finding,) = [f for f in each.findings if component in f]
                assert f"{needed}" in finding
            assert Remedy.FIRMWARE.value in each.remedies
            assert each.advisory_ids

    @pytest.mark.parametrize("number", [18, 19])
    def test_nobody_else(self, replica, standings, number):
        """
        It names all that would break, and nobody else.
        """
        at = NUMBERS.index(number)
        acceptable = {n for n, each in standings.items() if each[0] in GOOD}
        breaking = {n for n in acceptable if standings[n][at] not in GOOD}
        expected = {f"{name}{LISTED}" for name in breaking}
        expected |= acceptable if number == 18 else breaking

        assert expected == {b.name for b in ask(replica, number).all_broken()}

    def test_the_same(self, replica):
        """
        Under the number at which a tenant is nobody would break.
        """
        found = ask(replica, 18, "at-18")

        assert (0, ()) == (found.breaking, tuple(found.all_broken()))

    def test_apart(self, that_day, replica):
        """
        A service, which has it worked out apart, says the same.
        """
        found = ask_apart(that_day, DAY, "19", "at-17", 1000)

        expected = [
            dataclasses.asdict(b) for b in ask(replica, 19).all_broken()
        ]
        assert expected == found["broken"]
        assert (17, 19) == (found["number_now"], found["number"])
