"""
The documents that a quote is verified with: steps 3, 5 and 6.
"""

import datetime
import hashlib

import pytest

from tests.intel.levels_made import UP, part
from tests.intel.quotes_made import (
    END,
    INTEL,
    KINDS,
    NOW,
    SECOND,
    STRANGER,
    collateral,
    documents,
    flip,
    tampered,
    verify,
    why,
)
from thim.intel.authorities import Authority
from thim.intel.names import EnclaveKind, Tee
from thim.intel.quote_collateral import Collateral
from thim.intel.steps import Step, StepError
from thim.intel.tcb import TcbStatus
from thim.simulate.documents import ISSUED, LIFETIME
from thim.x509.chain import to_pem


SIGNERS = [INTEL.signer, INTEL.root]
SKEW = datetime.timedelta(minutes=5)
DAY = datetime.timedelta(days=1)
#: Each signed document: its step, and the name of its chain.
SIGNED = {
    "tcb_info": (Step.TCB_INFO, "tcb_info_chain"),
    "identity": (Step.IDENTITY, "identity_chain"),
}


def signer(**changes):
    """
    Return another certificate of TCB Signing.
    """
    return INTEL.certificate(Authority.TCB_SIGNING, **changes)


def refused(kind="v3", **replaced):
    """
    Say at which step documents are refused, and why.
    """
    with pytest.raises(StepError) as e:
        Collateral.from_documents(
            documents(kind, **replaced), anchors=INTEL.anchors
        )
    assert e.value.reason == e.value.finding.reason
    return e.value.finding.step, e.value.reason


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


@pytest.fixture(params=SIGNED)
def name(request):
    """
    One signed document after the other.
    """
    return request.param


class TestSigned:
    @pytest.mark.parametrize("at", [40, -20, -80])
    def test_changed(self, kind, name, at):
        """
        A document of which anything was changed is refused at its own step.
        """
        body = getattr(documents(kind), name)
        step, _ = SIGNED[name]

        found, _ = refused(kind, **{name: flip(body, at, 0)})

        assert step is found

    @pytest.mark.parametrize("issuer", [STRANGER, INTEL])
    def test_signature(self, kind, name, issuer):
        """
        The signature must be that of TCB Signing: not another Intel's, and
        not the root's.
        """
        body = getattr(documents(kind), name)
        member = "tcbInfo" if name == "tcb_info" else "enclaveIdentity"
        signed = body[body.index(b":") + 1 : body.rindex(b',"signature"')]
        who = Authority.ROOT if issuer is INTEL else Authority.TCB_SIGNING
        forged = issuer.sign(member, signed, key=issuer.key(who))

        found = refused(kind, **{name: forged})

        assert (SIGNED[name][0], "signature-invalid") == found

    @pytest.mark.parametrize(
        ("chain", "reason"),
        [
            ([STRANGER.signer, STRANGER.root], "root-untrusted"),
            ([INTEL.signer, STRANGER.root], "root-untrusted"),
            ([STRANGER.signer, INTEL.root], "issuer"),
            ([tampered(INTEL.signer), INTEL.root], "issuer"),
            ([INTEL.signer], "wrong-issuer-chain"),
            ([INTEL.root], "wrong-issuer-chain"),
            ([INTEL.platform_ca, INTEL.root], "wrong-issuer-chain"),
            ([*SIGNERS, INTEL.root], "wrong-issuer-chain"),
            ([signer(until=ISSUED - SECOND), INTEL.root], "certificate-dates"),
            ([signer(since=ISSUED + SECOND), INTEL.root], "certificate-early"),
        ],
    )
    def test_chain(self, name, chain, reason):
        """
        The chain is TCB Signing and root, under the pinned key, and valid
        when the document was issued.
        """
        step, chain_name = SIGNED[name]

        assert (step, reason) == refused(**{chain_name: to_pem(chain)})

    def test_order(self, kind):
        """
        The two certificates may stand in any order.
        """
        pem = to_pem([INTEL.root, INTEL.signer])

        verdict = verify(kind, tcb_info_chain=pem, identity_chain=pem)

        assert None is why(verdict)

    def test_signer_revoked(self, name):
        """
        A signer on the root's list is refused, for the document that it
        signed; another certificate of the same signer is not.
        """
        step, chain_name = SIGNED[name]
        revoking = INTEL.root_crl(revoked=[0xBAD])
        chain = to_pem([signer(serial=0xBAD), INTEL.root])

        Collateral.from_documents(
            documents("v3", root_ca_crl=revoking), anchors=INTEL.anchors
        )
        found = refused(root_ca_crl=revoking, **{chain_name: chain})

        assert (step, "revoked") == found

    def test_the_other_document(self):
        """
        Neither document is taken for the other.
        """
        given = documents("v3")

        assert (Step.TCB_INFO, "kind") == refused(tcb_info=given.identity)
        assert (Step.IDENTITY, "kind") == refused(identity=given.tcb_info)

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff"])
    def test_none(self, name, body):
        """
        What is no document, or no chain, is refused at the document's step.
        """
        step, chain_name = SIGNED[name]

        assert step is refused(**{name: body})[0]
        assert step is refused(**{chain_name: body})[0]

    def test_structures(self):
        """
        TCB infos have the structure 2 or 3; 1 has no end, and is refused.
        """
        verdict = verify("v3", tcb_info=INTEL.tcb_info(structure=2))

        assert TcbStatus.SW_HARDENING_NEEDED is verdict.tcb_status
        found = refused(tcb_info=INTEL.tcb_info(structure=1))
        assert (Step.TCB_INFO, "version") == found

    @pytest.mark.parametrize("other", EnclaveKind)
    def test_kind(self, kind, other):
        """
        The identity is that of the TEE's own quoting enclave.
        """
        right = EnclaveKind.QE if kind == "v3" else EnclaveKind.TD_QE
        changes = {"id": other.value}
        if other is right:
            assert other is collateral(kind, identity=changes).identity.kind
        else:
            found = refused(kind, identity=changes)
            assert (Step.QE_IDENTITY, "qe-id") == found


class TestLists:
    @pytest.mark.parametrize("name", ["pck_crl", "root_ca_crl"])
    @pytest.mark.parametrize("crl", [b"", b"\x30\0", b"none"])
    def test_none(self, name, crl):
        """
        A list that cannot be read is refused.
        """
        assert Step.CRLS is refused(**{name: crl})[0]

    @pytest.mark.parametrize(
        ("crl", "reason"),
        [
            (STRANGER.root_crl(), "signature-invalid"),
            (flip(INTEL.root_crl(), -1, 0), "signature-invalid"),
            (INTEL.pck_crl(), "issuer"),
        ],
    )
    def test_root(self, crl, reason):
        """
        The root's list is the root's, and signed by it.
        """
        assert (Step.CRLS, reason) == refused(root_ca_crl=crl)


#: The documents, and which step says that one is of the future.
USED = {
    "tcb-info": Step.TCB_INFO,
    "identity": Step.IDENTITY,
    "pck-crl": Step.CRLS,
    "root-ca-crl": Step.CRLS,
}


def dated(which, issued, ends=None):
    """
    Return documents of which one is issued and ends at other instants.
    """
    name = which.replace("-", "_")
    make = getattr(INTEL, name.replace("_ca", ""))
    body = make(issued=issued, next_update=ends or issued + LIFETIME)
    return collateral("v3", **{name: body})


class TestDates:
    @pytest.mark.parametrize("which", USED)
    def test_future(self, which):
        """
        A document may be as far ahead as clocks may differ, and no second
        more.
        """
        issued = NOW + 7 * DAY
        found = dated(which, issued)

        found.verify_issued(issued - SKEW)
        with pytest.raises(StepError, match=which) as e:
            found.verify_issued(issued - SKEW - SECOND)

        assert USED[which] is e.value.finding.step
        assert "not-yet-issued" == e.value.reason
        assert f"{issued:%FT%TZ}" == e.value.finding.found

    def test_which_of_two(self):
        """
        What is refused is the one that is too far ahead.
        """
        near, far = NOW + SKEW, NOW + DAY
        found = collateral(
            "v3",
            tcb_info=INTEL.tcb_info(issued=near),
            root_ca_crl=INTEL.root_crl(issued=far),
        )

        with pytest.raises(StepError, match="root-ca-crl is of"):
            found.verify_issued(NOW)

        assert far - SKEW == found.since

    @pytest.mark.parametrize("which", USED)
    def test_expired(self, which):
        """
        At its very end a document is still valid, and not one second later.
        """
        end = NOW + DAY
        found = dated(which, ISSUED, end)

        assert () == found.expired(end)
        (expired,) = found.expired(end + SECOND)
        assert which == expired.name
        assert end == expired.ends == found.ends

    def test_all_expired(self, kind):
        """
        Each is told, in the order of their use.
        """
        found = collateral(kind).expired(END + SECOND)

        assert [*USED] == [used.name for used in found]
        assert [*USED.values()] == [used.step for used in found]

    @pytest.mark.parametrize("i", [0, 1])
    def test_end_of_the_chain(self, i):
        """
        A document ends with its chain, if that is earlier.
        """
        name = [*SIGNED.values()][i][1]

        found = collateral(
            "v3", **{name: to_pem([signer(until=NOW), INTEL.root])}
        )

        expected = [END] * 4
        expected[i] = NOW
        assert expected == [used.ends for used in found.used]
        assert NOW == found.ends

    def test_used(self, kind):
        """
        What was used is told by name, digest and number.
        """
        given = documents(kind)
        bodies = [given.tcb_info, given.identity]
        bodies += [given.pck_crl, given.root_ca_crl]

        used = collateral(kind).used

        assert [hashlib.sha256(body).digest() for body in bodies] == [
            each.sha256 for each in used
        ]
        assert [17, 17, None, None] == [each.evaluation_number for each in used]
        assert [False, False, True, True] == [each.is_crl for each in used]
        assert {ISSUED} == {each.issued for each in used}

    def test_number(self, kind):
        """
        The collateral's number and TEE are those of the TCB info.
        """
        found = collateral(kind, tcb_info={"tcbEvaluationDataNumber": 19})

        assert 19 == found.evaluation_number
        assert (Tee.SGX if kind == "v3" else Tee.TDX) is found.tee


class TestLevels:
    def modules(self, *modules):
        """
        Read a TCB info with these TDX modules.
        """
        same = {
            "mrsigner": "00" * 48,
            "attributes": "00" * 8,
            "attributesMask": "FF" * 8,
        }
        written = [
            {"id": name, **same, "tcbLevels": [part(UP, svn) for svn in svns]}
            for name, *svns in modules
        ]
        return collateral("v5", tcb_info={"tdxModuleIdentities": written})

    def test_modules(self):
        """
        TDX modules are found by their version, in hexadecimal of any case,
        and that of version 0 has no levels.
        """
        found = self.modules(
            ("TDX_01", 1), ("tdx_0a", 10), ("TDX_FF", 255), ("TDX_1", 3)
        )

        assert [0, 1, 10, 255] == sorted(found.modules)
        assert [10] == [lev.isvsvn for lev in found.module_levels(10)]
        assert () == found.module_levels(0) == found.module_levels(3)

    def test_first_of_two(self):
        """
        Of two identities of one version the first counts.
        """
        found = self.modules(("TDX_01", 1), ("tdx_01", 2))

        assert [1] == [lev.isvsvn for lev in found.module_levels(1)]

    def test_no_modules_in_sgx(self):
        """
        SGX has none.
        """
        assert {} == collateral("v3").modules

    def test_order(self):
        """
        Levels are looked through from the highest, whatever their order.
        """
        modules = self.modules(("TDX_01", 2, 5, 4))
        identity = {"tcbLevels": [part(UP, svn) for svn in (2, 9, 4)]}

        found = collateral("v3", identity=identity).identity_levels

        assert [5, 4, 2] == [lev.isvsvn for lev in modules.module_levels(1)]
        assert [9, 4, 2] == [lev.isvsvn for lev in found]
