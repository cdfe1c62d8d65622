"""
Answer a request for collateral from the store, by the baseline in force.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from thim.baseline.choice import Choice, choose
from thim.baseline.model import Number
from thim.baseline.select import Standing, Wish, find_standing, resolve
from thim.collateral.freshness import State, find_state, is_expired
from thim.collateral.records import (
    AMD,
    ROOT_CA_CRL,
    CollateralKey,
    Kind,
    pck_crl_key,
)
from thim.errors import (
    NotFoundError,
    ParameterError,
    UnavailableError,
)
from thim.intel.names import PckCa
from thim.services.landscape import complete, find_signed, read_landscape


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from thim.collateral.ports import Held
    from thim.intel.names import Tee
    from thim.services.reader import Reader

#: Kinds of which each evaluation number has a document of its own.
_NUMBERED = frozenset({Kind.TCB_INFO, Kind.IDENTITY})


class MissingError(NotFoundError):
    """
    A document that is not known; *key* names it.
    """

    def __init__(self, message: str, key: CollateralKey, reason: str) -> None:
        super().__init__(message, reason=reason)
        self.key = key


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """
    What is asked for.

    *keys* are the layouts of the document that would do, best first; an
    answer from a later one says so.  *at* asks for what was current then.
    """

    keys: tuple[CollateralKey, ...]
    wish: Wish
    at: datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    The document, and everything that must be said about it.

    *baseline* is the name in force, for *tenant*, and *own* that of the
    tenant's own.  *state* is how the document stands now.  *choice* is None for
    documents without an evaluation number.  *is_other_layout* marks an answer
    in another layout than the API version speaks.  *has_gap* marks an answer
    ``at`` an instant for which the archive has no document that was valid
    then.  *issuer_chain* is the PEM to send along, which for the root CRL is a
    PCK CA's.
    """

    held: Held
    issuer_chain: bytes
    tenant: str
    baseline: str
    own: str
    choice: Choice | None
    state: State
    is_other_layout: bool
    has_gap: bool


def find_answer(
    reader: Reader,
    query: Query,
    now: datetime,
    refused_when_expired: Collection[Kind] = (),
) -> Answer:
    """
    Find the one document that answers *query* at *now*.

    An expired document of one of the kinds *refused_when_expired* is no
    answer, unless it belongs to the past: to an instant that was asked for, or
    to a number that the vendor has withdrawn.

    Raises:
        UnavailableError: All there is is expired, and refused.
        ParameterError: The query contradicts itself, or asks for the future.
        NotFoundError: Nothing is known of the baseline, the number or the
            document; the message says what is missing, and where the archive
            begins if it does later.
    """
    with reader.snapshot():
        return _find_answer(reader, query, now, refused_when_expired)


def find_answers(
    reader: Reader, queries: Sequence[Query], now: datetime
) -> tuple[Answer, ...]:
    """
    Find the documents that answer *queries*, all of one generation.

    Raises:
        ParameterError, NotFoundError: As `find_answer`.
    """
    with reader.snapshot():
        return tuple(_find_answer(reader, query, now) for query in queries)


def _find_answer(
    reader: Reader,
    query: Query,
    now: datetime,
    refused_when_expired: Collection[Kind] = (),
) -> Answer:
    check_instant(query.at, now)
    standing = find_standing(query.wish, reader.book(), query.at, now)
    choice = _choose(reader, query, standing, now)
    held = _find(reader, query, choice.number if choice else None)
    if query.at is None and held.key.kind in refused_when_expired:
        _refuse_expired(reader, held, now)
    chain = _issuer_chain(reader, held, query.at)
    return _answer(query, held, chain, (standing, choice), now)


def check_instant(at: datetime | None, now: datetime) -> None:
    """
    Check that *at* is not in the future, if it is asked for.

    Raises:
        ParameterError: It is.
    """
    if at is not None and at > now:
        expected = f"expected no later than {now:%FT%TZ}"
        raise ParameterError("at", f"{at:%FT%TZ}", expected)


def list_fmspcs(
    reader: Reader,
    wish: Wish,
    at: datetime | None,
    now: datetime,
) -> Sequence[tuple[str, Tee]]:
    """
    List the FMSPCs and TEEs with a verified TCB info, now or *at* an instant.

    Raises:
        ParameterError: *at* is in the future.
        NotFoundError: The baseline of *wish* is not known, or the archive has
            no TCB info that is so old.
        ForbiddenError: The tenant allows none of that.
    """
    check_instant(at, now)
    with reader.snapshot():
        check_standing(reader, wish, at, now)
        found = reader.fmspcs(at)
        if at is not None and not found and reader.fmspcs():
            msg = f"the archive has no TCB info of {at:%FT%TZ} or before"
            raise NotFoundError(msg, reason="before-archive")
    return found


def find_number(
    reader: Reader, tenant: str, now: datetime, own: str | None = None
) -> int:
    """
    Find at which number *tenant* stands at *now*, or at which it attests where
    its policy names the baseline *own*.

    Raises:
        NotFoundError: There is no such tenant, or its baseline comes to none.
    """
    wish = Wish(tenant=tenant, own=own)
    standing = find_standing(wish, reader.book(), None, now)
    landscape = complete(read_landscape(reader), standing.chosen, reader)
    return resolve(wish, standing, landscape).number


def _choose(
    reader: Reader, query: Query, standing: Standing, now: datetime
) -> Choice | None:
    if query.keys[0].kind in _NUMBERED:
        landscape = read_landscape(reader, query.at)
        if not (landscape.signed or landscape.archived) and landscape.known:
            raise _before_archive(reader, query, landscape.known)
        landscape = complete(landscape, standing.chosen, reader, query.at)
        return resolve(query.wish, standing, landscape)
    if query.keys[0].vendor != AMD:
        # Intel's numbers are nothing to AMD.
        _check_number(reader, standing, query.at, now)
    return None


def check_standing(
    reader: Reader, wish: Wish, at: datetime | None, now: datetime
) -> Standing:
    """
    Check that *wish* may be made, and return what is in force for it.

    Raises:
        NotFoundError: Nothing is known of the tenant or the baseline.
        ForbiddenError: The tenant allows none of that.
    """
    standing = find_standing(wish, reader.book(), at, now)
    _check_number(reader, standing, at, now)
    return standing


def _check_number(
    reader: Reader, standing: Standing, at: datetime | None, now: datetime
) -> None:
    # What has no number is no baseline's matter, but a number of which nothing
    # is known answers nothing.
    chosen = standing.chosen
    if chosen is not standing.own and isinstance(chosen.rule, Number):
        choose(chosen, read_landscape(reader, at), now)


def _refuse_expired(reader: Reader, held: Held, now: datetime) -> None:
    signed = find_signed(reader, None)
    number = held.evaluation_number
    if number is None or not signed or number in signed:
        refuse_expired(held.key, held.next_update, now)


def refuse_expired(
    key: CollateralKey, next_update: datetime | None, now: datetime
) -> None:
    """
    Refuse the document *key*, if it is expired.

    Raises:
        UnavailableError: It is.
    """
    if is_expired(next_update, now):
        msg = f"{key} is expired since {next_update:%FT%TZ}"
        raise UnavailableError(msg, reason="expired", retry_after=60)


def _issuer_chain(reader: Reader, held: Held, at: datetime | None) -> bytes:
    # Clients take every chain for two certificates, the root second, and
    # Azure's wants one with the root CRL too: give it a PCK CA's.
    if held.key == ROOT_CA_CRL:
        for ca in PckCa:
            found = reader.find(pck_crl_key(ca), at=at)
            if found is not None:
                return found.issuer_chain
    return held.issuer_chain


def _find(reader: Reader, query: Query, number: int | None) -> Held:
    for key in query.keys:
        held = reader.find(key, number, query.at)
        if held is not None:
            return held
    raise _missing(reader, query, number)


def _missing(reader: Reader, query: Query, number: int | None) -> MissingError:
    key = query.keys[0]
    name = str(key)
    if number is not None:
        name = f"{name} of TCB evaluation data number {number}"
    begins = [reader.begin(key, number) for key in query.keys]
    first = min((begin for begin in begins if begin), default=None)
    if query.at is not None and first is not None and first > query.at:
        msg = f"{name}: the archive begins at {first:%FT%TZ}"
        return MissingError(msg, key, "before-archive")
    if first is not None:
        msg = f"{name}: the signer of what we have is revoked"
        return MissingError(msg, key, "signer-revoked")
    return MissingError(f"{name} is not known", key, "unknown-document")


def _before_archive(
    reader: Reader, query: Query, numbers: Iterable[int]
) -> MissingError:
    key = query.keys[0]
    begins = (reader.begin(k, n) for k in query.keys for n in numbers)
    first = min((begin for begin in begins if begin), default=None)
    if first is None:
        msg = f"{key} is not known"
        return MissingError(msg, key, "unknown-document")
    msg = f"{key}: the archive begins at {first:%FT%TZ}"
    return MissingError(msg, key, "before-archive")


def _answer(
    query: Query,
    held: Held,
    issuer_chain: bytes,
    chosen: tuple[Standing, Choice | None],
    now: datetime,
) -> Answer:
    standing, choice = chosen
    return Answer(
        held=held,
        issuer_chain=issuer_chain,
        tenant=standing.tenant.name,
        baseline=choice.baseline if choice else standing.chosen.name,
        own=standing.own.name,
        choice=choice,
        state=find_state(held.issued, held.next_update, now),
        is_other_layout=held.key != query.keys[0],
        has_gap=query.at is not None and is_expired(held.next_update, query.at),
    )
