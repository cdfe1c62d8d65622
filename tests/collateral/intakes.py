"""
Take documents, lists and certificates in, judged by our own Intel.
"""

import dataclasses
import datetime

from thim.collateral.intake import (
    Intake,
    verify_ca_certificate,
    verify_crl,
    verify_document,
)
from thim.intel.signed import SignedJson
from thim.simulate.pki import (
    ISSUED,
    Intel,
)
from thim.x509.crl import Crl


INTEL = Intel()
OTHER = Intel("other")
SECOND = datetime.timedelta(seconds=1)
YEAR = datetime.timedelta(days=365)
INTAKE = Intake(
    anchors=INTEL.anchors,
    known=INTEL.certificates,
    root_crl=None,
    now=ISSUED,
)


def take(body, **changes):
    """
    Verify signed JSON, judged as usual but for *changes*.
    """
    intake = dataclasses.replace(INTAKE, **changes)
    return verify_document(SignedJson.from_json(body), intake, source="test")


def take_crl(der, **changes):
    """
    Verify a revocation list, judged as usual but for *changes*.
    """
    intake = dataclasses.replace(INTAKE, **changes)
    return verify_crl(Crl.from_der(der), intake, source="test")


def take_certificate(certificate, **changes):
    """
    Verify a certificate, judged as usual but for *changes*.
    """
    return verify_ca_certificate(
        certificate, dataclasses.replace(INTAKE, **changes)
    )


def root_crl(*certificates):
    """
    Make a root CRL that lists *certificates*.
    """
    serials = [certificate.serial_number for certificate in certificates]
    return Crl.from_der(INTEL.root_crl(revoked=serials))
