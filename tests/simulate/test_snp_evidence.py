import hashlib
import json
import urllib.parse

import pytest

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from tests.serving import Served
from tests.simulate.asking import ask, send
from tests.simulate.chips import CHIPS, file_path, playing
from thim.amd.hcl import HardwareReport, HclReport
from thim.amd.report import Report
from thim.amd.tcb import ProductLine
from thim.amd.verify import verify_evidence
from thim.errors import MalformedError, ParameterError, UntrustedError
from thim.simulate.snp_body import SnpBody


VERSIONS = (2, 3, 5)
DATA = bytes(range(64))
BYTES = {"Accept": "application/octet-stream"}
SIGNED = 0x2A0
#: Values for all fields that a test can change and a report stays authentic.
FREE = {
    "guest_svn": 65547,
    "policy": 0xB0000,
    "family_id": bytes(range(16)),
    "image_id": bytes(range(16, 32)),
    "vmpl": 3,
    "platform_info": 0x65,
    "report_data": DATA,
    "measurement": bytes(range(48)),
    "host_data": bytes(range(32)),
    "id_key_digest": b"\1" * 48,
    "author_key_digest": b"\2" * 48,
    "report_id": b"\3" * 32,
    "report_id_ma": b"\4" * 32,
    "current_version": bytes([1, 2, 3, 0]),
    "committed_version": bytes([4, 5, 6, 0]),
    "launch_mit_vector": 1,
    "current_mit_vector": 3,
}


@pytest.fixture(scope="module")
def simulated():
    """
    The default world at NOW, without a limit.
    """
    with playing() as running:
        yield running


def judge(simulated, report, name, *, vlek=False):
    """
    Verify a report with what the simulated AMD has for a chip.
    """
    chip = simulated.chip(name)
    crl = ask(simulated.url, file_path("crl", chip.product)).body
    return verify_evidence(
        report,
        chip.vlek if vlek else chip.vcek,
        chip.vlek_chain if vlek else chip.chain,
        crl,
        anchors=simulated.anchors,
        now=simulated.clock(),
    )


def reasons(simulated, report, name, **kind) -> set[str]:
    """
    Return why a report is not authentic.
    """
    verdict = judge(simulated, report, name, **kind)
    return {finding.reason for finding in verdict.findings}


class TestGenuine:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("name", CHIPS)
    def test_authentic(self, simulated, name, version):
        """
        The reports of each chip and version are authentic, say what they were
        asked to, and what the chip is.
        """
        report = simulated.report(name, version=version, report_data=DATA)
        verdict = judge(simulated, report, name)
        read, chip = Report.from_bytes(report), simulated.chip(name)

        assert verdict.is_authentic
        assert (version, DATA) == (read.version, read.report_data)
        assert chip.chip_id == read.chip_id
        assert (
            chip.product is ProductLine.MILAN
            or version > 2
            or (read.product is None)
        )

    @pytest.mark.parametrize("version", [3, 5])
    def test_cpuid(self, simulated, version):
        """
        From version 3 on a report says what the chip is.
        """
        report = simulated.report("bergamo-1", version=version)

        assert "19a002" == report[0x188:0x18B].hex()

    @pytest.mark.parametrize("name", ["milan-1", "turin-1"])
    def test_versions(self, simulated, name):
        """
        What came with a later version is zero in an earlier one.
        """
        two, three, five = (
            simulated.report(name, version=version) for version in VERSIONS
        )

        assert bytes(24) == two[0x188:0x1A0]
        assert bytes(168) == two[0x1F8:SIGNED] == three[0x1F8:SIGNED]
        assert any(five[0x1F8:0x200])
        assert five[0x1F8:0x200] == five[0x200:0x208]

    def test_tcbs(self, simulated):
        """
        The four TCBs are the chip's.
        """
        report = simulated.report("milan-2")
        tcbs = Report.from_bytes(report).decode_tcbs(ProductLine.MILAN)
        chip = simulated.chip("milan-2")

        assert (chip.reported, chip.committed, chip.current, chip.launch) == (
            tcbs.reported,
            tcbs.committed,
            tcbs.current,
            tcbs.launch,
        )
        assert chip.reported != chip.committed != chip.current

    def test_vlek(self, simulated):
        """
        A chip with a VLEK may have it sign; the report names no chip then.
        """
        report = simulated.report("milan-2", signing_key="vlek")

        assert judge(simulated, report, "milan-2", vlek=True).is_authentic
        assert bytes(64) == report[0x1A0:0x1E0]
        assert {"signing-key-mismatch", "report-signature"} == reasons(
            simulated, report, "milan-2"
        )

    def test_by_hand(self, simulated):
        """
        R and S stand at the end, little-endian in 72 bytes each, and hold
        over all before them.
        """
        report = simulated.report("genoa-1")
        r = int.from_bytes(report[SIGNED : SIGNED + 72], "little")
        s = int.from_bytes(report[SIGNED + 72 : SIGNED + 144], "little")
        endorsed = simulated.amd.vcek_of(
            simulated.amd.chip_named("genoa-1"),
            simulated.chip("genoa-1").reported,
        )
        key = simulated.amd.pki.endorsement_key(endorsed).public_key()
        key.verify(
            utils.encode_dss_signature(r, s),
            report[:SIGNED],
            ec.ECDSA(hashes.SHA384()),
        )

        assert 1184 == len(report)
        assert not any(report[SIGNED + 144 :])

    def test_same(self, simulated):
        """
        The same request gets the same report.
        """
        assert simulated.report("turin-2") == simulated.report("turin-2")


class TestFields:
    def test_free(self, simulated):
        """
        What is the guest's or its owner's can be anything.
        """
        report = simulated.report("milan-1", **FREE)
        body = SnpBody(**FREE)

        assert judge(simulated, report, "milan-1").is_authentic
        for name in FREE:
            offset, size = SnpBody.layout[name]
            found = report[offset : offset + size]
            assert body.to_bytes()[offset : offset + size] == found, name

    def test_all(self):
        """
        No two fields overlap, and what lies between them is reserved.
        """
        free = bytearray(b"\xff" * SIGNED)
        for offset, size in SnpBody.layout.values():
            assert b"\xff" * size == free[offset : offset + size]
            free[offset : offset + size] = bytes(size)

        # Behind the flags, the CPUID and the mitigation vectors.
        assert 4 + 21 + 152 == free.count(0xFF)

    def test_author_key(self, simulated):
        """
        The flag that there is an author key goes with its digest.
        """
        with_key = simulated.report("milan-1", author_key_digest=b"\1" * 48)

        assert 1 == with_key[0x48]
        assert 0 == simulated.report("milan-1")[0x48]

    def test_older_tcb(self, simulated):
        """
        A report of another TCB is signed by the key of that TCB.
        """
        older = simulated.chip("milan-1").reported
        raw = older.to_bytes()[:7] + b"\1"
        report = simulated.report("milan-1", reported_tcb=raw)
        path = simulated.chip("milan-1").path.replace("=219", "=1")
        vcek = ask(simulated.url, path).body
        verdict = verify_evidence(
            report,
            vcek,
            simulated.chip("milan-1").chain,
            None,
            anchors=simulated.anchors,
            now=simulated.clock(),
        )

        assert verdict.is_authentic
        assert {"tcb-mismatch", "report-signature"} == reasons(
            simulated, report, "milan-1"
        )

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"version": 1}, {"report-version"}),
            ({"version": 6}, {"report-version"}),
            ({"version": 2, "cpuid_step": 1}, {"report-reserved"}),
            ({"policy": 0}, {"policy-reserved"}),
            ({"policy": 1 << 26 | 0x30000}, {"policy-reserved"}),
            ({"vmpl": 0xFFFFFFFF}, {"host-requested"}),
            ({"vmpl": 4}, {"vmpl-range"}),
            ({"flags": 1 << 5}, {"flags-reserved"}),
            ({"flags": 2}, {"report-unsigned"}),
            ({"flags": 1}, {"author-key-digest"}),
            ({"signature_algo": 2}, {"signature-algorithm"}),
            ({"cpuid_mod_id": 0x11}, {"product-mismatch"}),
            ({"cpuid_fam_id": 0x17}, {"product-unknown"}),
            (
                {"reported_tcb": b"\xff" * 8},
                {"tcb-reserved", "tcb-mismatch"},
            ),
            ({"launch_tcb": b"\xff" * 8}, {"tcb-reserved"}),
            ({"chip_id": b"\1" * 64}, {"chip-id-mismatch"}),
            ({"chip_id": bytes(64)}, set()),
        ],
    )
    def test_wrong(self, simulated, fields, expected):
        """
        A report that says something wrong is genuinely signed all the same.
        """
        report = simulated.report("milan-1", **fields)

        assert expected == reasons(simulated, report, "milan-1")

    def test_unsigned(self, simulated):
        """
        A report without a key has zeros for a signature.
        """
        report = simulated.report("milan-1", signing_key="none")

        assert {"report-unsigned"} == reasons(simulated, report, "milan-1")
        assert not any(report[SIGNED:])

    def test_other_chip(self, simulated):
        """
        Another chip of the same product line does not pass for this one.
        """
        own = simulated.chip("turin-2").reported.to_bytes()
        chip_id = simulated.chip("turin-1").chip_id
        report = simulated.report("turin-2", chip_id=chip_id)

        assert {"tcb-mismatch", "report-signature"} == reasons(
            simulated, report, "turin-1"
        )
        assert own == report[0x180:0x188]


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "more", "words"),
        [
            ("milan-9", {}, "chip.*expected milan-1, milan-2, genoa-1"),
            ("milan-1", {"signing_key": "vlek"}, "milan-1 has no VLEK"),
            ("milan-1", {"measurment": b""}, "field.*expected one of version"),
            ("milan-1", {"vmpl": -1}, "vmpl.*expected 0 to 4294967295"),
            ("milan-1", {"chip_id": b"x"}, "chip_id.*1 bytes, expected 64"),
        ],
    )
    def test_python(self, simulated, name, more, words):
        """
        What cannot be made is refused by name.
        """
        with pytest.raises(ParameterError, match=words):
            simulated.report(name, **more)

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({}, "missing field `chip`"),
            ({"chip": "x"}, "expected milan-1, milan-2"),
            (
                {"chip": "milan-1", "signing_key": "ark"},
                "signing_key: got 'ark', expected one of vcek, vlek, none",
            ),
            (
                {"chip": "milan-1", "chip_id": "00"},
                "chip_id: got '00', expected 128 hexadecimal digits",
            ),
            (
                {"chip": "milan-1", "vmpl": "0"},
                "vmpl: got '0', expected a whole number",
            ),
            ({"chip": "milan-1", "vmlp": 0}, "unknown field `vmlp`"),
            (
                {"chip": "milan-1", "policy": 2**64},
                "expected 0 to 18446744073709551615",
            ),
            (
                {"chip": "milan-1", "hcl": {"user_data": "00"}},
                "hcl.user_data: got '00', expected 128 hexadecimal digits",
            ),
        ],
    )
    def test_admin(self, simulated, body, words):
        """
        So it is at the admin port.
        """
        got = send(simulated.admin_url, "/reports", body)

        assert 400 == got.status
        assert words in got.json["error"]


class TestAdmin:
    def test_report(self, simulated):
        """
        The admin port makes the same reports, in either form.
        """
        body = {
            "chip": "genoa-1",
            "version": 3,
            "report_data": DATA.hex(),
            "vmpl": 1,
        }
        got = send(simulated.admin_url, "/reports", body)
        wanted = simulated.report(
            "genoa-1", version=3, report_data=DATA, vmpl=1
        )

        assert {"report": wanted.hex()} == got.json

    def test_bytes(self, simulated):
        """
        Bytes are for a client that accepts them.
        """
        body = b'{"chip": "genoa-1"}'
        got = Served(urllib.parse.urlsplit(simulated.admin_url).port).get(
            "/reports", BYTES, "POST", body
        )

        assert simulated.report("genoa-1") == got.body

    def test_vlek(self, simulated):
        """
        The key may be chosen.
        """
        body = {"chip": "milan-2", "signing_key": "vlek"}
        got = send(simulated.admin_url, "/reports", body)

        assert {
            "report": simulated.report("milan-2", signing_key="vlek").hex()
        } == got.json

    def test_hcl(self, simulated):
        """
        The report may be wrapped as Azure does.
        """
        body = {"chip": "milan-1", "hcl": {"user_data": "ab" * 64}}
        got = send(simulated.admin_url, "/reports", body)
        wanted = simulated.hcl_report("milan-1", user_data=b"\xab" * 64)

        assert {"report": wanted.hex()} == got.json

    @pytest.mark.parametrize("name", CHIPS)
    def test_chip(self, simulated, name):
        """
        It shows what a chip asks with, and its certificates.
        """
        got = ask(simulated.admin_url, f"/chips/{name}").json
        chip = simulated.chip(name)

        assert chip.path == got["path"]
        assert chip.chip_id.hex() == got["chip_id"]
        assert chip.reported.tcbm == got["reported"]
        assert chip.chain.decode() == got["chain"]
        assert (chip.vlek is None) == (got["vlek"] is None)
        assert got["vcek"].startswith("-----BEGIN CERTIFICATE-----\n")

    def test_no_such_chip(self, simulated):
        """
        A chip that is not in the world is not found.
        """
        assert 404 == ask(simulated.admin_url, "/chips/milan-9").status

    def test_fault_for_nobody(self, simulated):
        """
        Nor can a fault be set for it.
        """
        body = {"kind": "down", "chip": "milan-9"}
        got = send(simulated.admin_url, "/faults", body)

        assert 400 == got.status
        assert "expected milan-1" in got.json["error"]


class TestHcl:
    @pytest.mark.parametrize("name", ["milan-1", "genoa-1", "bergamo-1"])
    def test_authentic(self, simulated, name):
        """
        The wrapped report is authentic and binds the claims.
        """
        raw = simulated.hcl_report(name, user_data=DATA)
        hcl = HclReport.from_bytes(raw)
        claims = json.loads(hcl.runtime_claims)

        assert judge(simulated, hcl.hardware_report, name).is_authentic
        assert HardwareReport.SNP is hcl.hardware
        assert DATA.hex().upper() == claims["user-data"]
        assert ["HCLAkPub", "HCLEkPub"] == [k["kid"] for k in claims["keys"]]
        assert 2600 == len(raw)

    def test_header(self, simulated):
        """
        Milan has the older header.
        """
        assert [1, 2] == [
            HclReport.from_bytes(simulated.hcl_report(name)).version
            for name in ("milan-1", "genoa-1")
        ]

    def test_claims(self, simulated):
        """
        Claims may be given, as long as they like.
        """
        claims = json.dumps({"long": "x" * 4000}).encode()
        raw = simulated.hcl_report("genoa-1", claims=claims, vmpl=2)
        hcl = HclReport.from_bytes(raw)

        assert claims == hcl.runtime_claims
        assert 2 == Report.from_bytes(hcl.hardware_report).vmpl
        assert len(raw) == 1236 + len(claims)

    def test_unbound(self, simulated):
        """
        Report data that bind something else are genuinely signed.
        """
        raw = simulated.hcl_report("milan-1", report_data=DATA)
        with pytest.raises(UntrustedError) as caught:
            HclReport.from_bytes(raw)

        assert "runtime-data-mismatch" == caught.value.reason
        assert judge(simulated, raw[32:1216], "milan-1").is_authentic

    def test_bound(self, simulated):
        """
        The hash is that of the very bytes.
        """
        raw = simulated.hcl_report("milan-1", claims=b"{}")

        assert hashlib.sha256(b"{}").digest() == raw[0x70:0x90]

    def test_recorded(self, corpus, simulated):
        """
        The header is as recorded, but for sizes.
        """
        folder = corpus / "snp" / "hcl"
        for path, name in (
            (folder / "azure-hcl-snp-47a66c13.bin", "milan-1"),
            (folder / "azure-hcl-snp-80af4373.bin", "genoa-1"),
        ):
            genuine, raw = path.read_bytes(), simulated.hcl_report(name)
            assert genuine[:8] == raw[:8]
            assert genuine[12:32] == raw[12:32]
            assert genuine[1220:1232] == raw[1220:1232]
            assert len(genuine) == len(raw)


class TestCorpus:
    def test_read_back(self, corpus):
        """
        What is signed of each genuine report can be written from its fields
        alone.
        """
        paths = sorted((corpus / "snp").glob("*.bin"))
        for path in paths:
            genuine = path.read_bytes()[:SIGNED]
            fields = {}
            for name, (offset, size) in SnpBody.layout.items():
                value = genuine[offset : offset + size]
                is_number = isinstance(getattr(SnpBody(), name), int)
                fields[name] = (
                    int.from_bytes(value, "little") if is_number else value
                )
            assert genuine == SnpBody(**fields).to_bytes(), path.name

        assert 43 <= len(paths)


class TestReading:
    def test_length(self, simulated):
        """
        A report that is cut off is not one.
        """
        with pytest.raises(MalformedError):
            Report.from_bytes(simulated.report("milan-1")[:-1])
