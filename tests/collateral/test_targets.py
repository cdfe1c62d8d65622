import datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.collateral.records import (
    FMSPCS,
    ROOT_CA_CRL,
    identity_key,
    numbers_key,
    pck_crl_key,
    tcb_info_key,
)
from thim.collateral.targets import Progress, Target
from thim.intel.names import EnclaveKind, PckCa, Tee, Update


NOW = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
fmspcs = st.binary(min_size=6, max_size=6)
keys = (
    st.builds(tcb_info_key, st.sampled_from(Tee), fmspcs, st.integers(1, 3))
    | st.sampled_from(EnclaveKind).map(identity_key)
    | st.sampled_from(PckCa).map(pck_crl_key)
    | st.sampled_from(Tee).map(numbers_key)
    | st.sampled_from([ROOT_CA_CRL, FMSPCS])
)
targets = (
    st.builds(Target, key=keys)
    | st.builds(Target, key=keys, number=st.integers(0, 2**31))
    | st.builds(Target, key=keys, update=st.sampled_from(Update))
)


class TestName:
    @given(targets)
    def test_round_trip(self, target):
        """
        A target is read as it is written.
        """
        assert target == Target.from_name(str(target))

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            (
                "intel/tcb-info/sgx:00906ed50000/3?number=20",
                Target(
                    key=tcb_info_key(Tee.SGX, bytes.fromhex("00906ED50000"), 3),
                    number=20,
                ),
            ),
            (
                "intel/identity/qe/2?update=early",
                Target(key=identity_key(EnclaveKind.QE), update=Update.EARLY),
            ),
            ("intel/root-ca-crl/root/0", Target(key=ROOT_CA_CRL)),
        ],
    )
    def test_good(self, name, expected):
        """
        The number or the channel stands behind the key.
        """
        assert expected == Target.from_name(name)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "intel",
            "intel/root-ca-crl/root",
            "intel/root-ca-crl/root/0/1",
            "intel/root-ca-crl/root/x",
            "intel/nonsense/root/0",
            "intel/root-ca-crl/root/0?",
            "intel/root-ca-crl/root/0?number",
            "intel/root-ca-crl/root/0?number=",
            "intel/root-ca-crl/root/0?number=x",
            "intel/root-ca-crl/root/0?number=1&number=2",
            "intel/root-ca-crl/root/0?number=" + "9" * 5000,
            "intel/root-ca-crl/root/0?update=late",
            "intel/root-ca-crl/root/0?update=",
            "intel/root-ca-crl/root/0?at=2026-01-01",
            "intel/root-ca-crl/root/0?number=1?number=2",
        ],
    )
    def test_bad(self, name):
        """
        Whatever else is no target.
        """
        with pytest.raises(ValueError, match=r"."):
            Target.from_name(name)

    @given(st.text())
    def test_anything(self, name):
        """
        No text does more than that.
        """
        try:
            target = Target.from_name(name)
        except ValueError:
            return
        assert target == Target.from_name(str(target))


class TestProgress:
    @pytest.mark.parametrize(
        ("now", "expected"), [(NOW - SECOND, True), (NOW, False)]
    )
    def test_until(self, now, expected):
        """
        Both absence and lease last until their instant, which is not theirs.
        """
        target = Target(key=ROOT_CA_CRL)
        progress = Progress(target=target, absent_until=NOW, leased_until=NOW)

        assert (expected, expected) == (
            progress.is_absent(now),
            progress.is_leased(now),
        )

    def test_neither(self):
        """
        Without an instant there is neither.
        """
        progress = Progress(target=Target(key=ROOT_CA_CRL))

        assert (False, False) == (
            progress.is_absent(NOW),
            progress.is_leased(NOW),
        )
