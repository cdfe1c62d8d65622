import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.baseline.issuers import check_issuer, overlap
from thim.baseline.model import Tenant
from thim.baseline.provider import Provider
from thim.errors import ParameterError


A = "https://a.example"


def tenant(name, issuer=None, *hosts):
    """
    Make a tenant with an issuer and host names.
    """
    return Tenant(
        name=name,
        baseline="default",
        hosts=hosts,
        provider=Provider(issuer=issuer),
    )


class TestOverlap:
    @pytest.mark.parametrize(
        "other",
        [A, f"{A}:443", "http://a.example:443", f"{A}/x", f"{A}/certs/x"],
    )
    def test_same(self, other):
        """
        An issuer overlaps with itself, however it is written, and with all
        below.
        """
        assert overlap(A, other)
        assert overlap(other, A)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (A, "https://b.example"),
            (A, "https://a.example.org"),
            (A, f"{A}:8443"),
            (f"{A}/x", f"{A}/y"),
            (f"{A}/x", f"{A}/xy"),
            (f"{A}/x/a", f"{A}/x/b"),
        ],
    )
    def test_apart(self, one, other):
        """
        Others do not.
        """
        assert not overlap(one, other)

    @given(
        st.lists(st.sampled_from(["x", "y", "xy"]), max_size=3),
        st.lists(st.sampled_from(["x", "y", "xy"]), max_size=3),
    )
    def test_prefix(self, one, other):
        """
        Two paths overlap where one begins with all parts of the other.
        """
        expected = one[: len(other)] == other or other[: len(one)] == one
        urls = ["/".join([A, *parts]) for parts in (one, other)]

        assert expected == overlap(*urls)


class TestCheckIssuer:
    @pytest.mark.parametrize("issuer", [None, f"{A}/x", f"{A}/tenant/lab"])
    def test_free(self, issuer):
        """
        What is nobody else's may be had, and a tenant does not stand in its
        own way.
        """
        lab = tenant("lab", issuer, "lab.example")

        check_issuer(lab, [tenant("root"), tenant("acme"), lab])

    @pytest.mark.parametrize("issuer", [A, f"{A}/x", f"{A}:443"])
    def test_taken(self, issuer):
        """
        What is another's may not, nor what is below it, or above.
        """
        acme = tenant("acme", A)
        for one, other in (("lab", "acme"), ("acme", "lab")):
            names = {"acme": acme, "lab": tenant("lab", issuer)}
            with pytest.raises(ParameterError, match="issuer of tenant"):
                check_issuer(names[one], [names[other]])

    def test_below_root(self):
        """
        Below the root's issuer a tenant has the place of its own name.
        """
        root = tenant("root", A)
        lab = tenant("lab", f"{A}/tenant/lab")

        check_issuer(lab, [root, lab])
        check_issuer(root, [root, lab])
        for path in ("/tenant/acme", "/tenant/lab/x", "/tenant", "/lab"):
            with pytest.raises(ParameterError, match="tenant root"):
                check_issuer(tenant("lab", A + path), [root])

    def test_hosts(self):
        """
        A host name that is a tenant's is in no other's issuer, whoever was
        there first.
        """
        acme = tenant("acme", None, "a.example")
        lab = tenant("lab", f"{A}/x")

        with pytest.raises(ParameterError, match="one of tenant acme"):
            check_issuer(lab, [acme])
        with pytest.raises(ParameterError, match="tenant lab issues tokens"):
            check_issuer(acme, [lab])

    @pytest.mark.parametrize(
        "path", ["//x", "/../x", "/x/.", "/..", "/x%2fy", "/x;y", "/X", "/é"]
    )
    def test_paths(self, path):
        """
        A path means the same to everybody.
        """
        with pytest.raises(ParameterError, match="expected a path of"):
            check_issuer(tenant("lab", A + path), [])
