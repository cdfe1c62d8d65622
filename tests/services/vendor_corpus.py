"""
Real documents of the vendor's, and what an attacker may make of them.
"""

from __future__ import annotations

import dataclasses
import urllib.parse

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.conformance.corpus import Corpus, Entry, instant
from thim.collateral.records import (
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.collateral.targets import Target
from thim.errors import ThimError
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.intel.recognise import recognise
from thim.intel.signed import SignedJson
from thim.x509.crl import Crl


CA = "intel/ca"
SIGNER = f"{CA}/tcb-signing-20180521-20330521.pem"
PLATFORM = f"{CA}/pck-platform-ca-20180521-20330521.pem"
ROOT = f"{CA}/root-ca-20180521-20491231.pem"
PLATFORM_NAME = "Intel SGX PCK Platform CA"
ROOT_NAME = "Intel SGX Root CA"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """
    A document of the vendor's: what asks for it, the header of its chain, and
    the bytes of both.
    """

    target: Target
    header: str
    body: bytes
    chain: bytes

    def signed(self) -> bytes:
        """
        Return what the vendor signed.
        """
        return signed_part(self.body)


def signed_part(body: bytes) -> bytes:
    """
    Return the signed bytes of the one document in *body*, none if there is
    not exactly one.
    """
    try:
        found = recognise(body)
    except ThimError:
        return b""
    documents: list[SignedJson | Crl] = [*found.signed, *found.crls]
    return documents[0].signed if len(documents) == 1 else b""


def read_real(corpus: Corpus) -> list[Real]:
    """
    Read one document of each kind, the newest.
    """
    infos = [e for e in corpus.of("intel-tcb-info") if e["version"] == 3]
    info = _newest(infos)
    identity = _newest(
        [e for e in corpus.of("intel-enclave-identity") if e["id"] == "QE"]
    )
    numbers = _newest(
        [e for e in corpus.of("intel-tcb-eval-numbers") if e["tee"] == "SGX"]
    )
    crls = corpus.of("intel-crl")
    crl = _newest([e for e in crls if e["issuer"] == PLATFORM_NAME])
    root = _newest([e for e in crls if e["issuer"] == ROOT_NAME])
    number = "tcb_evaluation_data_number"
    signers = corpus.bytes(SIGNER) + corpus.bytes(ROOT)
    return [
        Real(
            target=Target(
                key=tcb_info_key(
                    Tee(info["tee"]), bytes.fromhex(info["fmspc"]), 3
                ),
                number=info[number],
            ),
            header="tcb-info-issuer-chain",
            body=corpus.bytes(info["name"]),
            chain=signers,
        ),
        Real(
            target=Target(
                key=identity_key(EnclaveKind.QE), number=identity[number]
            ),
            header="sgx-enclave-identity-issuer-chain",
            body=corpus.bytes(identity["name"]),
            chain=signers,
        ),
        Real(
            target=Target(key=numbers_key(Tee.SGX)),
            header="tcb-evaluation-data-numbers-issuer-chain",
            body=corpus.bytes(numbers["name"]),
            chain=signers,
        ),
        Real(
            target=Target(key=pck_crl_key(PckCa.PLATFORM)),
            header="sgx-pck-crl-issuer-chain",
            body=corpus.bytes(crl["name"]),
            chain=corpus.bytes(PLATFORM) + corpus.bytes(ROOT),
        ),
        Real(
            target=Target(key=ROOT_CA_CRL),
            header="sgx-pck-crl-issuer-chain",
            body=corpus.bytes(root["name"]),
            chain=corpus.bytes(PLATFORM) + corpus.bytes(ROOT),
        ),
    ]


def _newest(entries: Sequence[Entry]) -> Entry:
    return max(entries, key=lambda entry: instant(entry["valid_from"]))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """
    An answer to somebody who asks for *real*.
    """

    real: Real
    body: bytes
    headers: tuple[tuple[str, bytes], ...]

    def write(self) -> bytes:
        """
        Write it as HTTP.
        """
        length = f"content-length: {len(self.body)}".encode()
        lines = [
            b"HTTP/1.1 200 OK",
            length,
            *(name.encode() + b": " + value for name, value in self.headers),
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


@st.composite
def attacks(draw, reals: Sequence[Real]) -> Attack:
    """
    Make attacks of real documents.
    """
    real, other = draw(st.sampled_from(reals)), draw(st.sampled_from(reals))
    body = draw(_mutated(real.body, other.body))
    if draw(st.integers(0, 4)) == 0:
        # The envelope of one around the other, or with its signature.
        body = draw(st.sampled_from(_crossed(real.body, other.body)))
    chain = draw(
        st.one_of(
            st.just(real.chain),
            st.just(other.chain),
            st.just(real.chain * 3),
            st.just(b""),
            _mutated(real.chain, other.chain),
        )
    )
    values = st.one_of(
        st.just(urllib.parse.quote(chain, safe="").encode()),
        st.just(chain.replace(b"\n", b"%0A")),
        st.binary(max_size=50).map(_as_header),
    )
    names = st.sampled_from(
        [real.header, other.header, "sgx-tcb-info-issuer-chain", "thim-x"]
    )
    headers = draw(st.lists(st.tuples(names, values), max_size=3))
    return Attack(real=real, body=body, headers=tuple(headers))


def _as_header(value: bytes) -> bytes:
    return bytes(b for b in value if b >= 0x20 and b != 0x7F).strip()


def _crossed(one: bytes, other: bytes) -> list[bytes]:
    middle, end = b',"signature":', b"}"
    if middle not in one or middle not in other:
        return [other, one + other, one + b"\n", b"[" + one + b"]"]
    inner, signature = one.rsplit(middle, 1)
    _, foreign = other.rsplit(middle, 1)
    return [
        inner + middle + foreign,
        inner + middle + signature[:-1] + middle + foreign,
        inner + b',"other":{}' + middle + signature,
        inner.replace(b'"id"', b'"id":"SGX","id"', 1) + middle + signature,
        inner.replace(b":", b": ", 1) + middle + signature,
        inner.replace(b":{", b":{ ", 1) + middle + signature,
        inner.replace(b"UpToDate", b"OutOfDate", 1) + middle + signature,
        inner.replace(b"OutOfDate", b"UpToDate") + middle + signature,
        inner.replace(b"2026", b"2027") + middle + signature,
        inner + middle + signature.upper(),
        inner + middle + signature.replace(b'"', b'"00', 1),
        inner + middle + b'"' + b"0" * 128 + b'"' + end,
        other,
        one + other,
    ]


@st.composite
def _mutated(draw, one: bytes, other: bytes) -> bytes:
    data = bytearray(one)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        kind = draw(
            st.sampled_from(["flip", "cut", "insert", "splice", "repeat"])
        )
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "splice":
            data[at:] = other[draw(st.integers(0, len(other))) :]
        else:
            data[at:at] = data[at : at + 64]
    return bytes(data)
