"""
Names of the store that a shell completes.

It is only read, as it is: no ledger is asked, and what is wrong with it the
command will say.
"""

from __future__ import annotations

import contextlib

from typing import TYPE_CHECKING

import typer

from thim.errors import ThimError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from thim.cli.config import Configuration
    from thim.store.replica import Replica


def complete_baselines(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Complete the name of a baseline.
    """
    return _complete(ctx, incomplete, _list_baselines)


def complete_tenants(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Complete the name of a tenant.
    """
    return _complete(ctx, incomplete, _list_tenants)


def complete_plans(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Complete the number of a plan, or the name of a baseline.
    """
    return _complete(ctx, incomplete, _list_plans)


def complete_tokens(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Complete the identifier of a token that still counts.
    """
    return _complete(ctx, incomplete, _list_tokens)


def complete_keys(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Complete the identifier of a signing key.
    """
    return _complete(ctx, incomplete, _list_keys)


def complete_webhooks(ctx: typer.Context, incomplete: str) -> list[str]:
    """
    Complete the name of a webhook, which the configuration has.
    """
    return _complete(ctx, incomplete, _list_webhooks)


def _complete(
    ctx: typer.Context,
    incomplete: str,
    names: Callable[[Configuration], Iterable[str]],
) -> list[str]:
    from thim.cli.options import configure  # noqa: PLC0415 - not for --help

    given = ctx.params
    # A message would end up in the middle of the line that is being typed.
    with contextlib.suppress(ThimError, OSError):
        found = configure({"store": given.get("store")}, given.get("config"))
        return sorted(n for n in names(found) if n.startswith(incomplete))
    return []


def _list_baselines(found: Configuration) -> list[str]:
    with _reading(found) as replica:
        baselines = replica.book().baselines(_now(found))
        return [baseline.name for baseline in baselines]


def _list_tenants(found: Configuration) -> list[str]:
    with _reading(found) as replica:
        return [tenant.name for tenant in replica.book().tenants(_now(found))]


def _list_plans(found: Configuration) -> list[str]:
    from thim.store.plan_view import PlanView  # noqa: PLC0415 - as above

    with _reading(found) as replica:
        numbers = [str(plan.id) for plan in PlanView(replica).all()]
    return [*numbers, *_list_baselines(found)]


def _list_tokens(found: Configuration) -> list[str]:
    from thim.store.token_view import TokenView  # noqa: PLC0415 - as above

    with _reading(found) as replica:
        tokens = TokenView(replica).all()
    return [token.id for token in tokens if token.revoked is None]


def _list_keys(found: Configuration) -> list[str]:
    from thim.store.signing_key_view import (  # noqa: PLC0415 - as above
        SigningKeyView,
    )

    with _reading(found) as replica:
        keys = SigningKeyView(replica).all()
    return [key.kid for key in keys if key.revoked is None]


def _list_webhooks(found: Configuration) -> list[str]:
    return [hook.name for hook in found["webhooks"].value]


def _now(found: Configuration) -> datetime:
    from thim.cli.options import find_clock  # noqa: PLC0415 - as above

    return find_clock(found)()


@contextlib.contextmanager
def _reading(found: Configuration) -> Iterator[Replica]:
    from thim.store.replica import Replica  # noqa: PLC0415 - as above

    with contextlib.closing(Replica(found["store"].value)) as replica:
        yield replica
