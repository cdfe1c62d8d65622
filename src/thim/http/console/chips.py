"""
AMD machines: which there are, their keys, and how they meet the minimum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thim.amd.kds import ChipTcb
from thim.amd.tcb import ProductLine
from thim.collateral.amd_keys import vcek_target
from thim.errors import MalformedError, NotFoundError
from thim.http.console.charts import Bar, Part, draw_bars
from thim.http.console.guard import ConsolePage
from thim.http.console.platforms import choose, read_asked, write_address
from thim.http.console.visit import Page, Visit
from thim.services.chip_views import list_minimums
from thim.services.tokens import Permission
from thim.store.chip_pages import ChipFilter, ChipPages, ChipState
from thim.store.chip_view import ChipView
from thim.store.endorsement_view import EndorsementView
from thim.store.watch import Watch


if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from markupsafe import Markup

    from thim.collateral.chips import KnownChip
    from thim.store.replica import Replica

STATES: Final = {
    ChipState.IN_SERVICE: "in service",
    ChipState.BARE: "without the VCEK for their TCB",
    ChipState.DECLARED: "that are only declared",
    ChipState.RETIRED: "retired",
}
_FIELDS: Final = ("begins", "product", "state")
_ROWS: Final = 50
#: Behind it the list is to be narrowed.
_MOST_PAGES: Final = 2000
_LEAST_DIGITS: Final = 8


async def _list(visit: Visit) -> Page:
    asked = read_asked(visit.query, _FIELDS)
    wanted = _read_filter(asked)
    page = visit.find_number("page", 0, _MOST_PAGES)

    def read(replica: Replica, now: datetime) -> dict[str, Any]:
        pages = ChipPages(replica)
        found = pages.page(wanted, page, _ROWS)
        rows = [
            (known, has_key, _find_short(replica, known, now))
            for known, has_key in found[:_ROWS]
        ]
        return {
            "chips": rows,
            "has_more": len(found) > _ROWS,
            "counts": ChipView(replica).count(),
            "drawn": _draw(pages.counts()),
        }

    return Page(
        template="chips.html",
        title="AMD chips",
        values={
            **await visit.read(read),
            "asked": asked,
            "page": page,
            "address": write_address("/console/chips", asked),
            "states": {state.value: name for state, name in STATES.items()},
            "state_name": STATES[wanted.state],
            "products": [product.value for product in ProductLine],
        },
    )


def _read_filter(asked: Mapping[str, str]) -> ChipFilter:
    begins, hw_id = asked["begins"], b""
    # Names may be hexadecimal digits too, but hardly so many.
    if len(begins) >= _LEAST_DIGITS and len(begins) % 2 == 0:
        try:
            begins, hw_id = "", bytes.fromhex(begins)
        except ValueError:
            hw_id = b""
    return ChipFilter(
        state=choose(ChipState, "state", asked) or ChipState.IN_SERVICE,
        product=choose(ProductLine, "product", asked),
        begins=begins,
        hw_id=hw_id,
    )


def _find_short(replica: Replica, known: KnownChip, now: datetime) -> str:
    """Name the tenants for whom a chip is below the minimum."""
    if known.retired is not None:
        return ""
    return ", ".join(
        each.tenant
        for each in list_minimums(replica, known.chip, now)
        if each.list_short(known.chip)
    )


def _draw(counts: Mapping[str, int]) -> Markup:
    bars = [
        Bar(
            product,
            [Part("chips", "plain", count)],
            note=f"{count}",
            link=f"/console/chips?product={product}",
        )
        for product, count in counts.items()
    ]
    return draw_bars("Chips in service of each product line", bars)


async def _show(visit: Visit) -> Page:
    product, hw_id = _read_id(visit.names)

    def read(replica: Replica, now: datetime) -> dict[str, Any]:
        known = ChipView(replica).find(product, hw_id)
        if known is None:
            msg = f"no {product.value} chip {hw_id.hex().upper()} is known"
            raise NotFoundError(msg, reason="unknown-chip")
        chip = known.chip
        name = ChipTcb(product=product, hw_id=hw_id, tcb=chip.tcb)
        keys = EndorsementView(replica)
        return {
            "known": known,
            "chip": chip,
            "has_key": keys.find_vcek(name) is not None,
            "progress": Watch(replica).find(vcek_target(name)),
            "keys": [
                held
                for held in keys.list_chip(hw_id)
                if held.product is product
            ],
            "minimums": [
                (each, each.list_short(chip), each.list_unjudged(chip))
                for each in list_minimums(replica, chip, now)
            ],
        }

    values = await visit.read(read)
    chip = values["chip"]
    short = [each.tenant for each, found, _ in values["minimums"] if found]
    return Page(
        template="chip.html",
        title=chip.name or f"{product.value} chip {hw_id.hex().upper()[:12]}…",
        values={**values, "verdict": _sum_up(values, short)},
    )


def _read_id(names: Mapping[str, str]) -> tuple[ProductLine, bytes]:
    try:
        product = ProductLine.from_name(names["product"])
        return product, bytes.fromhex(names["hw_id"])
    except (ValueError, MalformedError) as e:
        msg = "a chip is named by its product line and hexadecimal digits"
        raise NotFoundError(msg, reason="unknown-chip") from e


def _sum_up(values: Mapping[str, Any], short: list[str]) -> tuple[str, str]:
    """Say in a sentence, with its colour, how the chip stands."""
    if values["known"].retired is not None:
        return "none", "Out of service"
    if short:
        return "bad", f"Below the minimum of {', '.join(short)}"
    if not values["has_key"]:
        return "soon", "The VCEK for its TCB is not there yet"
    return "good", "Its VCEK is there, and it meets every minimum there is"


_READ: Final = Permission.READ
CHIPS: Final = (
    ("/chips", "GET", ConsolePage(_READ, _list)),
    ("/chips/{product}/{hw_id}", "GET", ConsolePage(_READ, _show)),
)
