import base64
import datetime
import functools

import pytest

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.amd import report_parts as parts
from tests.amd.certificates import (
    HW_ID,
    SECOND,
    SINCE,
    UNTIL,
    amd_extensions,
    anchors,
    ark,
    ask,
    chain,
    crl,
    entry,
    flip,
    leaf,
    leaf_key,
    load,
    name,
)
from tests.amd.report_parts import ORDER, a_report
from thim.amd.authorities import AMD_ROOTS, KeyKind
from thim.amd.report_fields import (
    Cpuid,
    FirmwareVersion,
    GuestPolicy,
    MitigationVectors,
    PlatformInfo,
    Tcbs,
)
from thim.amd.tcb import ProductLine, TcbVersion
from thim.amd.verdict import Claims, CrlState, Finding
from thim.amd.verify import verify_evidence


MILAN, GENOA, TURIN = ProductLine
NOW = SINCE + datetime.timedelta(days=30)
#: What the leaf is for.
TCB = "03010000000008db"
TCB_TURIN = "02030108000000db"
FIT = {"at_180": TCB, "at_188": "190102", "at_1a0": HW_ID.hex()}
AUTHOR_KEY = "07" * 48


def sign(raw):
    """
    Sign the report *raw* with the leaf's key.
    """
    signature = leaf_key().sign(raw[:0x2A0], ec.ECDSA(hashes.SHA384()))
    r, s = decode_dss_signature(signature)
    return with_signature(raw, r, s)


def with_signature(raw, r, s):
    """
    Write *r* and *s* into the report *raw*.
    """
    numbers = r.to_bytes(72, "little") + s.to_bytes(72, "little")
    return raw[:0x2A0] + numbers + bytes(368)


def signed(version=5, **changes):
    """
    Make a report that fits the leaf, but for *changes*, and is signed.
    """
    return sign(a_report(version, **FIT | changes))


@functools.cache
def the_report():
    """
    A report that holds.
    """
    return signed()


def to_pem(der):
    """
    Write *der* as a PEM block, readable or not.
    """
    lines = base64.encodebytes(der)
    begin, end = (
        f"-----{word} CERTIFICATE-----\n" for word in ("BEGIN", "END")
    )
    return begin.encode() + lines + end.encode()


@functools.cache
def documents():
    """
    What vouches for a report, each document in DER.
    """
    return {
        "leaf": leaf(),
        "intermediate": ask().public_bytes(Encoding.DER),
        "ark": ark().public_bytes(Encoding.DER),
        "crl": crl(),
    }


@functools.cache
def good():
    """
    All that the report is verified with.
    """
    return {
        "leaf": documents()["leaf"],
        "chain": to_pem(documents()["intermediate"])
        + to_pem(documents()["ark"]),
        "crl": documents()["crl"],
        "anchors": anchors(),
        "now": NOW,
    }


def verify(report=None, **changes):
    """
    Verify a report that holds, but for *changes*.
    """
    return verify_evidence(report or the_report(), **good() | changes)


def reasons(verdict):
    """
    Shorten the findings to their steps and reasons.
    """
    assert not verdict.is_authentic
    assert verdict.claims is None
    return [(finding.step, finding.reason) for finding in verdict.findings]


class TestAuthentic:
    def test_claims(self):
        """
        What an authentic report says becomes claims, each from its own field.
        """
        verdict = verify()

        assert verdict.is_authentic
        assert () == verdict.findings
        assert () == verdict.notes
        assert not verdict.claims.chip_id_masked
        assert (
            Claims(
                version=5,
                product=MILAN,
                product_name="Milan",
                cpuid=Cpuid(family=0x19, model=1, stepping=2),
                kind=KeyKind.VCEK,
                csp_id=None,
                chip_id=HW_ID,
                tcbs=Tcbs(
                    reported=TcbVersion.from_bytes(bytes.fromhex(TCB), MILAN),
                    committed=TcbVersion.from_bytes(parts.COMMITTED_TCB, MILAN),
                    current=TcbVersion.from_bytes(parts.CURRENT_TCB, MILAN),
                    launch=TcbVersion.from_bytes(parts.LAUNCH_TCB, MILAN),
                ),
                current_version=FirmwareVersion(major=1, minor=55, build=29),
                committed_version=FirmwareVersion(major=2, minor=54, build=20),
                platform_info=PlatformInfo(raw=0x125),
                mitigations=MitigationVectors(
                    launch=0x1211100F0E0D0C0B, current=0x1A19181716151413
                ),
                policy=GuestPolicy(raw=0xB011F),
                guest_svn=0x1000B,
                family_id=parts.FAMILY_ID,
                image_id=parts.IMAGE_ID,
                vmpl=1,
                measurement=parts.MEASUREMENT,
                report_data=parts.REPORT_DATA,
                host_data=parts.HOST_DATA,
                id_key_digest=parts.ID_KEY_DIGEST,
                author_key_digest=parts.AUTHOR_KEY_DIGEST,
                report_id=parts.REPORT_ID,
                report_id_ma=parts.REPORT_ID_MA,
                crl=CrlState.CHECKED,
            )
            == verdict.claims
        )

    @pytest.mark.parametrize("version", [2, 3, 4])
    def test_versions(self, version):
        """
        Older reports say less.
        """
        cpuid = {"at_188": "000000"} if version == 2 else {}

        claims = verify(signed(version, **cpuid)).claims

        assert version == claims.version
        assert (version == 2) == (claims.cpuid is None)
        assert claims.mitigations is None

    @pytest.mark.parametrize(("policy", "debug"), [("0b", True), ("03", False)])
    def test_debug(self, policy, debug):
        """
        A guest that may be debugged is authentic, and claims so.
        """
        claims = verify(signed(at_008=f"1f00{policy}")).claims

        assert debug is claims.debug

    def test_leaf_in_pem(self):
        """
        The leaf may come in PEM as well as in DER.
        """
        pem = load(leaf()).public_bytes(Encoding.PEM)

        assert verify(leaf=pem).is_authentic

    def test_vlek(self):
        """
        A cloud provider's key names the provider, and the report no chip.
        """
        claims = verify(
            signed(at_048="05", at_1a0="00" * 64),
            leaf=leaf(kind="vlek"),
            chain=chain(kind="vlek").to_pem(),
        ).claims

        assert KeyKind.VLEK is claims.kind
        assert "CN=example" == claims.csp_id
        assert claims.chip_id is None
        assert claims.chip_id_masked

    def test_masked(self):
        """
        A chip that the host masks is a claim, no failure.
        """
        claims = verify(signed(at_1a0="00" * 64)).claims

        assert claims.chip_id is None
        assert claims.chip_id_masked

    def test_turin(self):
        """
        Turin's TCB versions are read in Turin's layout.
        """
        places = ("at_038", "at_180", "at_1e0", "at_1f0")
        chip = HW_ID[:8].hex() + "00" * 56

        claims = verify(
            signed(
                at_188="1a0200",
                at_1a0=chip,
                **dict.fromkeys(places, TCB_TURIN),
            ),
            leaf=leaf("Turin"),
            chain=chain("Turin").to_pem(),
            crl=None,
        ).claims

        assert TURIN is claims.product
        assert (
            TcbVersion(
                product=TURIN, fmc=2, bootloader=3, tee=1, snp=8, microcode=0xDB
            )
            == claims.tcbs.launch
        )

    def test_either_s(self):
        """
        S and the order minus S sign the same: only what is signed can identify
        a report.
        """
        raw = signed()
        r, s = (
            int.from_bytes(raw[at : at + 72], "little") for at in (0x2A0, 0x2E8)
        )

        assert verify(with_signature(raw, r, ORDER - s)).is_authentic

    def test_machines_are_not_shown(self):
        """
        The chip's ID stands in no repr.
        """
        found = repr(verify())

        assert repr(HW_ID) not in found
        assert HW_ID.hex() not in found


class TestRevocationList:
    def test_missing(self):
        """
        Without a list a report may be authentic; the verdict says so.
        """
        verdict = verify(crl=None)

        assert verdict.is_authentic
        assert CrlState.MISSING is verdict.claims.crl
        (note,) = verdict.notes
        assert (4, "crl-missing") == (note.step, note.reason)

    def test_missing_beside_findings(self):
        """
        That is said of a report that is not authentic, too.
        """
        notes = [
            verify(crl=None, leaf=leaf(until=NOW - SECOND)).notes,
            verify(signed(at_1a0="ff"), crl=None).notes,
        ]

        assert ["crl-missing"] * 2 == [note.reason for (note,) in notes]

    def test_there(self):
        """
        With one there is nothing to say.
        """
        assert () == verify(leaf=leaf(until=NOW - SECOND)).notes
        assert () == verify(signed(at_1a0="ff")).notes

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"until": NOW}, "crl-expired"),
            ({"since": NOW + SECOND}, "crl-not-yet-valid"),
            ({"issuer": name("ARK-Genoa")}, "crl-issuer"),
        ],
    )
    def test_bad(self, changes, reason):
        """
        A list that does not hold is a failure.
        """
        assert [(4, reason)] == reasons(verify(crl=crl(**changes)))

    def test_malformed(self):
        """
        So is one that cannot be read.
        """
        assert [(4, "crl-malformed")] == reasons(verify(crl=b""))

    def test_signature(self):
        """
        So is one that was changed.
        """
        other = flip(crl(), -1)

        assert [(4, "crl-signature")] == reasons(verify(crl=other))

    def test_revoked(self):
        """
        So is one that lists the intermediate.
        """
        revoked = crl(entry(0x10001))

        assert [(4, "ask-revoked")] == reasons(verify(crl=revoked))

    def test_others_revoked(self):
        """
        Another intermediate may be revoked.
        """
        assert verify(crl=crl(entry(0x10002))).is_authentic


class TestSteps1To4:
    @pytest.mark.parametrize(
        ("raw", "step", "reason"),
        [
            (a_report() + b"\0", 1, "report-length"),
            (a_report(6), 2, "report-version"),
            (a_report(at_04c="01"), 2, "report-reserved"),
            (a_report(at_008="1f0001"), 2, "policy-reserved"),
            (a_report(at_048="1c"), 2, "report-unsigned"),
            (a_report(at_2a0="00" * 512), 3, "signature-encoding"),
        ],
    )
    def test_report(self, raw, step, reason):
        """
        What is wrong with the report itself ends the verification at its
        step, whatever else is wrong.
        """
        verdict = verify(raw, leaf=b"", chain=b"", crl=b"")

        assert [(step, reason)] == reasons(verdict)

    def test_detail(self):
        """
        The finding says in words what is wrong.
        """
        assert (
            Finding(
                step=1,
                reason="report-length",
                detail="report is 1185 bytes, expected 1184",
            ),
        ) == verify(a_report() + b"\0").findings

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"leaf": b""}, "certificate-malformed"),
            ({"leaf": b"-----BEGIN"}, "certificate-malformed"),
            ({"chain": b""}, "certificate-malformed"),
            ({"anchors": AMD_ROOTS}, "root-not-pinned"),
            ({"now": SINCE - SECOND}, "ark-not-yet-valid"),
            ({"now": UNTIL + SECOND}, "ark-expired"),
        ],
    )
    def test_chain(self, changes, reason):
        """
        What is wrong with the certificates ends it, too: nothing is said of
        the report.
        """
        verdict = verify(signed(at_1a0="ff"), **changes)

        assert [(4, reason)] == reasons(verdict)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"extensions": amd_extensions(_4=bytes(64))}, "hwid-zero"),
            ({"until": NOW - SECOND}, "leaf-expired"),
            ({"since": NOW + SECOND}, "leaf-not-yet-valid"),
            ({"product": "Genoa"}, "certificate-issuer"),
        ],
    )
    def test_leaf(self, changes, reason):
        """
        So does what is wrong with the leaf.
        """
        verdict = verify(signed(at_1a0="ff"), leaf=leaf(**changes))

        assert [(4, reason)] == reasons(verdict)


class TestCertificates:
    # Changed names draw warnings from cryptography before they are refused.
    @pytest.mark.filterwarnings("ignore:Attribute's length must be")
    @settings(max_examples=400)
    @given(
        st.sampled_from(["leaf", "intermediate", "ark"]),
        st.integers(0, 8 * 4096),
    )
    def test_any_bit(self, changed, bit):
        """
        With any bit changed in any of the certificates that vouch for it a
        report is not authentic, and the step is the fourth.
        """
        whole = documents()[changed]
        at, bit = divmod(bit, 8)
        found = documents() | {changed: flip(whole, at % len(whole), bit)}
        pem = to_pem(found["intermediate"]) + to_pem(found["ark"])

        verdict = verify(leaf=found["leaf"], chain=pem)

        assert {4} == {step for step, _ in reasons(verdict)}


class TestSteps5To9:
    def test_misfit(self):
        """
        A report that is signed by the leaf's key and names another chip is
        refused.
        """
        assert [(8, "chip-id-mismatch")] == reasons(verify(signed(at_1a0="ff")))

    def test_signature(self):
        """
        One that was changed is refused, and not called a forgery: it may just
        have another leaf.
        """
        raw = signed()
        changed = raw[:0x50] + b"\xff" + raw[0x51:]

        assert (
            Finding(
                step=9,
                reason="report-signature",
                detail="the leaf's key did not sign this report: it is not "
                "the report's leaf, or the report was changed",
                found="a signature that does not verify",
                expected="one by the leaf's key over bytes 0x000 to 0x29f",
            ),
        ) == verify(changed).findings

    @pytest.mark.parametrize("at", [0x2A0, 0x2E8])
    def test_other_signature(self, at):
        """
        So is one with another signature.
        """
        raw = signed()
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]

        assert [(9, "report-signature")] == reasons(verify(changed))

    def test_author_key_without_flag(self):
        """
        An author key is flagged.
        """
        raw = signed(at_048="00", at_110=AUTHOR_KEY)

        assert (
            Finding(
                step=9,
                reason="author-key-digest",
                detail="AUTHOR_KEY_EN is not set, AUTHOR_KEY_DIGEST disagrees",
                found=AUTHOR_KEY,
                expected="zeros",
            ),
        ) == verify(raw).findings

    def test_flag_without_author_key(self):
        """
        A flagged author key is there.
        """
        raw = signed(at_048="01", at_110="00" * 48)

        assert (
            Finding(
                step=9,
                reason="author-key-digest",
                detail="AUTHOR_KEY_EN is set, AUTHOR_KEY_DIGEST disagrees",
                found="00" * 48,
                expected="a digest",
            ),
        ) == verify(raw).findings

    def test_no_author_key(self):
        """
        A report may be without one.
        """
        assert verify(signed(at_048="00", at_110="00" * 48)).is_authentic

    def test_together(self):
        """
        All that is wrong is told at once, in the order of the steps.
        """
        raw = a_report(
            at_048="04",
            at_188="191102",
            at_180="03000000000008db",
            at_1a0="ff",
            at_2a0="01",
        )

        assert [
            (5, "signing-key-mismatch"),
            (6, "product-mismatch"),
            (7, "tcb-mismatch"),
            (8, "chip-id-mismatch"),
            (9, "author-key-digest"),
            (9, "report-signature"),
        ] == reasons(verify(raw))
