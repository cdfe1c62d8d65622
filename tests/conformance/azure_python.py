"""
The Python client of Azure Attestation, unmodified, as its users set it up.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time

from collections.abc import Iterator
from typing import Any

import pytest

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.security.attestation import (
    AttestationAdministrationClient,
    AttestationClient,
)

from tests.conformance.azure import Azure


@dataclasses.dataclass(frozen=True, slots=True)
class Credential:
    """
    Gives one of thim's tokens to whoever asks for one of Azure's.
    """

    token: str

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """
        Return it.
        """
        return AccessToken(self.token, int(time.time()) + 3600)


def options_for(
    azure: Azure, endpoint: str, token: str | None = None
) -> dict[str, Any]:
    """
    Return the options of a client that checks all that it can check.
    """
    return {
        "endpoint": endpoint,
        "credential": Credential(token or azure.token),
        "connection_verify": str(azure.ca),
        "validate_issuer": True,
        "issuer": endpoint,
        "validation_slack": 1,
    }


@contextlib.contextmanager
def attesting(
    azure: Azure, endpoint: str, token: str | None = None, **options: Any
) -> Iterator[Any]:
    """
    Be a client that attests, until the end of the ``with``.
    """
    known = options_for(azure, endpoint, token)
    with AttestationClient(**known, **options) as client:
        yield client


@contextlib.contextmanager
def administrating(
    azure: Azure, endpoint: str, token: str | None = None, **options: Any
) -> Iterator[Any]:
    """
    Be a client that changes policies, until the end of the ``with``.
    """
    known = options_for(azure, endpoint, token)
    with AttestationAdministrationClient(**known, **options) as client:
        yield client


@contextlib.contextmanager
def refused(
    status: int, code: str | None = None, said: str = ""
) -> Iterator[None]:
    """
    Expect that a call is refused until the end of the ``with``, with the
    service's *code* and, among others, the words that it has *said*.
    """
    with pytest.raises(HttpResponseError) as caught:
        yield
    error = caught.value.error
    assert error is not None
    assert status == caught.value.status_code
    assert code in {None, error.code}
    assert error.message
    assert said in error.message
