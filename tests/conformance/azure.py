"""
thim as the clients of Azure Attestation meet it: over TLS, trusted by a
private CA, with a provider of each trust model, in front of a simulated vendor
whose clock is the clients'.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import gc
import hashlib
import io
import json
import os
import struct

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.replay import Answer, Door, Request
from tests.conformance.replay_programs import Setup, Vendor, set_up
from tests.conformance.signers import Signer, make_signer
from thim.cli import main


#: What the policies of the clients' own tests say.
PERMIT: Final = (
    "version=1.0; authorizationrules{=> permit();}; issuancerules{};"
)
PERMIT_HASH: Final = "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU"
ISSUING: Final = (
    "version=1.0; authorizationrules{=> permit();}; "
    'issuancerules{=> issue(type="color", value="blue");};'
)
DENYING: Final = "version=1.0; authorizationrules{=> deny();}; issuancerules{};"
NO_POLICY: Final = "version=1.0; authorizationrules{=> perhaps();};"
#: What policies are for.
TYPES: Final = ("SgxEnclave", "OpenEnclave", "SevSnpVm", "TdxVm")
#: Of the policy that is in force for enclaves where none was set.
DEFAULT_HASH: Final = "bROrN897ZfWmWY2V0FLUlu3uwk5xatGnKYHn3zBbSlw"
#: What enclaves hold, in JSON.
HELD: Final = b'{"jwk": {"kty": "EC", "crv": "P-256"}, "a": [1, "\xc3\xbc"]}'
#: A machine that is up to date under every number that is in force, whatever
#: the day.
MACHINE: Final = "granite-1"
CHIP: Final = "genoa-1"
#: The name by which it is found that no tenant has.
ADDRESS: Final = "127.0.0.1"
LOCAL: Final = "localhost"
COMPLIANT: Final = "azure-compliant-cvm"
#: The usual attributes, and the flag KSS.
_KSS: Final = "8500000000000000e700000000000000"
_OPEN_ENCLAVE: Final = struct.Struct("<IIQ")


def to_url(raw: bytes) -> str:
    """
    Write base64url without padding.
    """
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclasses.dataclass(frozen=True, slots=True)
class Azure:
    """
    The service, what there is to know to be its client, and evidence.
    """

    setup: Setup
    door: Door
    token: str
    owner: Signer

    @property
    def ca(self) -> Path:
        """
        The CA's certificate.
        """
        assert self.door.ca is not None
        return self.door.ca

    @property
    def shared(self) -> str:
        """
        The provider whose policies nobody changes.
        """
        return f"https://{ADDRESS}:{self.door.port}"

    @property
    def aad(self) -> str:
        """
        A provider that is managed by tokens alone, and found by its host name
        as at Azure.
        """
        return f"https://{LOCAL}:{self.door.port}"

    @property
    def isolated(self) -> str:
        """
        A provider whose policies its *owner* signs, found by the path.
        """
        return f"{self.shared}/tenant/isolated"

    @property
    def vms(self) -> str:
        """
        A provider that vouches for virtual machines, found by the path.
        """
        return f"{self.shared}/tenant/vms"

    def quote(
        self, held: bytes = b"", kind: str = "sgx-v3", **fields: object
    ) -> bytes:
        """
        Quote an enclave, or a trust domain, that holds some data.
        """
        digest = hashlib.sha256(held).digest().ljust(64, b"\0").hex()
        said = {"kind": kind, "report_data": digest, **fields}
        return _quote(self.setup.vendor, *said.items())

    def report(self, held: bytes = b"", **fields: object) -> bytes:
        """
        The same as a report of Open Enclave.
        """
        quote = self.quote(held, **fields)
        return _OPEN_ENCLAVE.pack(1, 2, len(quote)) + quote

    def configured(self, data: bytes) -> dict[str, object]:
        """
        What the quote of an enclave says that was made with some *data*.
        """
        digest = hashlib.sha256(data).digest().ljust(64, b"\0").hex()
        return {"attributes": _KSS, "configid": digest}

    def ask(self, request: Request) -> Answer:
        """
        Send what a client writes.
        """
        return self.door.ask(request)


@functools.cache
def _quote(vendor: Vendor, *said: tuple[str, object]) -> bytes:
    return vendor.make("/quotes", platform=MACHINE, **dict(said))


@contextlib.contextmanager
def serving_azure(folder: Path) -> Iterator[Azure]:
    """
    Serve until the end of the ``with``.
    """
    owner = make_signer("owner.example")
    with set_up(folder, hosts=(LOCAL, ADDRESS)) as setup, setup.serving() as to:
        said = _run(setup, "token", "create", "--name", "a", "--role", "admin")
        azure = Azure(setup, to, said.strip(), owner)
        _provide(azure)
        yield azure
        # What clients have thrown keeps their connections open, and a service
        # that ends waits for those.
        gc.collect()


def _provide(azure: Azure) -> None:
    folder = azure.setup.folder
    certificate, vouched = folder / "owner.pem", folder / "vouched.json"
    certificate.write_text(azure.owner.certificate)
    vouched.write_text(json.dumps(_vouch(azure)))
    for name, options in {
        "aad": ("--issuer", azure.aad),
        "isolated": ("--trust", "isolated", "--certificate", certificate),
        "vms": ("--compliance", vouched),
    }.items():
        _run(azure.setup, "tenant", "create", name)
        _run(azure.setup, "tenant", "set-attestation", name, *options)


def _vouch(azure: Azure) -> list[dict[str, Any]]:
    """
    Vouch for what the machine and the chip run.
    """
    domain = azure.quote(kind="tdx-v4")
    report = azure.setup.vendor.make("/reports", chip=CHIP)
    measured = (domain[48 + 136 : 48 + 184], report[0x90 : 0x90 + 48])
    return [{"status": COMPLIANT, "measurement": m.hex()} for m in measured]


def _run(setup: Setup, *arguments: str | Path) -> str:
    """
    Run thim to its end in this process, which takes less time than another.
    """
    words = ["thim", *map(str, arguments), "--config", str(setup.config)]
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        for name in filter(lambda n: n.startswith("THIM_"), os.environ):
            patch.delenv(name)
        patch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as caught:
            main.main()
    assert 0 == caught.value.code, words
    return out.getvalue()
