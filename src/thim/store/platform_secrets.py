"""
What a vendor wants to hear of the ledger's platforms.
"""

from __future__ import annotations

import dataclasses

from typing import TYPE_CHECKING

from sqlalchemy import select

from thim.collateral.platforms import Voucher
from thim.intel.pck import PckTcbm
from thim.store import schema
from thim.store.numbers import split_raw_tcbs


if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from thim.collateral.platforms import PlatformId


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptSecrets:
    """
    The encrypted PPID and the sealed manifest of a platform, as far as they
    are known, the raw TCB that it was registered with last, or last seen with,
    and who stands behind it.
    """

    enc_ppid: bytes | None = dataclasses.field(repr=False)
    manifest: bytes | None = dataclasses.field(repr=False)
    raw_tcb: PckTcbm | None
    voucher: Voucher


class PlatformSecretsTable:
    """
    What a ledger knows of platforms' secrets; *transaction* opens one.
    """

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._transaction = transaction

    def find(self, platform: PlatformId) -> KeptSecrets | None:
        """
        Return what is known of a platform, None if it is not registered.
        """
        p, s = schema.platforms, schema.platform_secrets
        n = schema.noted_raw_tcbs
        query = (
            select(
                p.c.raw_tcbs,
                p.c.voucher,
                s.c.enc_ppid,
                s.c.manifest,
                n.c.raw_tcbs.label("noted"),
            )
            .select_from(p)
            .outerjoin(s, s.c.platform_id == p.c.id)
            .outerjoin(n, n.c.platform_id == p.c.id)
            .where(p.c.qe_id == platform.qe_id, p.c.pce_id == platform.pce_id)
        )
        with self._transaction() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        voucher = Voucher(row.voucher)
        registered = split_raw_tcbs(row.raw_tcbs)
        noted = split_raw_tcbs(row.noted or b"")
        # What anybody asked with counts where nobody said anything else.
        is_ours = voucher > Voucher.ANYBODY and registered
        raw_tcbs = registered if is_ours else noted or registered
        return KeptSecrets(
            enc_ppid=row.enc_ppid,
            manifest=row.manifest,
            raw_tcb=PckTcbm.from_bytes(raw_tcbs[-1]) if raw_tcbs else None,
            voucher=voucher,
        )
