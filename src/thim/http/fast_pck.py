"""
The fast path's branch for PCK certificates: one prepared read a request.

Each platform asks for its own, so no memo helps.  A `PckDesk` learns the form
of the requests that come: all their bytes but the values.  What comes in a
known form is answered with the certificate that was selected before; whatever
is not as plain as that (an unknown platform, a revoked certificate, one that
soon expires) goes to the application, which stays the reference.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import sqlite3

from binascii import hexlify
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from thim.collateral.platforms import HeldPck
from thim.errors import ThimError, UnavailableError
from thim.http.answer import encode_chain
from thim.http.pck import Shape, write_json, write_pck
from thim.http.pck_form import Form, find_form
from thim.http.reply import RequestIds
from thim.http.tallies import PCK_HITS, Meters, Sheet
from thim.intel.names import Tee
from thim.intel.pck import PckTcbm
from thim.services.sightings import MOST_SEEN, Sightings
from thim.store.numbers import split_digest
from thim.store.packing import ZstdError
from thim.store.pck import PLAIN_ANSWER, PckReader
from thim.store.replica import Replica


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import timedelta
    from pathlib import Path

    from thim.http.reply import Reply
    from thim.store.pck import Family

Headers = list[tuple[bytes, bytes]]

#: There is one for each client program and way to configure it.
_MOST_FORMS: Final = 256
_FAMILY: Final = "pcs"
#: Seconds that a read transaction lasts at most, and more.
_SLACK: Final = 10


def _find_host(raw: bytes) -> bytes:
    # There is one: the connection has seen to that.
    pairs = (line.partition(b":") for line in raw.split(b"\r\n"))
    return next(
        value.strip() for name, _, value in pairs if name.lower() == b"host"
    )


#: Stand in an answer where its own TCBm and serial number will.
_TCBM: Final = PckTcbm(cpusvn=b"its own CPUSVN..", pcesvn=0)
_TCBM_DIGITS: Final = _TCBM.to_bytes().hex().upper().encode("ascii")
_SERIAL: Final = int.from_bytes(b"\x7fserial.")
_SERIAL_DIGITS: Final = b"%016x" % _SERIAL
_MICROSECONDS: Final = 1_000_000
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NEVER: Final = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)
_STATUS: Final = STATUS_LINE[200]


@dataclasses.dataclass(slots=True)
class _Head:
    """
    The head of one family's answers in one shape, all up to the length of
    the body: for *written_for*, uvicorn's headers of this second, in *parts*
    around what is each certificate's own.
    """

    lines: bytes
    chain: bytes
    shape: Shape
    written_for: Headers | None = None
    parts: tuple[bytes, ...] = ()

    def write(self, server_headers: Headers) -> None:
        """
        Write it anew for *server_headers*.
        """
        lines = [b"%b: %b\r\n" % header for header in server_headers]
        head = b"".join((_STATUS, *lines, self.lines))
        first, _, rest = head.partition(_TCBM_DIGITS)
        if self.shape is Shape.JSON:
            first, rest = b"", head
        second, _, third = rest.partition(_SERIAL_DIGITS)
        self.parts = (first, second, third)
        self.written_for = server_headers


class PckDesk:
    """
    Answers requests for PCK certificates; lives in one process, on a
    connection to the store of its own.

    It holds a read transaction open, which costs less than one for each
    request, until `renew`: who calls that decides how old an answer can be.

    Args:
        store: The file to read from.
        policy: What ``Cache-Control`` says.
        versions: The API versions that are answered.
        mark: Adds to an answer what all of this service's have.
        sightings: Where is noted who was answered.
        is_limited: Tells of a ``Host`` header whether its requests are
            counted, so that they are nothing for here.
        name_tenant: Tells for which tenant requests to a ``Host`` are.

    Raises:
        OperatorError: The store cannot be opened.
    """

    def __init__(  # noqa: PLR0913 - what one process has
        self,
        store: Path,
        policy: timedelta,
        versions: Collection[str],
        mark: Callable[[Reply], Reply],
        sightings: Sightings,
        *,
        is_limited: Callable[[bytes], bool] = lambda _host: False,
        name_tenant: Callable[[bytes], str] = lambda _host: "",
    ) -> None:
        self._is_limited = is_limited
        self._name_tenant = name_tenant
        self._meters = Meters()
        self._replica = Replica(store)
        self._replica.map_file()
        self._read = self._replica.prepare(PLAIN_ANSWER)
        self._reader = PckReader(self._replica)
        self._policy = policy
        self._mark = mark
        self._margin = policy.total_seconds()
        self._paths = frozenset(
            f"/{tee.value.lower()}/certification/{version}/pckcert".encode()
            for tee in Tee
            for version in versions
        )
        self._forms: dict[int, list[Form]] = {}
        self._count = 0
        # Of PEM, and of JSON.
        self._heads: tuple[dict[int, _Head], ...] = ({}, {})
        self._unpack: Mapping[int, Callable[[bytes], bytes]] = {}
        self._is_reading = False
        self._soon = 0
        self._generation = -1
        self._ids = RequestIds()
        self._sightings = sightings
        self._is_noting = True

    def close(self) -> None:
        """
        Close the store.
        """
        self._replica.close()

    @property
    def hits(self) -> int:
        """
        How many it has answered.
        """
        return self._meters.hits

    def read(self) -> Sheet:
        """
        Return what is counted here.
        """
        return Sheet(counts=self._meters.read(PCK_HITS))

    def learn(self, raw: bytes) -> None:
        """
        Know requests of the form of *raw*, a whole plain GET, from now on.
        """
        try:
            host = _find_host(raw)
            meter = self._meters.find(_FAMILY, self._name_tenant(host))
            form = find_form(raw, self._paths, meter)
            if form is None or self._is_limited(host):
                return
        except ThimError:
            return
        alike = self._forms.get(len(raw), ())
        if any(f.expected == f.rest(raw) for f in alike):
            return
        if self._count >= _MOST_FORMS:
            self.forget()
        self._forms.setdefault(len(raw), []).append(form)
        self._count += 1

    def forget(self) -> None:
        """
        Know no requests any more: who is answered may have changed.
        """
        self._forms.clear()
        self._count = 0
        self._generation = -1  # so may what is said with every answer

    def renew(self) -> None:
        """
        See the store as it is now, from the next request on.
        """
        self._is_noting = len(self._sightings.seen) < MOST_SEEN
        if self._is_reading:
            self._is_reading = False
            with contextlib.suppress(UnavailableError):
                self._replica.rows("COMMIT")
        with contextlib.suppress(UnavailableError):
            self._replica.generation()

    def answer(
        self, raw: bytes, now: float, server_headers: Headers
    ) -> bytes | None:
        """
        Answer *raw*, a whole request, at *now*; None for what the application
        has to answer.
        """
        for form in self._forms.get(len(raw), ()):
            values = form.read(raw)
            if values is not None:
                try:
                    return self._find(form, values, now, server_headers)
                except (ThimError, LookupError, sqlite3.Error, ZstdError):
                    return None
        return None

    def _find(
        self, form: Form, values: bytes, now: float, server_headers: Headers
    ) -> bytes | None:
        if not self._is_reading:
            self._begin(now)
        key, digest = split_digest(sha256(values).digest()[:16])
        # IndexError: there is none.
        row = self._read((key, digest, self._soon))[0]
        number, family, tcbm, serial, dictionary, body = row
        if self._is_noting:
            self._sightings.seen[number] = None
        form.meter.hits += 1
        head = self._heads[form.is_json][family]
        if head.written_for is not server_headers:
            head.write(server_headers)
        pem = self._unpack[dictionary](body)
        return self._write(head, hexlify(tcbm).upper(), serial, pem)

    def _write(
        self, head: _Head, digits: bytes, serial: int, pem: bytes
    ) -> bytes:
        first, second, third = head.parts
        if head.shape is Shape.JSON:
            pem = write_json(pem, head.chain, digits, int(self._margin))
            digits = b""
        return b"".join(
            (
                first,
                digits,
                second,
                b"%016x" % serial,
                third,
                b"content-length: %d\r\n" % len(pem),
                self._ids.write(),
                pem,
            )
        )

    def _begin(self, now: float) -> None:
        """Begin to read: families and dictionaries are those of now."""
        self._soon = int((now + self._margin + _SLACK) * _MICROSECONDS)
        self._replica.rows("BEGIN")
        self._is_reading = True
        generation = self._replica.generation()
        if generation != self._generation:
            self._read_families()
            self._generation = generation

    def _read_families(self) -> None:
        families = self._reader.families().items()
        self._heads = tuple(
            {
                number: self._make_head(family, shape)
                for number, family in families
                if not family.is_revoked
            }
            for shape in (Shape.PEM, Shape.JSON)
        )
        self._unpack = self._reader.packer().unpackers

    def _make_head(self, family: Family, shape: Shape) -> _Head:
        # The application's own answer for a certificate that lasts for ever.
        held = HeldPck(
            row=0,
            serial=_SERIAL,
            tcbm=_TCBM,
            pem=b"",
            issuer_chain=family.issuer_chain,
            fmspc=family.fmspc,
            ca=family.ca,
            not_after=_NEVER,
            is_revoked=False,
        )
        reply = write_pck(held, shape, now=_EPOCH, policy=self._policy)
        headers = self._mark(reply).headers
        lines = [b"%b: %b\r\n" % header for header in headers]
        return _Head(
            lines=b"".join(lines),
            chain=encode_chain(family.issuer_chain),
            shape=shape,
        )
