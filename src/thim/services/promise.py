"""
What we promise to keep fresh: everything that the vendor still signs of what
we serve.

* The lists of evaluation numbers, the revocation lists, what the vendor's
  channels point to, and the vendor's list of FMSPCs.
* AMD's chains and revocation lists, of each product line that is served or
  waited for.
* Of each number that the vendor's signed lists name: the enclave identities,
  and the TCB infos of each FMSPC that is served, or that a platform has.

Numbers that the vendor has withdrawn stay in the archive as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key
from thim.collateral.records import (
    FMSPCS,
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.collateral.targets import Target
from thim.errors import UnavailableError
from thim.intel.names import EnclaveKind, PckCa, Tee, Update
from thim.services.landscape import read_numbers
from thim.services.vendors import FillMode


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from thim.collateral.ports import CollateralReader
    from thim.collateral.records import CollateralKey
    from thim.services.vendors import VendorSettings

#: The structure in which Intel's PCS v4 gives TCB infos.
STRUCTURE: Final = 3
#: The document by whose number a channel shows where it points to.
CHANNEL_KEY: Final = identity_key(EnclaveKind.QE)
_KINDS: Final = {
    Tee.SGX: (EnclaveKind.QE, EnclaveKind.QVE, EnclaveKind.QAE),
    Tee.TDX: (EnclaveKind.TD_QE,),
}


def list_promises(
    reader: CollateralReader, settings: VendorSettings
) -> list[Target]:
    """
    List what is to be kept fresh, the most urgent first.
    """
    signed = read_signed(reader)
    targets = [*list_core(reader), *_amd(reader), *_identities(signed)]
    for tee, fmspc in _served(reader, settings):
        targets += _tcb_infos(tee, fmspc, signed)
    return list(dict.fromkeys(targets))


def read_signed(reader: CollateralReader) -> Mapping[Tee, tuple[int, ...]]:
    """
    Read which numbers the newest signed list of each TEE names.
    """
    return reader.remember("signed", lambda: _read_signed(reader))


def _read_signed(reader: CollateralReader) -> Mapping[Tee, tuple[int, ...]]:
    found = {}
    for tee in Tee:
        try:
            held = reader.find(numbers_key(tee))
            numbers = {} if held is None else read_numbers(held)
        except UnavailableError as e:
            _check_is_damaged(e)
            numbers = {}
        found[tee] = tuple(sorted(numbers, reverse=True))
    return found


def _check_is_damaged(error: UnavailableError) -> None:
    # One damaged document keeps no other from being fetched, and a newer one
    # mends it; a store that cannot be read at all is another matter.
    if error.reason != "store-damaged":
        raise error


def _has(reader: CollateralReader, key: CollateralKey) -> bool:
    try:
        return reader.find(key) is not None
    except UnavailableError as e:
        _check_is_damaged(e)
        return True


def list_core(reader: CollateralReader) -> Iterator[Target]:
    """
    List what is promised whatever is served.
    """
    for tee in Tee:
        yield Target(key=numbers_key(tee))
    for ca in PckCa:
        yield Target(key=pck_crl_key(ca))
    # It comes without a chain: the root must be known from another's.
    if any(_has(reader, pck_crl_key(ca)) for ca in PckCa):
        yield Target(key=ROOT_CA_CRL)
    for update in Update:
        yield Target(key=CHANNEL_KEY, update=update)
    yield Target(key=FMSPCS)


def _identities(signed: Mapping[Tee, Iterable[int]]) -> Iterator[Target]:
    for tee, kinds in _KINDS.items():
        for number in signed[tee]:
            for kind in kinds:
                yield Target(key=identity_key(kind), number=number)


def _amd(reader: CollateralReader) -> Iterator[Target]:
    # A list is signed by the ARK, which comes with a chain.
    for kind, product in sorted(reader.amd_chains(), key=str):
        yield Target(key=cert_chain_key(kind, product))
        yield Target(key=amd_crl_key(kind, product))
    for product in sorted(reader.awaited_products(), key=str):
        yield Target(key=cert_chain_key(KeyKind.VCEK, product))


def _served(
    reader: CollateralReader, settings: VendorSettings
) -> Iterable[tuple[Tee, str]]:
    wanted = settings.fmspcs.union(reader.platform_fmspcs())
    kept = {(tee, fmspc) for fmspc in wanted for tee in Tee}
    if settings.mode is not FillMode.REGISTERED:
        kept |= {(tee, fmspc) for fmspc, tee in reader.fmspcs()}
    return sorted(kept, key=lambda pair: (pair[1], pair[0].value))


def _tcb_infos(
    tee: Tee, fmspc: str, signed: Mapping[Tee, Iterable[int]]
) -> Iterator[Target]:
    key = tcb_info_key(tee, bytes.fromhex(fmspc), STRUCTURE)
    for number in signed[tee]:
        yield Target(key=key, number=number)
