import dataclasses
import hashlib

import pytest

from thim.collateral.records import (
    ROOT_CA_CRL,
    Kind,
    Record,
    Stamp,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.simulate.pki import ISSUED, LIFETIME


FMSPC = bytes.fromhex("00906ed50000")
RECORD = Record(
    key=tcb_info_key(Tee.SGX, FMSPC, 3),
    evaluation_number=17,
    body=b"{}",
    issuer_chain=b"",
    issued=ISSUED,
    next_update=ISSUED + LIFETIME,
    signed_sha256=b"digest",
    source="a test",
    fetched=ISSUED,
    verified=ISSUED,
)


class TestCollateralKey:
    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            (
                tcb_info_key(Tee.SGX, FMSPC, 3),
                "intel/tcb-info/sgx:00906ED50000/3",
            ),
            (
                tcb_info_key(Tee.TDX, FMSPC, 2),
                "intel/tcb-info/tdx:00906ED50000/2",
            ),
            (identity_key(EnclaveKind.QE), "intel/identity/qe/2"),
            (identity_key(EnclaveKind.QVE), "intel/identity/qve/2"),
            (identity_key(EnclaveKind.TD_QE), "intel/identity/td-qe/2"),
            (identity_key(EnclaveKind.QAE), "intel/identity/qae/2"),
            (pck_crl_key(PckCa.PROCESSOR), "intel/pck-crl/processor/0"),
            (pck_crl_key(PckCa.PLATFORM), "intel/pck-crl/platform/0"),
            (ROOT_CA_CRL, "intel/root-ca-crl/root/0"),
            (
                numbers_key(Tee.SGX),
                "intel/tcb-evaluation-data-numbers/sgx/1",
            ),
            (
                numbers_key(Tee.TDX),
                "intel/tcb-evaluation-data-numbers/tdx/1",
            ),
        ],
    )
    def test_names(self, key, expected):
        """
        Each document has a name through all its versions.
        """
        assert expected == str(key)

    def test_case_of_the_fmspc(self):
        """
        An FMSPC is bytes: the case in which it was written is no difference.
        """
        large = bytes.fromhex("00906ED50000")

        assert tcb_info_key(Tee.SGX, large, 3) == RECORD.key

    def test_structures_are_apart(self):
        """
        Versions 2 and 3 of one TCB info are two documents.
        """
        assert tcb_info_key(Tee.SGX, FMSPC, 2) != RECORD.key


class TestRecord:
    def test_address(self):
        """
        A record's address is the digest of its body.
        """
        assert hashlib.sha256(b"{}").digest() == RECORD.sha256

    def test_stamp(self):
        """
        Issue date and signed bytes decide between versions, not the body.
        """
        wrapped = dataclasses.replace(RECORD, body=b" {}")

        assert Stamp(issued=ISSUED, signed_sha256=b"digest") == RECORD.stamp
        assert wrapped.stamp == RECORD.stamp

    @pytest.mark.parametrize(
        ("key", "number", "expected"),
        [
            (tcb_info_key(Tee.SGX, FMSPC, 1), None, True),
            (tcb_info_key(Tee.SGX, FMSPC, 3), 0, False),
            (tcb_info_key(Tee.SGX, FMSPC, 3), 17, False),
            (ROOT_CA_CRL, None, False),
            (numbers_key(Tee.SGX), None, False),
        ],
    )
    def test_is_archive_only(self, key, number, expected):
        """
        Only a TCB info without an evaluation number is never served.
        """
        record = dataclasses.replace(RECORD, key=key, evaluation_number=number)

        assert expected is record.is_archive_only

    def test_kinds(self):
        """
        The kinds of collateral, as they are stored.
        """
        expected = {
            "tcb-info",
            "identity",
            "pck-crl",
            "root-ca-crl",
            "tcb-evaluation-data-numbers",
            "fmspcs",  # asked for, never stored
            "pck-certificates",  # kept with their platforms
            "cert-chain",
            "crl",
            "vcek",  # kept by its chip and TCB
            "vlek",  # kept by its TCB
        }

        assert expected == {kind.value for kind in Kind}
