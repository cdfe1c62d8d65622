"""
Convergence and relaunch advice beside dcap-qvl 0.7.0, which follows QVL 1.27
there: a TD 1.5 quote whose launch and current TCB are at two levels, under
every pair of statuses.
"""

import itertools

import dcap_qvl
import pytest

from cryptography.hazmat.primitives.serialization import Encoding

from tests.simulate.quotes import INTEL
from tests.simulate.test_quote_verdict import signature_of
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.quote import Quote
from thim.intel.quote_collateral import Collateral, Documents
from thim.intel.tcb import PLATFORM_STATUSES, TcbStatus
from thim.intel.verify import QuoteVerifier
from thim.simulate.pck import Platform, pck_chain
from thim.simulate.pki import ISSUED
from thim.simulate.quote import TdBody15, make_tdx_quote_v5
from thim.x509.chain import to_pem


NOW = ISSUED.replace(day=ISSUED.day + 1)
LOW, HIGH = 3, 5
QUOTE = make_tdx_quote_v5(
    INTEL,
    Platform(),
    TdBody15(
        tee_tcb_svn=bytes([LOW, 1, *[LOW] * 14]),
        tee_tcb_svn_2=bytes([HIGH, 1, *[HIGH] * 14]),
    ),
)
PLATFORM = sorted(
    PLATFORM_STATUSES - {TcbStatus.REVOKED}, key=lambda s: s.value
)
USUAL = (TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE)


def level(svn, status):
    """
    A level of a TCB info.
    """
    return {
        "tcb": {
            "sgxtcbcomponents": [{"svn": 1}] * 16,
            "pcesvn": 1,
            "tdxtcbcomponents": [{"svn": svn}] * 16,
        },
        "tcbDate": "2024-03-13T00:00:00Z",
        "tcbStatus": status.value,
    }


def isv_level(svn, status):
    """
    A level of a module or an enclave.
    """
    return {
        "tcb": {"isvsvn": svn},
        "tcbDate": "2024-03-13T00:00:00Z",
        "tcbStatus": status.value,
    }


def documents(launch, current, module_launch, module_current, qe):
    """
    Sign documents in which everything has these statuses.
    """
    zero = {
        "mrsigner": "00" * 48,
        "attributes": "00" * 8,
        "attributesMask": "FF" * 8,
    }
    module = {
        "id": "TDX_01",
        **zero,
        "tcbLevels": [
            isv_level(HIGH, module_current),
            isv_level(LOW, module_launch),
        ],
    }
    tcb_info = INTEL.tcb_info(
        tee=Tee.TDX,
        changes={
            "tcbLevels": [level(HIGH, current), level(LOW, launch)],
            "tdxModuleIdentities": [module],
        },
    )
    identity = INTEL.identity(
        kind=EnclaveKind.TD_QE, changes={"tcbLevels": [isv_level(1, qe)]}
    )
    chain = to_pem([INTEL.signer, INTEL.root])
    return Documents(
        tcb_info=tcb_info,
        tcb_info_chain=chain,
        identity=identity,
        identity_chain=chain,
        pck_crl=INTEL.pck_crl(ca=PckCa.PLATFORM),
        root_ca_crl=INTEL.root_crl(),
    )


def inner(body):
    """
    The signed bytes of a document.
    """
    return body[body.index(b":") + 1 : body.rindex(b',"signature"')].decode()


def ours(with_documents):
    """
    Our status of the quote.
    """
    anchors = INTEL.anchors
    collateral = Collateral.from_documents(with_documents, anchors=anchors)
    verifier = QuoteVerifier(collateral, anchors=anchors)
    return verifier.verify(Quote(QUOTE), NOW).tcb_status


def theirs(with_documents):
    """
    dcap-qvl's.
    """
    chain = with_documents.tcb_info_chain.decode()
    collateral = dcap_qvl.QuoteCollateralV3(
        to_pem(pck_chain(INTEL, Platform())[1:]).decode(),
        with_documents.root_ca_crl,
        with_documents.pck_crl,
        chain,
        inner(with_documents.tcb_info),
        signature_of(with_documents.tcb_info),
        chain,
        inner(with_documents.identity),
        signature_of(with_documents.identity),
    )
    root = INTEL.root.public_bytes(Encoding.DER)
    now = int(NOW.timestamp())
    return dcap_qvl.verify_with_root_ca(QUOTE, collateral, root, now).status


@pytest.mark.parametrize("qe", USUAL, ids=lambda s: s.value)
@pytest.mark.parametrize("launch", PLATFORM, ids=lambda s: s.value)
def test_as_dcap_qvl(launch, qe):
    """
    Whatever the statuses of platform and module, at launch and now, both
    verifiers come to the same.
    """
    for current, *module in itertools.product(PLATFORM, USUAL, USUAL):
        at_launch, now = module
        made = documents(launch, current, at_launch, now, qe)
        assert ours(made).value == theirs(made)


@pytest.mark.parametrize("part", range(5))
def test_revoked(part):
    """
    Where dcap-qvl refuses what is revoked, ours is revoked; and what is
    revoked only of today's TCB leaves the status of the launch.
    """
    statuses = [TcbStatus.UP_TO_DATE] * 5
    statuses[part] = TcbStatus.REVOKED
    launch, current, module, now, qe = statuses
    made = documents(launch, current, module, now, qe)

    with pytest.raises(ValueError, match=r"[Rr]evoked"):
        theirs(made)
    is_at_launch = part in {0, 2, 4}
    expected = TcbStatus.REVOKED if is_at_launch else TcbStatus.UP_TO_DATE
    assert expected is ours(made)
