"""
The corpus' SNP evidence: what is genuine is authentic, at an instant within
the dates of its certificates, and what is not is refused by name.
"""

import pytest

from tests.amd.certificates import genuine_chain
from tests.amd.corpus import entries
from tests.amd.evidence import (
    attestation,
    container_instance,
    find_recorded,
    instant,
    known_leaves,
    recorded,
    with_leaf,
)
from thim.amd.authorities import KeyKind
from thim.amd.fit import find_fitting_keys, list_misfits
from thim.amd.hcl import HardwareReport, HclReport
from thim.amd.report import P384_ORDER, Report
from thim.amd.report_fields import PlatformFlag
from thim.amd.verdict import CrlState


def reasons(verdict):
    """
    Shorten the findings to their reasons.
    """
    return [finding.reason for finding in verdict.findings]


def claims_of(corpus, digest):
    """
    Verify the genuine report *digest*, and return what it says.
    """
    return find_recorded(corpus, digest).verify().claims


@pytest.fixture(scope="module")
def evidence(corpus):
    """
    All genuine reports, each with the leaf that the manifest names.
    """
    return recorded(corpus)


@pytest.fixture(scope="module")
def claims(evidence):
    """
    What each of them says.
    """
    return [each.verify().claims for each in evidence]


class TestReports:
    def test_authentic(self, evidence):
        """
        Every genuine report is, with its own leaf: 51 of 51.
        """
        refused = {
            each.name: found
            for each in evidence
            if (found := reasons(each.verify()))
        }

        assert {} == refused
        assert 51 == len(evidence)

    def test_manifest(self, corpus, claims):
        """
        What they say is what the manifest says of them.
        """
        for entry, found in zip(entries(corpus, "snp"), claims, strict=True):
            assert (
                entry["version"],
                entry["reported_tcb"],
                entry["policy"],
                entry["vmpl"],
                entry["chip_id_masked"],
                entry["signing_key"],
                entry["product"],
            ) == (
                found.version,
                found.tcbs.reported.to_bytes().hex(),
                f"{found.policy.raw:#x}",
                found.vmpl,
                found.chip_id_masked,
                found.kind.name,
                found.product.value.lower(),
            )

    def test_fitting(self, corpus, evidence):
        """
        Among all leaves of the corpus its own fits each; and a VCEK that fits
        verifies the report, whichever of its re-issues it is.
        """
        leaves = known_leaves(corpus).values()

        for each in evidence:
            report = Report.from_bytes(each.report)
            fitting = find_fitting_keys(report, leaves)

            assert each.leaf_key() in fitting
            for leaf in fitting:
                other = {"leaf": leaf.der, "at": leaf.not_before}
                assert leaf.kind is KeyKind.VLEK or (
                    each.verify(**other).is_authentic
                )

    @pytest.mark.parametrize("name", ["snp-2025", "snp-uvm-2023"])
    def test_attestations(self, corpus, name):
        """
        So are the reports of complete attestations.
        """
        assert attestation(corpus, name).verify().is_authentic

    def test_version_1(self, corpus):
        """
        A genuine report of version 1 is refused, by rule and by name.
        """
        verdict = attestation(corpus, "snp-cvm-2022").verify()

        assert ["report-version"] == reasons(verdict)

    def test_container_instance(self, corpus):
        """
        A container instance's report verifies with what THIM answered there.
        """
        assert container_instance(corpus).verify().is_authentic


class TestHclReports:
    def test_recorded(self, corpus):
        """
        15 of 16 hold in full: all are bound to their claims, and 7 of the 8
        of SNP are authentic, while the eighth's VCEK is not in the corpus.
        The 8 of TDX hold as far as they go: a TDREPORT proves nothing alone.
        """
        authentic, tdx, unknown = [], [], []
        for entry in entries(corpus, "snp/hcl"):
            name, leaf = entry["name"], entry.get("endorsement_key")
            hcl = HclReport.from_bytes((corpus / name).read_bytes())
            if hcl.hardware is HardwareReport.TDX:
                tdx.append(name)
            elif leaf is None:
                unknown.append(name)
                report = Report.from_bytes(hcl.hardware_report)
                known = known_leaves(corpus).values()
                assert () == find_fitting_keys(report, known)
            else:
                wrapped = with_leaf(corpus, name, hcl.hardware_report, leaf)
                assert wrapped.verify().is_authentic
                authentic.append(name)

        assert (7, 8) == (len(authentic), len(tdx))
        assert ["snp/hcl/azure-hcl-snp-c1035b25.bin"] == unknown

    def test_also_bare(self, corpus, evidence):
        """
        The seven are among the genuine reports.
        """
        bare = {each.report for each in evidence}
        wrapped = [
            HclReport.from_bytes((corpus / entry["name"]).read_bytes())
            for entry in entries(corpus, "snp/hcl")
        ]

        assert 7 == sum(hcl.hardware_report in bare for hcl in wrapped)


class TestNegative:
    @pytest.mark.parametrize(
        ("name", "size"),
        [("guest-report-bad-sig", 1185), ("guest-report-corrupt", 793)],
    )
    def test_length(self, corpus, evidence, name, size):
        """
        Files that are no reports are refused for their length.
        """
        raw = (corpus / f"negative/lit-snp/{name}.bin").read_bytes()

        verdict = evidence[0].verify(report=raw)

        assert ["report-length"] == reasons(verdict)
        assert f"{size} bytes" in verdict.findings[0].detail

    @pytest.mark.parametrize(
        "name",
        [
            "snp/unverified-v2-5aa38e05",
            "snp/unverified-v2-62213a90",
            "snp/unverified-v2-86c828ad",
            "snp/unverified-v2-94739f63",
            "snp/unverified-v2-c696a46d",
            "snp/unverified-v3-8d8bfb3e",
            "snp/unverified-v5-27ea540e",
            "lit-snp/guest-report",
        ],
    )
    def test_no_leaf(self, corpus, evidence, name):
        """
        Reports of chips whose leaf nobody has read well, and fit no leaf; with
        any other they are refused, for the chip among other reasons.
        """
        raw = (corpus / f"negative/{name}.bin").read_bytes()
        report = Report.from_bytes(raw)
        leaves = known_leaves(corpus).values()

        assert () == find_fitting_keys(report, leaves)
        for leaf in leaves:
            found = [each.reason for each in list_misfits(report, leaf)]
            assert leaf.hw_id is None or "chip-id-mismatch" in found
        for each in evidence[::10]:
            found = reasons(each.verify(report=raw))
            assert "report-signature" == found[-1]
            assert len(found) > 1

    def test_all(self, corpus):
        """
        The corpus has ten of them.
        """
        names = [
            entry["name"]
            for prefix in ("negative/snp", "negative/lit-snp")
            for entry in entries(corpus, prefix)
        ]

        assert 10 == len(names)

    def test_changed(self, corpus):
        """
        One of them is another with a change in its REPORT_ID.
        """
        one, other = (
            Report.from_bytes(
                (corpus / f"negative/snp/unverified-v2-{name}.bin").read_bytes()
            )
            for name in ("94739f63", "c696a46d")
        )

        assert (one.r, one.s) == (other.r, other.s)
        assert [0x15B] == [
            at for at in range(0x4A0) if one.raw[at] != other.raw[at]
        ]


class TestTcbs:
    def test_order(self, claims):
        """
        In all genuine reports reported <= committed <= current and launch <=
        committed, in every component.
        """
        for tcbs in (each.tcbs for each in claims):
            assert () == tcbs.committed.shortfalls(tcbs.reported)
            assert () == tcbs.current.shortfalls(tcbs.committed)
            assert () == tcbs.committed.shortfalls(tcbs.launch)

    def test_reported_below_committed(self, corpus, claims):
        """
        REPORTED_TCB below COMMITTED_TCB is normal, in 7 of 51.
        """
        below = [
            each for each in claims if each.tcbs.reported != each.tcbs.committed
        ]

        assert 7 == len(below)
        tcbs = claims_of(corpus, "420f4d65").tcbs
        assert (0x08, 0xA8) == (tcbs.reported.snp, tcbs.reported.microcode)
        assert (0x0E, 0xD1) == (tcbs.committed.snp, tcbs.committed.microcode)

    def test_committed_differs_from_current(self, corpus, claims):
        """
        COMMITTED_TCB differs from CURRENT_TCB in 11 of 51, and the versions of
        the firmware may, too.
        """
        differ = [
            each for each in claims if each.tcbs.committed != each.tcbs.current
        ]
        found = claims_of(corpus, "93e5d7e7")

        assert 11 == len(differ)
        assert "1.55.20" == str(found.current_version)
        assert "1.55.18" == str(found.committed_version)


class TestLeaves:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("genoa-vcek-20240625-814b37a9", "genoa-vcek-20250807-b6563a6c"),
            ("genoa-vcek-20250807-b6563a6c", "genoa-vcek-20240625-814b37a9"),
            ("milan-vcek-20240726-a882f430", "milan-vcek-20250116-e89cf138"),
            ("milan-vcek-20250116-e89cf138", "milan-vcek-20240726-a882f430"),
        ],
    )
    def test_same_chip_other_tcb(self, corpus, one, other):
        """
        With a leaf of the same chip at another TCB a report is refused for the
        TCB and the signature, not for the chip.
        """
        reports = [
            entry["name"]
            for entry in entries(corpus, "snp")
            if entry["endorsement_key"] == f"amd/vcek/{one}.pem"
        ]

        assert reports
        for name in reports:
            raw = (corpus / name).read_bytes()
            leaf = f"amd/vcek/{other}.pem"
            verdict = with_leaf(corpus, name, raw, leaf).verify()

            assert ["tcb-mismatch", "report-signature"] == reasons(verdict)

    def test_same_tcb_other_chip(self, corpus, evidence):
        """
        With a leaf of another chip at the same TCB it is refused for the chip
        and the signature.
        """
        leaves = known_leaves(corpus)
        tried = 0
        for each in evidence:
            own = each.leaf_key()
            for name, leaf in leaves.items():
                if (leaf.kind, leaf.tcb) != (KeyKind.VCEK, own.tcb) or (
                    own.hw_id in {None, leaf.hw_id}
                ):
                    continue
                verdict = with_leaf(corpus, "", each.report, name).verify()

                assert ["chip-id-mismatch", "report-signature"] == reasons(
                    verdict
                )
                tried += 1
                break
        assert tried > 10

    def test_re_issued(self, corpus):
        """
        A certificate that was issued anew has the same key: either verifies.
        """
        raw = (corpus / "snp/hcl/azure-hcl-snp-071cc8be.bin").read_bytes()
        report = HclReport.from_bytes(raw).hardware_report

        for leaf in (
            "amd/vcek/milan-vcek-20220629-82079a36.pem",
            "amd/vcek/milan-vcek-20230830-b68af9a5.pem",
        ):
            assert with_leaf(corpus, "", report, leaf).verify().is_authentic

    def test_replaced_intermediate(self, corpus):
        """
        Of two Genoa ASKs of one name only the second has signed these leaves.
        """
        each = find_recorded(corpus, "a95b044f")
        first = (corpus / "amd/ca/genoa-ask.pem").read_bytes()
        ark = (corpus / "amd/ca/genoa-ark.pem").read_bytes()

        verdict = each.verify(chain=first + ark)

        assert ["certificate-signature"] == reasons(verdict)


class TestRevocationLists:
    LIST = "amd/crl/ark-milan-20230509-n0.der"
    LEAF = "amd/vcek/milan-vcek-20230124-34309875.pem"
    GENOA = "amd/crl/ark-genoa-20221031-n1.der"

    def verdict(self, corpus, at, name):
        """
        Verify a Milan's report at the instant *at* with the list *name*.
        """
        entry = next(
            entry
            for entry in entries(corpus, "snp")
            if entry["endorsement_key"] == self.LEAF
        )
        raw = (corpus / entry["name"]).read_bytes()
        each = with_leaf(corpus, "", raw, self.LEAF)
        return each.verify((corpus / name).read_bytes(), at=instant(at))

    def test_checked(self, corpus):
        """
        A list that is valid has its say.
        """
        verdict = self.verdict(corpus, "2023-06-01T00:00:00Z", self.LIST)

        assert CrlState.CHECKED is verdict.claims.crl

    @pytest.mark.parametrize(
        ("at", "name", "reason"),
        [
            ("2024-05-09T23:00:00Z", LIST, "crl-expired"),
            ("2023-05-09T15:45:06Z", LIST, "crl-not-yet-valid"),
            ("2023-02-01T00:00:00Z", GENOA, "crl-issuer"),
        ],
    )
    def test_bad(self, corpus, at, name, reason):
        """
        One that is not, or another product line's, is a failure.
        """
        assert [reason] == reasons(self.verdict(corpus, at, name))


class TestFacts:
    @pytest.mark.parametrize("digest", ["7ea4daeb", "8fd94192"])
    def test_bergamo_and_siena(self, corpus, digest):
        """
        Silicon of the models A0 to AF is Genoa by its leaf.
        """
        claims = claims_of(corpus, digest)

        assert (0x19, 0xA0) == (claims.cpuid.family, claims.cpuid.model)
        assert "Genoa" == claims.product_name

    @pytest.mark.parametrize("digest", ["a95b044f", "c7ff0a93"])
    def test_version_2_of_genoa(self, corpus, digest):
        """
        Which product a report of version 2 is from, the leaf alone tells.
        """
        claims = claims_of(corpus, digest)

        assert (2, None) == (claims.version, claims.cpuid)
        assert "Genoa" == claims.product.value

    def test_stepping(self, claims):
        """
        The stepping in a leaf's name is not the silicon's.
        """
        found = {
            (each.product_name, each.cpuid.stepping)
            for each in claims
            if each.cpuid is not None
        }

        assert ("Milan-B0", 1) in found

    def test_vmpl(self, claims):
        """
        VMPL 1 is genuine, in 4 of 51.
        """
        vmpls = [each.vmpl for each in claims]

        assert (47, 4) == (vmpls.count(0), vmpls.count(1))

    @pytest.mark.parametrize("digest", ["77e63ec2", "f238c556", "f328bc9e"])
    def test_debug(self, corpus, digest):
        """
        Guests that may be debugged are authentic, and claim so.
        """
        assert claims_of(corpus, digest).debug

    @pytest.mark.parametrize("digest", ["21033d58", "31303d32"])
    def test_author_key(self, corpus, digest):
        """
        There are reports with an author key.
        """
        assert any(claims_of(corpus, digest).author_key_digest)

    def test_vlek(self, claims):
        """
        A VLEK's report names the provider and no chip, in 8 of 8.
        """
        vleks = [each for each in claims if each.kind is KeyKind.VLEK]

        assert 8 == len(vleks)
        assert all(each.chip_id_masked for each in vleks)
        assert all("amazonaws.com" in each.csp_id for each in vleks)

    def test_iommu_write_safe(self, corpus):
        """
        Bit 6 of PLATFORM_INFO is really set.
        """
        name = "negative/snp/unverified-v5-27ea540e.bin"
        report = Report.from_bytes((corpus / name).read_bytes())

        assert PlatformFlag.IOMMU_WRITE_SAFE in report.platform_info.flags

    def test_mitigations(self, claims):
        """
        Mitigation vectors have come with version 5; launch equals current.
        """
        found = {
            (each.mitigations.launch, each.mitigations.current)
            for each in claims
            if each.version == 5
        }

        assert {(1, 1), (0xB, 0xB)} == found


class TestSignature:
    def test_either_s(self, evidence):
        """
        With the order minus S in place of S every genuine report verifies, so
        the hash of a whole report identifies nothing; 26 have the higher S.
        """
        high = 0
        for each in evidence:
            report = Report.from_bytes(each.report)
            other = (P384_ORDER - report.s).to_bytes(72, "little")
            raw = each.report[:0x2E8] + other + each.report[0x330:]
            high += report.s > P384_ORDER // 2

            assert each.verify(report=raw).is_authentic
        assert 26 == high

    @pytest.mark.parametrize(
        ("at", "numbers"),
        [
            (0x2A0, bytes(144)),
            (0x2A0, bytes(72)),
            (0x2E8, P384_ORDER.to_bytes(72, "little")),
            (0x2A0 + 48, b"\1"),
        ],
    )
    def test_encoding(self, evidence, at, numbers):
        """
        What no signature can be is refused for its encoding.
        """
        raw = evidence[0].report
        raw = raw[:at] + numbers + raw[at + len(numbers) :]

        verdict = evidence[0].verify(report=raw)

        assert ["signature-encoding"] == reasons(verdict)


class TestSnpCertificates:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("test-vcek-invalid-legacy.der", "certificate-signature"),
            ("test-vcek-invalid-new.der", "certificate-signature"),
            ("ark.cert.bad", "certificate-malformed"),
            ("ark.cert.sig", "certificate-malformed"),
        ],
    )
    def test_negative(self, corpus, evidence, name, reason):
        """
        Tampered certificates vouch for no report.
        """
        leaf = (corpus / "negative/snp-certs" / name).read_bytes()
        chain = genuine_chain(corpus, "milan-ask").to_pem()
        verdict = evidence[-1].verify(leaf=leaf, chain=chain)

        assert [reason] == reasons(verdict)
