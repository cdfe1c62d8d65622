"""
Live traffic: what the machines of the demo ask a service, a little at a time.

Every request is one that real clients make.  Some are refused, as in life: a
debug enclave at a tenant whose policy permits none, a machine that is behind,
a forged quote, a machine that nobody has registered.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import itertools
import random
import time
import urllib.parse

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from thim.attestation.kind import AttestationType
from thim.client.submission import submit_as
from thim.errors import OperatorError
from thim.simulate.demo.fleet import BANK, CUSTOMER
from thim.simulate.demo.vendor import DAY, NEWEST


if TYPE_CHECKING:
    import threading

    from collections.abc import Callable, Iterator, Sequence

    from thim.simulate.demo.fleet import Member
    from thim.simulate.demo.vendor import Stage

#: Requests in a second.
RATE: Final = 24
#: Seconds for an answer: a busy machine needs some for the first token.
_PATIENCE: Final = 30.0
_SGX: Final = "/sgx/certification/v4"
_TDX: Final = "/tdx/certification/v4"
#: Of all machines so many have evidence made, ...
_QUOTING: Final = 36
_REPORTING: Final = 6
#: ... and so many ask for their own certificate.
_ASKING: Final = 200
_DEBUG: Final = bytes([7, *bytes(15)])
#: How often each is asked for, of a hundred.
_WEIGHTS: Final = {
    "documents": 56,
    "pck": 27,
    "vcek": 8,
    "attest": 5,
    "odd": 4,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """
    A request: a POST where there is a *body*.
    """

    path: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes | None = None


class Traffic:
    """
    Asks the service at *url* what the machines of *stage* would.

    Quotes and reports are made once, here.
    """

    def __init__(self, stage: Stage, url: str) -> None:
        place = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(
            place.hostname or "", place.port, timeout=_PATIENCE
        )
        self._draw = random.Random(len(stage.fleet))  # noqa: S311 - no secret
        self._asks = dict(_make_asks(stage, self._draw))

    def round(self, pulse: Callable[[], None]) -> None:
        """
        Ask for everything that there is once; *pulse* is called in between.

        Raises:
            OperatorError: There is no answer.
        """
        for ask in itertools.chain.from_iterable(self._asks.values()):
            try:
                self.send(ask)
            except (OSError, http.client.HTTPException) as e:
                msg = (
                    f"the service does not answer: {str(e) or type(e).__name__}"
                )
                raise OperatorError(msg, reason="demo-service") from e
            pulse()

    def run(self, ended: threading.Event) -> None:
        """
        Ask again and again until it has *ended*.

        A service that does not answer is asked again later.
        """
        kinds, weights = zip(*_WEIGHTS.items(), strict=True)
        while not ended.is_set():
            begun = time.monotonic()
            kind = self._draw.choices(kinds, weights)[0]
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.send(self._draw.choice(self._asks[kind]))
            ended.wait(max(0.0, begun + 1 / RATE - time.monotonic()))
        self._connection.close()

    def send(self, ask: Ask) -> int:
        """
        Send one request, and return the status of its answer.

        Raises:
            OSError, http.client.HTTPException: There is no answer.
        """
        method = "GET" if ask.body is None else "POST"
        try:
            self._connection.request(
                method, ask.path, ask.body, dict(ask.headers)
            )
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens another
            raise
        return answer.status


def _make_asks(
    stage: Stage, draw: random.Random
) -> Iterator[tuple[str, Sequence[Ask]]]:
    members = stage.fleet.members
    asking = draw.sample(members, min(_ASKING, len(members)))
    yield "documents", list(_documents(members))
    yield "pck", [_pck(stage, member) for member in asking]
    yield (
        "vcek",
        [
            Ask(path=stage.vendors.chip(chip.name).path)
            for chip in stage.fleet.chips
        ],
    )
    yield "attest", list(_evidence(stage, asking))
    yield "odd", list(_odd(stage))


def _below(owner: str | None) -> str:
    return "" if owner is None else f"/tenant/{owner}"


def _owner(member: Member) -> str | None:
    return member.labels.get(CUSTOMER)


def _documents(members: Sequence[Member]) -> Iterator[Ask]:
    """List what verifiers of quotes need, for each tenant's families."""
    families = {(_owner(m), m.part.fmspc, m.has_tdx) for m in members}
    owners = {owner for owner, _, _ in families}
    for owner, fmspc, has_tdx in sorted(families, key=str):
        for api in (_SGX, _TDX) if has_tdx else (_SGX,):
            yield Ask(path=f"{_below(owner)}{api}/tcb?fmspc={fmspc}")
    for owner, path in itertools.product(
        sorted(owners, key=str),
        (
            f"{_SGX}/qe/identity",
            f"{_TDX}/qe/identity",
            f"{_SGX}/pckcrl?ca=platform&encoding=der",
            f"{_SGX}/pckcrl?ca=processor&encoding=der",
            f"{_SGX}/rootcacrl",
        ),
    ):
        yield Ask(path=f"{_below(owner)}{path}")


def _pck(stage: Stage, member: Member) -> Ask:
    machine = stage.vendors.platform(member.name)
    raw = machine.raw_tcbs[member.newest]
    query = {
        "qeid": machine.qe_id.hex(),
        "encrypted_ppid": machine.enc_ppid.hex(),
        "cpusvn": raw.cpusvn.hex(),
        "pcesvn": raw.pcesvn.to_bytes(2, "little").hex(),
        "pceid": machine.pce_id.hex(),
    }
    return Ask(
        path=f"{_below(_owner(member))}{_SGX}/pckcert?"
        f"{urllib.parse.urlencode(query)}"
    )


def _evidence(stage: Stage, members: Sequence[Member]) -> Iterator[Ask]:
    """Have enclaves, trust domains and guests attested, each at its owner's."""
    vendors, quoting = stage.vendors, members[:_QUOTING]
    for member in quoting:
        kind = "tdx-v5" if member.has_tdx else "sgx-v3"
        quote = vendors.quote(member.name, kind, raw_tcb=member.newest)
        yield _attest(_owner(member), _TYPES[kind], quote)
    for chip in stage.fleet.chips[:_REPORTING]:
        report = vendors.report(chip.name)
        yield _attest(None, AttestationType.SEV_SNP_VM, report)
    first = quoting[0].name
    quote = vendors.quote(first, "sgx-v3", attributes=_DEBUG)
    yield _attest(BANK, AttestationType.SGX_ENCLAVE, quote)
    forged = quote[:100] + b"\xff" + quote[101:]
    yield _attest(BANK, AttestationType.SGX_ENCLAVE, forged)


_TYPES: Final = {
    "sgx-v3": AttestationType.SGX_ENCLAVE,
    "tdx-v5": AttestationType.TDX_VM,
}


def _attest(owner: str | None, kind: AttestationType, evidence: bytes) -> Ask:
    request = submit_as(kind, evidence).to_request("")
    return Ask(
        path=_below(owner) + request.url,
        headers=request.headers,
        body=request.body,
    )


def _odd(stage: Stage) -> Iterator[Ask]:
    """List what is answered in another way than usual, or not at all."""
    fmspc = stage.fleet.members[0].part.fmspc
    tcb = f"{_SGX}/tcb?fmspc={fmspc}"
    yesterday = f"{stage.today - DAY:%Y-%m-%d}"
    yield Ask(path=f"{tcb}&tcbEvaluationDataNumber=17")
    yield Ask(path=f"/baseline/{NEWEST}{tcb}")
    yield Ask(path=f"/at/{yesterday}{tcb}")
    yield Ask(path=f"/tenant/{BANK}{tcb}&tcbEvaluationDataNumber={NEWEST}")
    yield Ask(path=f"{_SGX}/tcb?fmspc=00F0F0F00000")
    stranger = {"qeid": "5A" * 16, "pceid": "0000"}
    svns = {"cpusvn": "01" * 16, "pcesvn": "0A00"}
    query = urllib.parse.urlencode({**stranger, **svns})
    yield Ask(path=f"{_SGX}/pckcert?{query}")
