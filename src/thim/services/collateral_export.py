"""
Write the archive out in the layouts of other programs, for who leaves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum

from typing import TYPE_CHECKING

from thim.services.export_folder import write_folder
from thim.services.export_kds import write_kds, write_trustee_keys
from thim.services.export_pccs import write_pccsadmin, write_trustee
from thim.services.export_pcs import write_pcs
from thim.services.export_shelf import gather
from thim.services.register import manifest_context
from thim.services.secrets import open_sealer
from thim.store.endorsement_view import EndorsementView
from thim.store.pck import PckReader
from thim.store.replica import Replica
from thim.store.seal import find_key_id
from thim.store.secret_view import find_secrets


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from thim.collateral.platforms import Platform
    from thim.services.export_shelf import Shelf

    Files = Iterator[tuple[str, bytes | Iterable[bytes]]]
    Secrets = tuple[bytes | None, bytes | None]


class Layout(enum.Enum):
    """Whose layout."""

    PCS = "pcs"
    KDS = "kds"
    PCCSADMIN = "pccsadmin"
    TRUSTEE = "trustee"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What is to be written: in which *layout*, as *tenant* gets it, by another
    *baseline* if one is named; with manifests, if there is a *key_file* to
    open them with.
    """

    layout: Layout
    tenant: str
    baseline: str | None = None
    key_file: Path | None = None


def export_collateral(
    store: Path, wish: Wish, folder: Path, now: datetime
) -> int:
    """
    Make *folder* of what is in *store*, as it is wished for; return how many
    files it has.

    Raises:
        NotFoundError: Nothing is known of the tenant or the baseline.
        ForbiddenError: The tenant may ask for no other baseline.
        OperatorError: The folder is there already or cannot be made, or
            manifests cannot be opened.
    """
    with contextlib.closing(_Still(store)) as replica, replica.hold():
        shelf = gather(replica, wish.tenant, wish.baseline, now)
        return write_folder(folder, _list_files(replica, wish, shelf, folder))


class _Still(Replica):
    """A store that is held still for many answers, and not for each."""

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        with super().snapshot():
            yield


def _list_files(
    replica: Replica, wish: Wish, shelf: Shelf, folder: Path
) -> Files:
    view, path = EndorsementView(replica), str(folder.absolute())
    if wish.layout is Layout.PCS:
        yield from write_pcs(shelf, path)
    elif wish.layout is Layout.KDS:
        yield from write_kds(shelf, view, path)
    elif wish.layout is Layout.PCCSADMIN:
        find = _secrets_of(replica, wish.key_file)
        content = write_pccsadmin(shelf, PckReader(replica), find)
        yield "platform_collaterals.json", content
    else:
        yield "collateral.json", write_trustee(shelf)
        yield from write_trustee_keys(view)


def _secrets_of(
    replica: Replica, key_file: Path | None
) -> Callable[[Platform], Secrets]:
    sealer = None
    # Where nothing was ever sealed there need not be a key either.
    if key_file is not None and find_key_id(replica) is not None:
        sealer = open_sealer(replica, key_file)

    def find(platform: Platform) -> Secrets:
        enc_ppid, sealed = find_secrets(replica, platform.row)
        if sealed is None or sealer is None:
            return enc_ppid, None
        return enc_ppid, sealer.open(sealed, manifest_context(platform.id))

    return find
