import pytest

from tests.client.doctor.looking import facts, look, make_wish, names, target
from tests.client.fake import Said, faking
from thim.client.doctor.looks import MOST_SITES, drop_answered
from thim.client.doctor.model import Found, Kind, Section, Trouble
from thim.client.doctor.quirks import find_quirks
from thim.client.documents import Part
from thim.client.findings import Level
from thim.client.steps import Answer


SHIPPED = Trouble(
    level=Level.WARNING, name="default-address", what="x", where="y"
)


def section(**seen):
    """
    Return what was seen at the address that QCNL's file ships with.
    """
    return Section(title="https://localhost:8081", facts=tuple(seen.items()))


class TestShipped:
    def test_answered(self):
        """
        The address that QCNL's file ships with is no trouble where somebody
        answers there.
        """
        found = Found(troubles=(SHIPPED,), sections=(section(clock="agrees"),))

        assert () == drop_answered(found).troubles

    def test_silent(self):
        """
        It is one where nobody does.
        """
        found = Found(troubles=(SHIPPED,), sections=(section(addresses="::1"),))

        assert (SHIPPED,) == drop_answered(found).troubles


class TestMany:
    def test_bounded(self, intel):
        """
        No more services are asked than anybody has; the others are named.
        """
        with faking(lambda _: Said(404)) as fake:
            urls = [f"{fake.url}/tenant/t{n}" for n in range(MOST_SITES + 2)]
            found = look(make_wish(intel), *map(target, urls))
            asked = {path.split("/")[2] for path in fake.asked}

        assert MOST_SITES == len(asked)
        assert f"{fake.url}/tenant/t9" == facts(found)["not asked"]
        assert {("error", "status-404")} == set(names(found))


class TestProxy:
    @pytest.mark.parametrize(
        "proxy",
        ["http://a:hunter2/b@x.example:1", "x://y.example", "http://a:b"],
    )
    def test_unusable(self, intel, monkeypatch, proxy):
        """
        A proxy in the environment that is none is found, and not written out.
        """
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("ALL_PROXY", proxy)
        found = look(make_wish(intel), target("http://service.example"))

        assert [("error", "bad-proxy")] == names(found)
        assert proxy not in found.troubles[0].what


class TestVersion:
    def test_old(self):
        """
        An answer over HTTP/1.0 is one that Azure's client breaks off.
        """
        answer = Answer(
            status=200,
            headers={"cache-control": "max-age=1"},
            body=b"",
            version="HTTP/1.0",
        )
        part = Part(body=b"", issuer_chain=b"", expires=None, got=None)
        found = find_quirks("identity", answer, part, {Kind.AZURE}, "there")

        assert ["http-1.0"] == [each.name for each in found]
