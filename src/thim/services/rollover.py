"""
From one private CA to the next, in two steps: one is made and clients are told
to trust it; then the server's certificate is issued by it.

In between the CA in force is as it was.  The next one is beside it, in files
that end in ``.new``; what was replaced is kept in files that end in ``.old``.
"""

from __future__ import annotations

import contextlib
import dataclasses

from typing import TYPE_CHECKING

from thim.errors import OperatorError
from thim.services.pki import (
    PkiFiles,
    absent_of_ca,
    find_certificate,
    find_server,
    holding,
    load_issuer,
    make_ca,
    make_server,
    spell_paths,
    to_key_pem,
)
from thim.services.secrets import (
    PUBLIC,
    SECRET,
    is_absent,
    replace,
    write_new,
)
from thim.x509.chain import is_issued_by, to_pem
from thim.x509.issue import ca_hosts, server_hosts


if TYPE_CHECKING:
    import datetime

    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cryptography.x509 import Certificate

    from thim.x509.issue import Host, Issuer


def next_files(files: PkiFiles) -> PkiFiles:
    """
    Say where the next CA is, beside the one in force.
    """
    return dataclasses.replace(
        files,
        ca_cert=_beside(files.ca_cert, "new"),
        ca_key=_beside(files.ca_key, "new"),
    )


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}.{ending}")


def make_next_ca(
    files: PkiFiles, now: datetime.datetime, hosts: Sequence[Host] | None = None
) -> Certificate:
    """
    Make the next CA, for *hosts* or for whom there are certificates, and
    change nothing else.

    Raises:
        OperatorError: There is a next one already, nothing says for whom it is
            to be, or it cannot be written.
    """
    coming = next_files(files)
    with holding(files), _writing(files):
        _check_none(coming)
        issuer = make_ca(hosts or _known_hosts(files), now)
        write_new(coming.ca_key, to_key_pem(issuer.key))
        write_new(coming.ca_cert, to_pem([issuer.certificate]), PUBLIC)
    return issuer.certificate


def _check_none(coming: PkiFiles) -> None:
    paths = (coming.ca_cert, coming.ca_key)
    if found := [path for path in paths if not is_absent(path)]:
        msg = (
            f"there is a new CA already: {spell_paths(found)}; `thim tls renew "
            f"--switch` takes it into use; delete it if you want another"
        )
        raise OperatorError(msg, reason="tls-ca-new")


def _known_hosts(files: PkiFiles) -> list[Host]:
    ca = find_certificate(files.ca_cert)
    server = find_server(files, ca)
    hosts = [*ca_hosts(ca)] if ca else []
    hosts += server_hosts(server) if server else []
    if not hosts:
        msg = (
            f"neither {files.ca_cert} nor {files.cert} says for which names "
            f"a new CA is to be: --name does"
        )
        raise OperatorError(msg, reason="tls-names")
    return list(dict.fromkeys(hosts))


def switch_ca(
    files: PkiFiles, now: datetime.datetime, hosts: Sequence[Host] | None = None
) -> Certificate:
    """
    Put the next CA into force, and give the server a certificate of it, for
    *hosts* or for whom that CA is.

    One that was cut off is finished by another.

    Raises:
        OperatorError: There is no next CA, the server's certificate is of
            neither CA, or something cannot be written.
        ParameterError: The next CA may not speak for one of the hosts.
    """
    coming = next_files(files)
    with holding(files), _writing(files):
        issuer = _load_next(coming, now)
        is_begun = _is_begun(files, issuer)
        server, key = make_server(
            issuer, hosts or ca_hosts(issuer.certificate), now
        )
        if not is_begun:
            _keep(files)
        # The certificate first: by it a switch that was cut off is known.
        replace(files.cert, to_pem([server]), PUBLIC)
        replace(files.key, key)
        replace(files.ca_key, to_key_pem(issuer.key))
        replace(files.ca_cert, to_pem([issuer.certificate]), PUBLIC)
        coming.ca_cert.unlink()
        coming.ca_key.unlink()
    return server


def _load_next(coming: PkiFiles, now: datetime.datetime) -> Issuer:
    if absent := absent_of_ca(coming):
        msg = (
            f"there is no new CA to switch to: {spell_paths(absent)} is not "
            f"there; `thim tls renew --new-ca` makes one"
        )
        raise OperatorError(msg, reason="tls-ca-new")
    return load_issuer(coming, now)


def _is_begun(files: PkiFiles, issuer: Issuer) -> bool:
    """Tell whether the server has a certificate of the next CA already."""
    server = find_certificate(files.cert)
    if server is not None and is_issued_by(server, issuer.certificate):
        return True
    find_server(files, find_certificate(files.ca_cert))  # ours to replace?
    return False


def _keep(files: PkiFiles) -> None:
    for path, mode in (
        (files.ca_key, SECRET),
        (files.ca_cert, PUBLIC),
        (files.key, SECRET),
        (files.cert, PUBLIC),
    ):
        if not is_absent(path):
            replace(_beside(path, "old"), path.read_bytes(), mode)


@contextlib.contextmanager
def _writing(files: PkiFiles) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        msg = f"{files.ca_cert}: no new one can be written ({e.strerror})"
        raise OperatorError(msg, reason="tls-renewal") from e
