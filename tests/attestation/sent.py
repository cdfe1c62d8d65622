"""
Bodies as clients send them to have something attested.
"""

import base64
import json

from thim.attestation.submission import EVIDENCE_MEMBERS, read_submission


def to_base64url(data):
    """
    Write *data* as most clients do: base64url without padding.
    """
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def held(data, kind="Binary"):
    """
    Write data that evidence is bound to.
    """
    return {"data": to_base64url(data), "dataType": kind}


def write_body(kind, evidence, **members):
    """
    Write the body that asks for an attestation of *kind*.
    """
    name = EVIDENCE_MEMBERS[kind]
    return json.dumps({name: to_base64url(evidence), **members}).encode()


def submit(kind, evidence, **members):
    """
    Write such a body and take it apart.
    """
    return read_submission(kind, write_body(kind, evidence, **members))
