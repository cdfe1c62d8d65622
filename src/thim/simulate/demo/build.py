"""
A store with forty days behind it, made through the doors that everybody uses.
"""

from __future__ import annotations

import dataclasses
import datetime

from typing import TYPE_CHECKING, Final

from thim.collateral.records import tcb_info_key
from thim.intel.names import Tee
from thim.services.clock import utc_now
from thim.services.ingest import ingest
from thim.services.promise import STRUCTURE
from thim.services.secrets import write_new
from thim.services.tokens import Role
from thim.simulate.demo.decisions import (
    decide,
    make_role_token,
    prepare_recovery,
    set_policy,
)
from thim.simulate.demo.machines import (
    register_chips,
    register_platforms,
    take_quotes,
)
from thim.simulate.demo.progress import UNWATCHED, Progress
from thim.simulate.demo.site import Site, silent
from thim.simulate.demo.vendor import DAY, PAST, PROMOTED, PUBLISHED, STANDARD
from thim.simulate.forged import WrongSignature
from thim.simulate.pki import Intel
from thim.simulate.setup import write_setup


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from thim.simulate.demo.vendor import Stage

_HOUR: Final = datetime.timedelta(hours=1)
_ICE: Final = "00606A000000"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """
    A store that can be shown.

    Attributes:
        folder: Where all of it is.
        config: The configuration with which a service shows it.
        store: The store.
        admin_token, reader_token: Tokens of these roles; they are in
            ``admin.token`` and ``reader.token`` as well.
        plan: The plan that is made and not applied.
    """

    folder: Path
    config: Path
    store: Path
    admin_token: str
    reader_token: str
    plan: int


def build_demo(
    folder: Path, stage: Stage, progress: Progress = UNWATCHED
) -> Demo:
    """
    Make the demo's store in *folder*, and let the vendors' clock show the time
    of now from then on.

    Args:
        folder: Where; it is there, and nothing of a demo is in it.
        stage: Whose machines they are, and the vendors.
        progress: Is told of it.

    Raises:
        OperatorError: The folder cannot be written.
    """
    config, store = folder / "demo.toml", folder / "demo.db"
    write_setup(config, stage.vendors)
    site = Site(stage=stage, store=store, progress=progress)
    with silent():
        _begin(site)
        _live(site)
        plan = _prepare(site)
    stage.vendors.clock.run()
    stage.vendors.clock.move_to(utc_now())
    return Demo(
        folder=folder,
        config=config,
        store=store,
        admin_token=_provide_token(site, Role.ADMIN),
        reader_token=_provide_token(site, Role.READER),
        plan=plan,
    )


def _provide_token(site: Site, role: Role) -> str:
    text = make_role_token(site, role)
    file = site.store.with_name(f"{role.value}.token")
    write_new(file, f"{text}\n".encode())
    return text


def _begin(site: Site) -> None:
    """Forty days ago: documents, decisions, machines."""
    fleet = site.stage.fleet
    site.travel(PAST * DAY)
    site.progress.tell("the vendors' documents, verified and archived")
    site.refresh({member.part.fmspc for member in fleet.members})
    decide(site)
    site.progress.tell(
        f"{len(fleet.members)} platforms with their PCK certificates"
    )
    register_platforms(site, fleet.members)
    site.progress.tell(f"{len(fleet.chips)} AMD chips with their VCEKs")
    register_chips(site)
    set_policy(site)
    site.watch()


def _live(site: Site) -> None:
    """Then documents were signed anew, and two things happened."""
    site.progress.tell("forty days of refreshes, a new standard, a new number")
    site.travel(25 * DAY)
    site.refresh()
    site.travel((PROMOTED + 2) * DAY)
    _spoil(site)
    site.refresh()
    for days in (PROMOTED, PUBLISHED):
        site.travel(days * DAY - _HOUR)
        site.refresh()
        site.watch()


def _spoil(site: Site) -> None:
    """Let one answer of the vendor's come damaged."""
    fault = WrongSignature(route="tcb", fmspc=_ICE, number=STANDARD, count=1)
    site.vendors.faults.add(fault)


def _prepare(site: Site) -> int:
    """Since then microcode is rolled out, and the move is planned."""
    members = site.stage.fleet.members
    site.progress.tell(
        "microcode on some of the machines, a plan, three forgeries"
    )
    site.travel(3 * DAY)
    patched = [member for member in members if member.is_patched]
    register_platforms(site, patched, turn=1)
    take_quotes(site, members)
    site.travel(2 * DAY)
    plan = prepare_recovery(site)
    site.travel(DAY)
    _offer_forgeries(site)
    site.vendors.clock.move_to(utc_now())
    site.refresh()
    site.watch()  # how the fleet stands is told as of today
    return plan


def _offer_forgeries(site: Site) -> None:
    """Import what somebody has sent: none of it is taken."""
    with site.writing() as ledger:
        for _ in ingest(_forgeries(site), ledger=ledger, now=site.now):
            pass


def _forgeries(site: Site) -> Iterator[tuple[str, bytes]]:
    intel, stranger = site.vendors.intel.pki, Intel("a stranger")
    genuine = intel.tcb_info(fmspc=_ICE, number=STANDARD, issued=site.now)
    yield (
        "tcbinfo-from-a-forum.json",
        genuine.replace(b'"OutOfDate"', b'"UpToDate"'),
    )
    yield "qe-identity-from-a-mirror.json", stranger.identity(issued=site.now)
    # Signed by Intel, and not what Intel had signed before for that date.
    other = intel.tcb_info(
        fmspc=_ICE, number=STANDARD, issued=_find_issue_date(site)
    )
    yield "tcbinfo-of-the-same-date.json", other


def _find_issue_date(site: Site) -> datetime.datetime:
    key = tcb_info_key(Tee.SGX, bytes.fromhex(_ICE), STRUCTURE)
    with site.reading() as replica:
        held = replica.find(key, STANDARD)
    return site.now if held is None else held.issued
