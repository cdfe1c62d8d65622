"""
What clients get that ask for something that there is not: a status that they
know, no redirect, and nothing that they would take for an answer.
"""

import base64

import pytest

from tests.conformance.replay import (
    GLOBAL,
    LOCAL,
    OTHER_REGIONAL,
    PCS,
    go,
    libcurl,
    read_answer,
    rust,
)
from tests.conformance.replay_calls import (
    CHOSEN,
    CLIENT_ID,
    COFFEE,
    ICE,
    SAPPHIRE,
    SGX,
    TDX,
)


_2018 = f"{CLIENT_ID}&api-version=2018-10-01-preview"
_JSON = "Content-Type:application/json"
#: The misspelt key of Azure's own test suite, and its NUL.
MISSPELT = "dGNiRXZhbHVhdGlvbkRhdGFOdW09MTEA"
NOBODY = "FFFFFFFFFFFF"
VERSIONS = ("v2", "v3", "v4")


def _azure(version, path, query):
    target = f"{SGX}/{version}/{path}?{query}{_2018}"
    return libcurl(GLOBAL, target)


MALFORMED = {
    **{
        f"azure-{v}-{path}-misspelt": _azure(
            v, path, f"{query}customParameter={MISSPELT}&"
        )
        for v in VERSIONS
        for path, query in (
            ("tcb", f"fmspc={COFFEE.lower()}&"),
            ("qe/identity", ""),
        )
    },
    **{
        f"azure-{v}-foreign-crl": libcurl(
            GLOBAL,
            f"{SGX}/{v}/pckcrl?uri=https%3A%2F%2Fexample.com%2Froot.crl&"
            f"{_2018}",
            _JSON,
        )
        for v in VERSIONS
    },
    "azure-short-fmspc": _azure("v4", "tcb", "fmspc=00906ea1&"),
    "qcnl-misspelt": libcurl(
        LOCAL,
        f"{SGX}/v4/tcb?fmspc={ICE}&update=standard&customParameter={MISSPELT}",
    ),
    "qcnl-foreign-crl": libcurl(
        LOCAL, f"{SGX}/v4/crl?uri=https://example.com/root.der"
    ),
    "qcnl-no-ca": libcurl(LOCAL, f"{SGX}/v4/pckcrl?ca=root&encoding=der"),
    "fortanix-update-and-number": rust(
        GLOBAL,
        f"{SGX}/v4/tcb?fmspc={ICE}&update=early&"
        f"tcbEvaluationDataNumber={CHOSEN}",
    ),
}
UNKNOWN = {
    **{
        f"azure-{v}-tcb": _azure(v, "tcb", f"fmspc={NOBODY.lower()}&")
        for v in VERSIONS
    },
    "azure-tdx-tcb": libcurl(
        GLOBAL, f"{TDX}/v4/tcb?fmspc={COFFEE.lower()}&{_2018}"
    ),
    "azure-custom-number": _azure(
        "v4",
        "tcb",
        f"fmspc={COFFEE.lower()}&customParameter="
        f"{base64.b64encode(b'tcbEvaluationDataNumber=99').decode()}&",
    ),
    "qcnl-tcb": libcurl(LOCAL, f"{SGX}/v3/tcb?fmspc={NOBODY}&update=standard"),
    "qcnl-v3-tdx-tcb": libcurl(
        LOCAL, f"{TDX}/v3/tcb?fmspc={SAPPHIRE}&update=standard"
    ),
    "qcnl-v3-tdx-qe": libcurl(LOCAL, f"{TDX}/v3/qe/identity?update=standard"),
    "qcnl-policy": libcurl(LOCAL, f"{SGX}/v4/appraisalpolicy?fmspc={ICE}"),
    "go-tdx-guest-tcb": go(PCS, f"{TDX}/v4/tcb?fmspc={ICE.lower()}"),
    "migtd-tcb": rust(OTHER_REGIONAL, f"{TDX}/v4/tcb?fmspc={NOBODY}"),
    "fortanix-number": rust(
        GLOBAL, f"{SGX}/v4/tcb?fmspc={ICE}&tcbEvaluationDataNumber=99"
    ),
}
ALL = {**MALFORMED, **UNKNOWN}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("where", ["lazy", "offline"])
def test_malformed(request, where, name):
    """
    What nobody can answer is a 400, whether or not there are vendors to ask.
    """
    got = request.getfixturevalue(where).ask(MALFORMED[name])

    assert 400 == got.status
    assert got.body.startswith(b"Invalid request parameters.")


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize("where", ["lazy", "offline"])
def test_unknown(request, where, name):
    """
    What there is not is a 404.
    """
    assert 404 == request.getfixturevalue(where).ask(UNKNOWN[name]).status


@pytest.mark.parametrize("name", ALL)
def test_form(lazy, name):
    """
    A refusal is HTTP/1.1, of a known length, has neither an empty header nor
    a chain, leads nowhere else, and may not be kept.
    """
    got = lazy.ask(ALL[name])
    names = [key for key, _ in got.headers]

    assert got.start.startswith(b"HTTP/1.1 4")
    assert (b"", str(len(got.body))) == (got.rest, got["content-length"])
    assert [] == [value for _, value in got.headers if not value.strip()]
    assert len(names) == len(set(names))
    assert [] == [key for key in names if key.endswith("-issuer-chain")]
    assert "location" not in got


@pytest.mark.parametrize("name", ALL)
def test_not_an_answer(lazy, name):
    """
    Its body is nothing that a client could take for a document.
    """
    got = lazy.ask(ALL[name])

    assert not got.body.startswith((b"{", b"[", b"-----BEGIN", b"0"))


def test_goes_on(lazy):
    """
    A client that is refused may ask again on the same connection.
    """
    refused = UNKNOWN["azure-v4-tcb"]
    asked = _azure("v4", "tcb", f"fmspc={COFFEE.lower()}&")
    with lazy.connect(GLOBAL) as channel:
        channel.sendall(refused.raw)
        first = read_answer(channel)
        channel.sendall(asked.raw)
        second = read_answer(channel)

    assert (404, 200) == (first.status, second.status)
