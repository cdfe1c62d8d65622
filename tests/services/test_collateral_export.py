import contextlib
import json
import urllib.parse

import pytest

from tests.made_amd import AMD, OTHER_CHIP, chain_record, crl_record, vcek
from tests.made_amd import fill as fill_amd
from tests.needs import needs_nginx
from tests.new_store import new_store
from tests.services.evidence_world import EVENTS, FMSPC, day, full_set, lists
from tests.services.made import INTEL, fill
from tests.services.static_server import fetch, nginx
from tests.tenants import Decisions
from thim.amd.tcb import ProductLine
from thim.collateral.records import Kind
from thim.collateral.targets import Target
from thim.errors import NotFoundError, OperatorError
from thim.intel.names import PckCa, Update
from thim.services.collateral_export import Layout, Wish, export_collateral
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.upstream.model import Upstream
from thim.upstream.pcs import find_request, read_answer
from thim.x509.crl import Crl


NOW = day(5)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """
    A store with two numbers, and all lists.
    """
    store = tmp_path_factory.mktemp("archive") / "thim.db"
    new_store(store, INTEL.anchors)
    with Ledger(store, INTEL.anchors) as ledger:
        crls = [INTEL.root_crl(), *(INTEL.pck_crl(ca=ca) for ca in PckCa)]
        fill(ledger, *crls, *lists(EVENTS, day(-1)), now=day(0))
        for number in EVENTS:
            fill(ledger, *full_set(number, day(-1)), now=day(0))
        for update, number in ((Update.STANDARD, 17), (Update.EARLY, 18)):
            ledger.observe_channel(update, number, source="test", seen=day(0))
    decisions = Decisions().tenant("acme", "17")
    decisions.tenant("lab", "standard", overrides="allowed")
    decisions.write(store, INTEL.anchors)
    return store


def export(store, folder, layout, tenant="lab", **more):
    """
    Export a store.
    """
    wish = Wish(layout=layout, tenant=tenant, **more)
    return export_collateral(store, wish, folder, NOW)


def targets(store):
    """
    List what there is, as an upstream is asked for it.
    """
    with contextlib.closing(Replica(store)) as replica:
        return [
            (
                Target(key=e.key, number=e.evaluation_number),
                replica.find(e.key, e.evaluation_number),
            )
            for e in replica.entries()
            if e.is_head
        ]


def files(folder):
    """
    Return the names of a folder's files.
    """
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def pcs(archive, tmp_path_factory):
    """
    The export in the layout of Intel's PCS.
    """
    folder = tmp_path_factory.mktemp("out") / "pcs"
    export(archive, folder, Layout.PCS)
    return folder


@pytest.fixture(scope="module")
def served_pcs(pcs, tmp_path_factory):
    """
    The export, served by nginx.
    """
    folder = tmp_path_factory.mktemp("nginx")
    with nginx(folder, pcs / "nginx.conf") as port:
        yield port


@pytest.fixture(scope="module")
def amd(tmp_path_factory):
    """
    A store with AMD's chains, and two chips' keys.
    """
    store = tmp_path_factory.mktemp("amd") / "thim.db"
    new_store(store, AMD.anchors)
    with Ledger(store, AMD.anchors) as ledger:
        ledger.add(chain_record())
        ledger.add(crl_record())
        fill_amd(ledger, vcek(), vcek(hw_id=OTHER_CHIP))
    return store


class TestPcs:
    def test_which(self, pcs):
        """
        A TCB info is there as it is by default, as it is early, and by its
        number.
        """
        base = f"sgx/certification/v4/tcb/{FMSPC}"
        numbers = {
            which: json.loads((pcs / base / f"{which}.json").read_bytes())[
                "tcbInfo"
            ]["tcbEvaluationDataNumber"]
            for which in ("standard", "early", "17", "18")
        }

        assert {"standard": 17, "early": 18, "17": 17, "18": 18} == numbers

    def test_headers(self, pcs):
        """
        Beside each answer are its headers, with the chain as PCS encodes it.
        """
        path = f"sgx/certification/v4/tcb/{FMSPC}/17.json.headers"
        kind, chain = (pcs / path).read_text().splitlines()
        name, _, value = chain.partition(": ")

        assert "Content-Type: application/json" == kind
        assert "TCB-Info-Issuer-Chain" == name
        assert urllib.parse.unquote(value).startswith("-----BEGIN CERT")

    def test_tenant(self, archive, tmp_path):
        """
        A tenant that allows no overrides gets its own number alone.
        """
        export(archive, tmp_path / "x", Layout.PCS, "acme")
        found = tmp_path / "x" / "sgx/certification/v4/tcb" / FMSPC

        assert {"17.json", "early.json", "standard.json"} == {
            name for name in files(found) if name.endswith(".json")
        }

    @needs_nginx
    def test_nginx(self, archive, pcs, tmp_path):
        """
        Over nginx, with the configuration that is written, our own client of
        Intel's PCS gets each document to the byte, and its chain.
        """
        with nginx(tmp_path, pcs / "nginx.conf") as port:
            url = f"http://127.0.0.1:{port}"
            upstream = Upstream(url=url, static_url=url)
            for target, held in targets(archive):
                request = find_request(upstream, target)
                assert request is not None
                response = fetch(port, request.url.removeprefix(url))
                answer = read_answer(target, response)
                document = answer.document
                body = (
                    document.der if isinstance(document, Crl) else answer.body
                )

                assert 200 == response.status
                assert held.body == body
                has_chain = target.key.kind is not Kind.ROOT_CA_CRL
                assert has_chain is bool(answer.chain)

    @needs_nginx
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            (f"tcb?fmspc={FMSPC}", 200),
            (f"tcb?fmspc={FMSPC.lower()}&update=standard", 200),
            (f"tcb?fmspc={FMSPC}&update=early", 200),
            (f"tcb?fmspc={FMSPC}&tcbEvaluationDataNumber=16", 404),
            ("tcb?fmspc=000000000000", 404),
            ("tcb?fmspc=../../../x", 404),
            ("tcb", 404),
            ("pckcrl?ca=platform", 200),
            ("pckcrl?ca=x", 404),
            ("rootcacrl", 200),
            ("fmspcs", 200),
            ("qe/identity", 200),
            ("nginx.conf", 404),
        ],
    )
    def test_paths(self, served_pcs, path, status):
        """
        What there is is found in whatever case, and all else is a 404.
        """
        got = fetch(served_pcs, f"/sgx/certification/v4/{path}")

        assert status == got.status


class TestFolder:
    def test_there_already(self, archive, tmp_path):
        """
        Nothing is written over.
        """
        (tmp_path / "x").mkdir()

        with pytest.raises(OperatorError, match="exists already"):
            export(archive, tmp_path / "x", Layout.PCS)
        assert [tmp_path / "x"] == list(tmp_path.iterdir())

    def test_no_parent(self, archive, tmp_path):
        """
        Where it cannot be made nothing is left.
        """
        with pytest.raises(OperatorError, match="cannot be made"):
            export(archive, tmp_path / "no" / "x", Layout.PCS)
        assert [] == list(tmp_path.iterdir())

    def test_trouble(self, archive, tmp_path):
        """
        What fails half-way leaves nothing either.
        """
        with pytest.raises(NotFoundError, match="no tenant"):
            export(archive, tmp_path / "x", Layout.PCS, "nobody")
        assert [] == list(tmp_path.iterdir())

    def test_modes(self, pcs):
        """
        Files are their owner's alone.
        """
        assert {0o600} == {
            path.stat().st_mode & 0o777
            for path in pcs.rglob("*")
            if path.is_file()
        }


class TestTrustee:
    def test_members(self, archive, tmp_path):
        """
        Documents stand in it as JSON, to the byte, and all that Trustee asks
        of the file is there.
        """
        export(archive, tmp_path / "x", Layout.TRUSTEE)
        raw = (tmp_path / "x" / "collateral.json").read_bytes()
        found = json.loads(raw)["collaterals"]
        infos = found["tcbinfos"][0]

        assert FMSPC == infos["fmspc"]
        assert {"sgx_tcbinfo", "tdx_tcbinfo"} < set(infos)
        assert 17 == infos["sgx_tcbinfo"]["tcbInfo"]["tcbEvaluationDataNumber"]
        assert {"enclaveIdentity", "signature"} == set(found["qeidentity"])
        assert {"enclaveIdentity", "signature"} == set(found["tdqeidentity"])
        chains = found["certificates"]["SGX-PCK-Certificate-Issuer-Chain"]
        assert {"PROCESSOR", "PLATFORM"} == set(chains)
        assert INTEL.root_crl().hex() == found["rootcacrl"]
        for document in full_set(17, day(-1))[:3]:
            assert document in raw


class TestKds:
    def test_names(self, amd, tmp_path):
        """
        Chains and revocation lists are at their very paths, keys in folders
        of their chips.
        """
        export(amd, tmp_path / "x", Layout.KDS, "root")
        found = files(tmp_path / "x")
        chip = bytes(range(64)).hex()

        assert f"vcek/v1/Milan/{chip}/bl4-tee0-snp24-ucode219.der" in found
        assert "vcek/v1/Milan/cert_chain" in found
        assert "vcek/v1/Milan/crl" in found

    def test_trustee(self, amd, tmp_path):
        """
        Trustee's store has them by chip in lower case, and TCB with two
        digits at least.
        """
        export(amd, tmp_path / "x", Layout.TRUSTEE, "root")
        chip = bytes(range(64)).hex()
        name = f"kds-store/vcek/{chip}/bl04_tee00_snp24_ucode219_vcek.der"

        assert name in files(tmp_path / "x")

    @needs_nginx
    def test_nginx(self, amd, tmp_path):
        """
        Nginx answers as AMD does, however the numbers are padded.
        """
        export(amd, tmp_path / "x", Layout.KDS, "root")
        chip = bytes(range(64)).hex()
        query = "ucodeSPL=219&blSPL=04&teeSPL=00&snpSPL=24"
        with nginx(tmp_path, tmp_path / "x" / "nginx.conf") as port:
            key = fetch(port, f"/vcek/v1/Milan/{chip}?{query}")
            other = fetch(port, f"/vcek/v1/Milan/{chip}?blSPL=9")
            chain = fetch(port, "/vcek/v1/Milan/cert_chain")

        assert [200, 404, 200] == [key.status, other.status, chain.status]
        assert b"\x30\x82" == key.body[:2]
        assert AMD.chain(ProductLine.MILAN) == chain.body
