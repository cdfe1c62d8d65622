"""
A secret for an enclave that nobody else can read: the whole flow.

Three parties.  The *enclave* makes a key pair, and has the public half bound
into its quote.  The *attestation service* (``thim serve``) verifies the quote
and signs a token, in which that key stands.  The *relying party* trusts the
service, verifies the token, and encrypts its secret to the key.  Whoever
carries the messages learns nothing.

In three terminals::

    thim simulate --write-config trial.toml
    thim serve --config trial.toml
    python examples/secret_sharing.py

The enclave is simulated: ``thim simulate`` signs its quotes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import secrets
import urllib.request

from typing import Any

from joserfc import jwe
from joserfc.jwk import RSAKey

from thim.client.attest import (
    AttestationClient,
    AttestationType,
    HeldData,
)


SGX = AttestationType.SGX_ENCLAVE
ALGORITHMS = ["RSA-OAEP-256", "A256GCM"]


class Enclave:
    """
    The side that wants the secret; *machine* is the admin port of `thim
    simulate`, which stands for the hardware.
    """

    def __init__(self, machine: str) -> None:
        self._machine = machine
        # The private half never leaves the enclave.
        self._key = RSAKey.generate_key(
            2048, {"use": "enc", "kid": "for-the-secret"}
        )

    def attest(self, service: AttestationClient, nonce: str) -> str:
        """
        Get a token that says: this key was made in this enclave, just now.
        """
        # What is in the runtime data is up to us; the quote holds their digest.
        keys = [self._key.as_dict(private=False)]
        runtime = json.dumps({"keys": keys, "nonce": nonce}).encode()
        quote = self._quote(hashlib.sha256(runtime).digest())
        held = HeldData(data=runtime, is_json=True)
        return service.attest(SGX, quote, runtime=held, nonce=nonce)

    def _quote(self, digest: bytes) -> bytes:
        report_data = digest.ljust(64, b"\0")
        wanted = {
            "kind": "sgx-v3",
            "platform": "ice-1",
            "report_data": report_data.hex(),
        }
        answer = _ask(f"{self._machine}/quotes", wanted)
        return bytes.fromhex(answer["quote"])

    def open(self, message: str) -> bytes:
        """
        Decrypt what the relying party has sent.
        """
        found = jwe.decrypt_compact(message, self._key, algorithms=ALGORITHMS)
        return found.plaintext or b""


class RelyingParty:
    """
    The side that has the *secret*, and gives it to one kind of enclave only.

    *signer* is MRSIGNER of that kind: whose enclaves may have it.
    """

    def __init__(
        self, provider: AttestationClient, secret: bytes, signer: str
    ) -> None:
        self._provider = provider
        self._secret = secret
        self._signer = signer
        # It makes each token good for one conversation.
        self.nonce = secrets.token_urlsafe(32)

    def answer(self, token: str) -> str:
        """
        Encrypt the secret to the key in *token*, if that holds.

        Raises:
            ThimError: It does not hold.
            PermissionError: It does, and yet the enclave may not have it.
        """
        # Signature, issuer, dates, type and nonce.
        claims = self._provider.verify(token, type=SGX, nonce=self.nonce)
        # Verified is not acceptable: which enclave is it?
        if claims["x-ms-sgx-is-debuggable"]:
            raise PermissionError("an enclave that its host can look into")
        if claims["x-ms-sgx-mrsigner"] != self._signer:
            raise PermissionError("somebody else's enclave")
        # The service's own echo of the nonce says that the token is new; that
        # it is in the runtime data says the same of the quote.
        runtime = claims.runtime or {}
        if runtime.get("nonce") != self.nonce:
            raise PermissionError("a quote that was not made for this")
        key = RSAKey.import_key(runtime["keys"][0])
        header = dict(zip(("alg", "enc"), ALGORITHMS, strict=True))
        return jwe.encrypt_compact(
            header, self._secret, key, algorithms=ALGORITHMS
        )


def share(
    service: str,
    machine: str,
    issuer: str,
    secret: bytes,
    signer: str,
) -> bytes:
    """
    Let both sides talk, and return what the enclave has got.
    """
    with AttestationClient(service, issuer=issuer) as client:
        relying_party = RelyingParty(client, secret, signer)
        enclave = Enclave(machine)
        token = enclave.attest(client, relying_party.nonce)  # 1: nonce, token
        return enclave.open(relying_party.answer(token))  # 2: the secret


def simulated_signer(machine: str) -> str:
    """
    Return whose the simulated enclave is; a real relying party knows whose
    enclaves it trusts.
    """
    answer = _ask(f"{machine}/quotes", {"kind": "sgx-v3", "platform": "ice-1"})
    return bytes.fromhex(answer["quote"])[48 + 128 : 48 + 160].hex()


def _ask(url: str, body: object = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def main() -> None:
    """
    Share a secret with the simulated enclave.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--service", default="http://127.0.0.1:8080")
    parser.add_argument("--machine", default="http://127.0.0.1:8182")
    parser.add_argument("--issuer", help="default: as --service")
    given = parser.parse_args()
    secret = base64.b64encode(secrets.token_bytes(15))
    got = share(
        given.service,
        given.machine,
        given.issuer or given.service,
        secret,
        simulated_signer(given.machine),
    )
    print(f"sent  {secret.decode()}")
    print(f"got   {got.decode()}")


if __name__ == "__main__":
    main()
