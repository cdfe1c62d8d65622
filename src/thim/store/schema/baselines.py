"""
Baselines and tenants: what they are, since when, by whom; the plans that
change them; and what became known of evaluation numbers.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary

from thim.store.schema.base import Big, Text, table


#: What a baseline or a tenant (``kind``) is: each version for ever, as JSON
#: (``baseline.definition``).
definitions = table(
    "definitions",
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created", Big, nullable=False),
    Index("definitions_by_name", "kind", "name", "version", unique=True),
)

#: Which version is in force from when on: for everybody, or for one ``tenant``
#: alone.  Numbered in order under each name, so that of two who decide at once
#: one is told; only ever appended to.
enactments = table(
    "enactments",
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("tenant", Text),
    Column("effective", Big, nullable=False),
    Column("decided", Big, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("plan_id", Integer),
    Index("enactments_by_name", "kind", "name", "sequence", unique=True),
)

#: Where a floating baseline with a hold stands: each number that its rule came
#: to, and from when on it answers, which is nowhere while it is waited for
#: somebody to approve it.
promotions = table(
    "promotions",
    Column("id", Integer, primary_key=True),
    Column("baseline", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("number", Big, nullable=False),
    Column("noticed", Big, nullable=False),
    Column("effective", Big),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index(
        "promotions_by_baseline",
        "baseline",
        "version",
        "sequence",
        unique=True,
    ),
)

#: Changes that are planned, and how far they are (``baseline.rollout``).
plans = table(
    "plans",
    Column("id", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created", Big, nullable=False),
    Column("changed", Big, nullable=False),
)

#: What was noticed once and for all, so that it is told once: a new evaluation
#: number, a promotion that is pending.
notices = table(
    "notices",
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("at", Big, nullable=False),
    Column("body", Text, nullable=False),
    Index("notices_by_subject", "kind", "subject", unique=True),
)

#: Notices on their way to webhooks: ``due`` while they are to be tried,
#: ``delivered`` when one has taken it.
deliveries = table(
    "deliveries",
    Column("id", Integer, primary_key=True),
    Column("notice_id", Integer, ForeignKey(notices.c.id), nullable=False),
    Column("hook", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due", Big),
    Column("delivered", Big),
    Column("leased_until", Big),
    Column("detail", Text),
    Index("deliveries_by_notice", "notice_id", "hook", unique=True),
    Index("deliveries_by_due", "due"),
)

#: TCBs of machines as evidence or an inventory tells them, beside what is
#: registered: the 16 SGX components and PCESVN of the PCK certificate, the 16
#: bytes of TEE_TCB_SVN, and the ISVSVNs of the quoting enclaves; NULL where it
#: is not known.  ``qe_id`` is a digest of the PPID where evidence names none.
fleet_tcbs = table(
    "fleet_tcbs",
    Column("qe_id", LargeBinary, primary_key=True),
    Column("pce_id", LargeBinary, primary_key=True),
    Column("name", Text),
    Column("fmspc", LargeBinary, nullable=False),
    Column("components", LargeBinary),
    Column("pcesvn", Integer),
    Column("tee_tcb_svn", LargeBinary),
    Column("qe_svn", Integer),
    Column("td_qe_svn", Integer),
    Column("origin", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("seen", Big, nullable=False),
)

#: How the platforms of each tenant stand, as last worked out, as JSON
#: (``services.outlook``); without a ``tenant`` until when somebody does so.
outlooks = table(
    "outlooks",
    Column("tenant", Text, primary_key=True),
    Column("taken", Big, nullable=False),
    Column("leased_until", Big),
    Column("body", Text, nullable=False),
)

#: Which number each client (an address, of a tenant) last fetched; bounded.
client_numbers = table(
    "client_numbers",
    Column("tenant", Text, primary_key=True),
    Column("client", Text, primary_key=True),
    Column("number", Big, nullable=False),
    Column("seen", Big, nullable=False),
)
