"""
A collateral path that somebody asks about, read as if it were asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.errors import NotFoundError
from thim.http import pcs
from thim.http.query import parse_query
from thim.intel.names import EnclaveKind, Tee


if TYPE_CHECKING:
    from collections.abc import Callable

    from thim.http.prefixes import Prefix
    from thim.services.serve import Query

_READERS: Final[dict[str, Callable[[pcs.Request], Query]]] = {
    "/sgx/certification/{}/tcb": lambda r: pcs.tcb_info_query(r, Tee.SGX),
    "/tdx/certification/{}/tcb": lambda r: pcs.tcb_info_query(r, Tee.TDX),
    "/sgx/certification/{}/qe/identity": lambda r: pcs.identity_query(
        r, EnclaveKind.QE
    ),
    "/sgx/certification/{}/qve/identity": lambda r: pcs.identity_query(
        r, EnclaveKind.QVE
    ),
    "/tdx/certification/{}/qe/identity": lambda r: pcs.identity_query(
        r, EnclaveKind.TD_QE
    ),
    "/sgx/certification/{}/pckcrl": pcs.crl_query,
    "/sgx/certification/{}/rootcacrl": pcs.root_crl_query,
}
_VERSIONS: Final = ("v4", "v3", "v2")


def read_document_query(prefix: Prefix, query: str) -> Query:
    """
    Read what is asked for by the path of *prefix* and the *query* behind it.

    Raises:
        NotFoundError: No document is served on such a path.
        ParameterError: A parameter cannot be used.
    """
    for version in _VERSIONS:
        for path, read in _READERS.items():
            if prefix.path == path.format(version):
                request = pcs.Request(
                    prefix=prefix,
                    version=version,
                    parameters=parse_query(query.encode("utf-8", "replace")),
                )
                return read(request)
    known = ", ".join(path.format("v4") for path in _READERS)
    msg = f"path {prefix.path[:80]!r} is none of {known}"
    raise NotFoundError(msg, reason="unknown-path")
