"""
``thim attest``: have evidence attested by a running service, and verify the
token that it gives.
"""

from __future__ import annotations

import dataclasses
import sys
import urllib.parse

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from thim.attestation.kind import find_type
from thim.cli.attest_refusal import refusing, write_json
from thim.cli.failing import tell
from thim.cli.files import read_bounded
from thim.cli.options import Config, configure, find_clock, find_own_url
from thim.cli.verify import never_a_verdict, read_evidence
from thim.errors import OperatorError, ParameterError


if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from thim.client.attest import AttestationClient, Attested, HeldData

#: Of a file that is sent along.
_MOST: Final = 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What is wanted beside a token."""

    issuer: str | None
    is_verified: bool
    with_claims: bool
    as_json: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """Who is asked, and what time it is there."""

    url: str
    ca_file: Path | None
    own: tuple[Path, Path] | None
    clock: Callable[[], datetime]

    def connect(self, issuer: str | None = None) -> AttestationClient:
        """
        Return a client that believes tokens of *issuer*.
        """
        from thim.client.attest import (  # noqa: PLC0415 - loads HTTP
            AttestationClient,
        )

        return AttestationClient(
            self.url,
            issuer=issuer,
            ca_file=self.ca_file,
            client_cert=self.own,
            clock=self.clock,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """
    A token, and what it says: nothing, unless it was verified, or is a draft's
    and cannot be.
    """

    token: str
    issuer: str | None = None
    is_verified: bool = False
    claims: dict[str, Any] | None = None


def attest(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="An SGX or TDX quote, an SEV-SNP report, or one in Open "
            "Enclave's or Azure's envelope: bytes, hexadecimal digits or "
            "base64. - is the standard input.",
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The attestation service. Default: this machine's, by the "
            "configuration.",
        ),
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(metavar="T", help="Whose provider, below URL."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="SgxEnclave, OpenEnclave, SevSnpVm or TdxVm, if not what the "
            "evidence looks like.",
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Runtime data that the evidence is bound to."
        ),
    ] = None,
    runtime_json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The same, to be read as JSON."),
    ] = None,
    nonce: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What the token is to repeat."),
    ] = None,
    draft: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A policy to try out; the token is not signed then.",
        ),
    ] = None,
    vcek_chain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="PEM: the VCEK of an SEV-SNP report, ASK, ARK."
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Whose token it must be; default: as the service names "
            "itself.",
        ),
    ] = None,
    is_verified: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify", help="Verify the token that comes."
        ),
    ] = True,
    with_claims: Annotated[
        bool,
        typer.Option("--claims", help="Write what the token says instead."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON: token and claims.")
    ] = False,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="PEM: whom the service's TLS is trusted by."
        ),
    ] = None,
    client_cert: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PEM: a certificate for a service that asks clients for one.",
        ),
    ] = None,
    client_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its private key, PEM.")
    ] = None,
    config: Config = None,
) -> None:
    """
    Have evidence attested, and write the token.

    Exit code 0: there is a token, and it holds. 1: the evidence is authentic,
    but below the baseline, or against the policy. 2: it is not authentic, or
    the token does not hold; also where the command cannot be used so. 3:
    nobody can say at the moment.
    """
    with never_a_verdict(), refusing(as_json=as_json):
        if with_claims and not (is_verified or draft):
            expected = "expected no --no-verify beside it"
            raise ParameterError("--claims", "true", expected)
        wish = _Wish(
            issuer=issuer,
            is_verified=is_verified,
            with_claims=with_claims,
            as_json=as_json,
        )
        held = _read_runtime(runtime, runtime_json)
        attested = dataclasses.replace(
            _recognise(read_evidence(file), kind, held, vcek_chain),
            nonce=nonce,
            draft=None if draft is None else _read_draft(draft),
        )
        found = configure({}, config)
        if url is None:
            url = found["attestation_url"].value or find_own_url(found)
            ca_file = ca_file or found["tls_ca_cert"].value
        service = _Service(
            url=url if tenant is None else _below(url, tenant),
            ca_file=ca_file,
            own=_pair(client_cert, client_key),
            clock=find_clock(found),
        )
        _write(_ask(service, attested, wish), wish)


def _pair(cert: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    if cert is not None and key is not None:
        return cert, key
    if cert is None and key is None:
        return None
    name = "--client-cert" if cert is None else "--client-key"
    other = "--client-key" if cert is None else "--client-cert"
    raise ParameterError(name, "", f"expected beside {other}")


def _below(url: str, tenant: str) -> str:
    return f"{url.rstrip('/')}/tenant/{urllib.parse.quote(tenant, safe='')}"


def _read_file(file: Path) -> bytes:
    raw = read_bounded(file, _MOST)
    if len(raw) > _MOST:
        msg = f"{file}: expected at most {_MOST} bytes"
        raise OperatorError(msg, reason="too-large")
    return raw


def _read_runtime(
    runtime: Path | None, as_json: Path | None
) -> HeldData | None:
    from thim.client.submission import HeldData  # noqa: PLC0415

    if runtime is not None and as_json is not None:
        expected = "expected no --runtime beside it"
        raise ParameterError("--runtime-json", str(as_json), expected)
    if runtime is not None:
        return HeldData(data=_read_file(runtime))
    if as_json is not None:
        return HeldData(data=_read_file(as_json), is_json=True)
    return None


def _read_draft(file: Path) -> str:
    try:
        return _read_file(file).decode("utf-8")
    except UnicodeDecodeError as e:
        msg = f"{file}: not text in UTF-8"
        raise OperatorError(msg, reason="draft") from e


def _recognise(
    raw: bytes,
    kind: str | None,
    runtime: HeldData | None,
    vcek_chain: Path | None,
) -> Attested:
    from thim.client.submission import recognise, submit_as  # noqa: PLC0415

    chain = b"" if vcek_chain is None else _read_file(vcek_chain)
    if kind is None:
        return recognise(raw, runtime=runtime, vcek_chain=chain)
    return submit_as(find_type(kind), raw, runtime=runtime, vcek_chain=chain)


def _ask(service: _Service, attested: Attested, wish: _Wish) -> _Result:
    with service.connect() as client:
        token = client.send(attested)
        if attested.draft is not None:
            return _read_unsigned(token)
        if not wish.is_verified:
            return _Result(token=token)
        issuer = wish.issuer or client.find_issuer()
    with service.connect(issuer) as client:
        return _verify(client, token, attested, issuer)


def _verify(
    client: AttestationClient, token: str, attested: Attested, issuer: str
) -> _Result:
    from thim.client.token import expect_runtime  # noqa: PLC0415

    runtime = attested.runtime
    claims = client.verify(
        token,
        type=attested.type,
        nonce=attested.nonce,
        runtime=None if runtime is None else expect_runtime(runtime.data),
    )
    return _Result(
        token=token, issuer=issuer, is_verified=True, claims=claims.values
    )


def _read_unsigned(token: str) -> _Result:
    from thim.client.token import dangerous_read_unsigned  # noqa: PLC0415

    tell("thim: nobody has signed this token: it is a draft's, for looking at")
    return _Result(token=token, claims=dangerous_read_unsigned(token))


def _write(result: _Result, wish: _Wish) -> None:
    if wish.as_json:
        write_json(
            {
                "token": result.token,
                "verified": result.is_verified,
                "issuer": result.issuer,
                "claims": result.claims,
            }
        )
    elif wish.with_claims:
        write_json(result.claims)
    else:
        sys.stdout.write(f"{result.token}\n")
