"""
A small Intel of our own that really signs.

It has Intel's exact names and extensions and one root key, but not Intel's
key, so that what it signs holds under its own ``anchors`` and nowhere else::

    intel = Intel()
    body = intel.tcb_info(fmspc="00606A000000", number=17)
    known = intel.certificates
    anchors = intel.anchors

Documents are issued at ``ISSUED`` and live for ``LIFETIME``, certificates as
long as Intel's, unless a test says otherwise.  Keys, serial numbers and
signatures depend only on *seed* and the arguments: two calls with equal
arguments return equal bytes, and ``Intel("other")`` is a stranger with other
keys behind the same names.
"""

import datetime

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from thim.intel.authorities import Authority
from thim.intel.names import EnclaveKind, Tee
from thim.simulate.authorities import (
    ROOT_UNTIL,
    SIGNER_UNTIL,
    SINCE,
    Authorities,
)
from thim.simulate.documents import (
    ISSUED,
    LIFETIME,
    NUMBERS,
    changed,
    format_date,
    identity_members,
    number_list_members,
    tcb_info_members,
    to_json,
)
from thim.simulate.profile import subject_name


__all__ = [
    "ISSUED",
    "LIFETIME",
    "NUMBERS",
    "ROOT_UNTIL",
    "SIGNER_UNTIL",
    "SINCE",
    "Intel",
    "format_date",
    "subject_name",
    "to_json",
]

_ECDSA: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class Intel(Authorities):
    """
    The authorities, and the documents that TCB Signing signs.
    """

    def sign(
        self,
        member: str,
        signed: bytes,
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """
        Sign the very bytes *signed* and put them into a body as *member*.

        Args:
            member: ``tcbInfo``, ``enclaveIdentity`` or
                ``tcbEvaluationDataNumbers``.
            signed: The object, as it shall stand in the body.
            key: The signer's, unless TCB Signing's.
        """
        signer = key or self.key(Authority.TCB_SIGNING)
        r, s = utils.decode_dss_signature(signer.sign(signed, _ECDSA))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return b'{"%s":%s,"signature":"%s"}' % (
            member.encode(),
            signed,
            signature.hex().encode(),
        )

    def tcb_info(
        self,
        *,
        fmspc: str = "00606A000000",
        tee: Tee = Tee.SGX,
        structure: int = 3,
        number: int = 17,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        changes: Mapping[str, object] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """
        Issue a TCB info.

        Args:
            fmspc: 12 hexadecimal digits, in the case that shall be written.
            tee: TDX exists in structure 3 only.
            structure: 1, 2 or 3.  Structure 1 has no evaluation number and no
                next update.
            number: The TCB evaluation data number.
            issued: The issue date.
            next_update: Thirty days later by default.
            changes: Members to set; those that are set to None are left out.
            key: The signer's, unless TCB Signing's.
        """
        members = tcb_info_members(
            fmspc=fmspc,
            tee=tee,
            structure=structure,
            number=number,
            issued=issued,
            next_update=next_update,
        )
        return self.sign("tcbInfo", changed(members, changes), key=key)

    def identity(
        self,
        *,
        kind: EnclaveKind = EnclaveKind.QE,
        number: int = 17,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        changes: Mapping[str, object] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """
        Issue the identity of an enclave; the arguments are as in *tcb_info*.
        """
        members = identity_members(
            kind=kind, number=number, issued=issued, next_update=next_update
        )
        return self.sign("enclaveIdentity", changed(members, changes), key=key)

    def numbers(
        self,
        *,
        tee: Tee = Tee.SGX,
        numbers: Mapping[int, datetime.datetime] = NUMBERS,
        issued: datetime.datetime = ISSUED,
        next_update: datetime.datetime | None = None,
        changes: Mapping[str, object] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> bytes:
        """
        Issue the list of evaluation numbers of *tee*.

        *numbers* maps each number to its TCB recovery event; the TCB date is
        the day after, as with Intel.  The rest is as in *tcb_info*.
        """
        member = "tcbEvaluationDataNumbers"
        members = number_list_members(
            tee=tee, numbers=numbers, issued=issued, next_update=next_update
        )
        return self.sign(member, changed(members, changes), key=key)
