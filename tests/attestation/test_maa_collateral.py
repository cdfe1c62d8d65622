"""
Digests of collateral, as Azure Attestation makes them.
"""

import base64
import dataclasses
import hashlib
import textwrap

from tests.intel.quotes_made import INTEL, documents
from thim.attestation.maa_collateral import hash_documents
from thim.x509.chain import to_pem


OURS = documents("v3")
HASHES = hash_documents(OURS)


def sha256(text):
    """
    Hash *text* as a C string.
    """
    return hashlib.sha256(text + b"\0").hexdigest()


class TestHashDocuments:
    def test_documents(self):
        """
        Signed documents are hashed as they are served, with a NUL.
        """
        assert sha256(OURS.tcb_info) == HASHES.tcb_info
        assert sha256(OURS.identity) == HASHES.identity

    def test_chains(self):
        """
        Issuer chains are hashed as PEM, signer first, with a NUL.
        """
        expected = sha256(to_pem([INTEL.signer, INTEL.root]))
        assert expected == HASHES.tcb_info_certs
        assert expected == HASHES.identity_certs

    def test_chains_are_normalised(self):
        """
        Neither the order of a chain nor its line ends matter.
        """
        pem = to_pem([INTEL.root, INTEL.signer]).replace(b"\n", b"\r\n")
        other = dataclasses.replace(
            OURS, tcb_info_chain=pem, identity_chain=pem.rstrip()
        )
        assert HASHES == hash_documents(other)

    def test_list_of_the_root(self):
        """
        The list is that of the root CA, as PEM with a NUL.
        """
        lines = textwrap.wrap(base64.b64encode(OURS.root_ca_crl).decode(), 64)
        begin, end = "-----BEGIN X509 CRL-----", "-----END X509 CRL-----"
        text = "\n".join([begin, *lines, end, ""]).encode()
        assert sha256(text) == HASHES.crl

    def test_claim(self):
        """
        The claim has seven digests, the quote's of the bytes as they were
        sent.
        """
        found = HASHES.with_quote(b"sent")

        assert hashlib.sha256(b"sent").hexdigest() == found["quotehash"]
        assert [
            "qeidcertshash",
            "qeidcrlhash",
            "qeidhash",
            "quotehash",
            "tcbinfocertshash",
            "tcbinfocrlhash",
            "tcbinfohash",
        ] == list(found)
        assert {64} == {len(each) for each in found.values()}
