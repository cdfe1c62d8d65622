import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.client.service import Service
from thim.errors import OperatorError


class TestUrl:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("https://h", "https://h"),
            ("https://h:8443/", "https://h:8443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://h/sgx/certification/v4/", "https://h"),
            ("https://h/tdx/certification/v4", "https://h"),
            ("https://h/sgx/certification", "https://h"),
            ("https://h/baseline/17/", "https://h/baseline/17"),
            ("https://h/at/2025-06-06T00:00:00Z",) * 2,
        ],
    )
    def test_good(self, written, expected):
        """
        The base is taken, with its prefixes, without what clients append.
        """
        assert expected == Service.from_text(written).url

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "h",
            "ftp://h",
            "https://",
            "https://u:p@h",
            "https://h?x=1",
            "https://h:99999",
            "https://h:0",
            "https://h/a b",
            "https://h//x",
            "https://h/'",
            'https://h/"',
            "https://h/$(x)",
            "https://h/sgx/x",
            "https://h/x/sgx",
            "https://h/tdx",
        ],
    )
    def test_bad(self, url):
        """
        What would not be safe in a file or a shell is refused.
        """
        with pytest.raises(OperatorError, match=r"^--url: expected"):
            Service.from_text(url)

    @given(st.text())
    def test_anything(self, text):
        """
        What is taken holds nothing that a shell or JSON would understand.
        """
        try:
            url = Service.from_text(text).pcs
        except OperatorError:
            return
        assert not set(url) & set("\"'\\$`! \n\t{}<>|;&()")


class TestTenant:
    def test_root(self):
        """
        A tenant's paths begin with its name, behind the base.
        """
        service = Service.from_text("https://h/x", "acme")

        assert "https://h/x/tenant/acme" == service.root
        assert "https://h/x/tenant/acme/sgx/certification/v4/" == service.pcs

    @pytest.mark.parametrize(
        "name", ["", "A", "1", "a b", "sgx", "default", "a/b", "a" * 64]
    )
    def test_bad(self, name):
        """
        Only what may be a tenant's name is taken.
        """
        with pytest.raises(OperatorError, match=r"^--tenant: expected"):
            Service.from_text("https://h", name)

    def test_bare(self):
        """
        Some clients can send no prefix.
        """
        Service.from_text("https://h:1").check_bare("x")
        tenant = Service.from_text("https://h", "acme")
        with pytest.raises(OperatorError, match=r"^--tenant: x cannot put any"):
            tenant.check_bare("x")

    def test_bare_baseline(self):
        """
        Of a prefix in the URL only that is said, and not of a tenant.
        """
        service = Service.from_text("https://h/baseline/17")
        words = r"^--url: x cannot put /baseline/17 before its paths"
        with pytest.raises(OperatorError, match=words) as caught:
            service.check_bare("x")

        assert "tenant" not in str(caught.value)
