"""
What ``thim --help`` shows: every command under a heading, and examples.

It is written here and not gathered from the commands, which would have to be
loaded for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final


#: Heading, command, what it is for.
SECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "The service": {
        "init": "Set it up: configuration, keys, a private CA, a first token.",
        "serve": "Serve collateral and tokens, and keep documents fresh.",
        "status": "Say on one screen whether all is well.",
        "config": "Check the configuration; show where each value is from.",
        "token": "Create, list and revoke the tokens of the APIs.",
        "tls": "Renew the server's certificate by hand.",
    },
    "Collateral": {
        "collateral": "Fill the archive, look into it, refresh and export it.",
        "upstream": "Check the vendors' addresses.",
        "trust": "List the vendors' root keys; add one.",
        "bundle": "Carry documents into closed sites, in one signed file.",
    },
    "Baselines and tenants": {
        "baseline": "List and compare baselines; change them by plan.",
        "fleet": "Say which platforms another baseline would break, and why.",
        "tenant": "Create, list, change and delete tenants.",
        "webhook": "List and test who is told of changes.",
    },
    "Machines and clients": {
        "platform": "Import, list, name, label, retire platforms.",
        "chip": "List AMD machines; retire them.",
        "doctor": "Find what keeps clients from what they need, and mends it.",
        "agent": "Answer guests on a host as a cloud's metadata service does.",
        "client-config": "Write what a client is configured with, or check it.",
        "pccs": "Take over the database of an Intel PCCS.",
    },
    "Attestation": {
        "verify": "Verify a quote or a report, and say why.",
        "attest": "Have evidence attested by a service; write the token.",
        "policy": "Check, test and export attestation policies.",
        "signing": "List, rotate, revoke and export the keys of tokens.",
        "decision": "Show what was decided about evidence, and by what.",
    },
    "Keeping": {
        "db": "Make, verify, migrate, move, back up, restore the store.",
        "audit": "Show what was decided; export and verify evidence of it.",
    },
    "Trying out": {
        "demo": "Show a service at work, on simulated hardware.",
        "simulate": "Be a simulated Intel and AMD, on this machine.",
    },
    "This command": {
        "completion": "Write what makes a shell complete these commands.",
        "openapi": "Write the OpenAPI document of an API.",
    },
}
#: What the page ends with.
CLOSING: Final = """
Every command explains itself: `thim COMMAND --help`. With --json it writes one
JSON document and nothing else to standard output. Exit codes: 0, well; 2, it
could not be done or was asked wrongly; what else a command ends with is in its
own help and in docs/command-line.md.
"""
#: Of the page itself, and of commands that are clearer with some.
EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "": (
        "thim init --name thim.example.com",
        "thim collateral import /var/cache/pcs",
        "thim verify quote.bin --baseline 17",
    ),
    "init": ("thim init --name thim.example.com --name 192.0.2.7",),
    "serve": (
        "thim serve --listen 127.0.0.1:9000",
        "thim serve --config /etc/thim/thim.toml --offline",
    ),
    "verify": (
        "thim verify quote.bin",
        "thim verify quote.bin --at 2025-06-06T00:00:00Z --json",
    ),
    "attest": (
        "thim attest quote.bin --claims",
        "thim attest quote.bin --url https://thim.example.com --tenant acme",
    ),
    "completion": (
        "thim completion bash > /etc/bash_completion.d/thim",
        "thim completion zsh > /usr/local/share/zsh/site-functions/_thim",
        "thim completion fish > ~/.config/fish/completions/thim.fish",
    ),
    "agent": ("thim agent --service https://thim.example.com",),
    "simulate": ("thim simulate --write-config trial.toml",),
    "openapi": ("thim openapi admin -o admin.json",),
    "token create": (
        "thim token create --name ci --role registrar -o ci.token",
    ),
    "trust add": ("thim trust add root.pem --sha256 44a0…",),
    "collateral import": ("thim collateral import /var/cache/pcs old.json",),
    "collateral list": (
        "thim collateral list --kind tcb-info",
        "thim collateral list --kind vcek --json",
    ),
    "collateral show": (
        "thim collateral show intel/tcb-info/sgx:00906ED50000/3 --number 17",
    ),
    "collateral refresh": (
        "thim collateral refresh --all",
        "thim collateral refresh 'intel/tcb-info/sgx:00906ED50000/3?number=20'",
    ),
    "collateral prefetch": (
        "thim collateral prefetch --known --tcb Genoa:0A00000000000016",
    ),
    "collateral export": ("thim collateral export out --layout pcs",),
    "baseline diff": ("thim baseline diff 17 18",),
    "baseline plan": (
        "thim baseline plan prod --rule 'number: 18' --canary lab --reason …",
    ),
    "baseline apply": ("thim baseline apply 3 --reason 'the lab is well'",),
    "fleet what-if": ("thim fleet what-if --baseline 18 --csv",),
    "fleet export": ("thim fleet export -o fleet.bin",),
    "tenant create": (
        "thim tenant create acme --baseline prod --host acme.example.com",
    ),
    "tenant set": ("thim tenant set acme --quota 600 --quota-per token",),
    "tenant set-attestation": (
        "thim tenant set-attestation acme --sgx-status UpToDate",
    ),
    "tls renew": ("thim tls renew --name thim.example.com",),
    "platform import": ("thim platform import pckid.csv",),
    "platform label": ("thim platform label rack7-node3 site=fra team=",),
    "policy check": ("thim policy check policy.txt --type SgxEnclave",),
    "policy test": ("thim policy test policy.txt --evidence quote.bin",),
    "policy export": ("thim policy export policies",),
    "pccs import": ("thim pccs import pckcache.db --dry-run",),
    "bundle request": ("thim bundle request -o site.request",),
    "bundle export": (
        "thim bundle export -o site.bundle --request site.request --fetch",
    ),
    "bundle import": ("thim bundle import site.bundle",),
    "db move": ("thim db move postgresql://thim@db.example.com/thim",),
    "db backup": ("thim db backup -o /var/backups/thim --keep 14",),
    "db restore": ("thim db restore /var/backups/thim.db --replace",),
    "signing rotate": ("thim signing rotate --lead 24h",),
    "signing export": ("thim signing export -o jwks.json",),
    "decision list": ("thim decision list --tenant acme --refused",),
    "audit list": ("thim audit list --since 2026-01-01 --actor root",),
    "audit export": (
        "thim audit export -o pack.zip --since 2026-01-01 --tenant acme",
    ),
    "audit verify": ("thim audit verify pack.zip --jwks jwks.json",),
    "client-config qpl": (
        "thim client-config qpl --url https://thim.example.com",
    ),
    "client-config check": (
        "thim client-config check /etc/sgx_default_qcnl.conf",
    ),
}


def find_name(name: str) -> str:
    """
    Return what the command *name* is for.

    Raises:
        KeyError: It is on no page.
    """
    return {k: v for each in SECTIONS.values() for k, v in each.items()}[name]


def spell_examples(name: str) -> str | None:
    """
    Return the examples of the command *name* as the end of its help, each on
    a line of its own, or nothing where there are none.
    """
    examples = EXAMPLES.get(name)
    if examples is None:
        return None
    heading = "Example:" if len(examples) == 1 else "Examples:"
    # The sign has a formatter leave the lines as they are.
    return "\n".join(["\b", heading, *(f"  {line}" for line in examples)])
