import asyncio
import time

import pytest

from thim.attestation.kind import AttestationType
from thim.attestation.policy.claim import LEGACY_NAMES
from thim.attestation.policy.defaults import DEFAULT_POLICIES
from thim.errors import ParameterError, UnavailableError
from thim.services import policy_shelf
from thim.services.policy_shelf import PolicyShelf, read_policy


SGX, TDX = AttestationType.SGX_ENCLAVE, AttestationType.TDX_VM
PERMIT = "authorizationrules{=> permit();};"


def configured(name, value, more=""):
    """
    Write a policy that sets a property.
    """
    rule = f'=> issueproperty(type="{name}", value={value});'
    return f"version=1.1;configurationrules{{{rule}{more}}};{PERMIT}"


class TestBaseline:
    @pytest.mark.parametrize(
        ("kind", "name", "value", "baseline"),
        [
            (SGX, "x-ms-sgx-tcbidentifier", '"10"', "10"),
            (SGX, "x-ms-sgx-tcbidentifier", '"azuredefault"', None),
            (SGX, "x-ms-sgx-tcbidentifier", '"AzureDefault"', None),
            (SGX, "x-thim-baseline", '"prod"', "prod"),
            (TDX, "x-thim-baseline", '"prod"', "prod"),
        ],
    )
    def test_named(self, kind, name, value, baseline):
        """
        A policy may name a baseline, or the provider's own.
        """
        assert baseline == read_policy(kind, configured(name, value)).baseline

    def test_none(self):
        """
        Without a word the provider's own decides.
        """
        assert read_policy(SGX, DEFAULT_POLICIES[SGX]).baseline is None

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            (SGX, "x-ms-sgx-tcbidentifer"),
            (SGX, "X-MS-SGX-TCBIDENTIFIER"),
            (TDX, "x-ms-sgx-tcbidentifier"),
        ],
    )
    def test_unknown_property(self, kind, name):
        """
        A property that there is not is refused: else the usual baseline would
        be in force, and nobody told.
        """
        with pytest.raises(ParameterError, match="x-thim-baseline"):
            read_policy(kind, configured(name, '"10"'))

    @pytest.mark.parametrize("value", ["10", "true", '""'])
    def test_no_text(self, value):
        """
        A baseline is named by text.
        """
        text = configured("x-ms-sgx-tcbidentifier", value)

        with pytest.raises(ParameterError, match="azuredefault"):
            read_policy(SGX, text)


class TestTypes:
    def test_few(self):
        """
        Of a policy that looks at certain claims only those are made, also
        where it calls them by their old names.
        """
        old = "$sgx-mrsigner"
        rules = f'c:[type=="{old}"] => permit();'
        prepared = read_policy(
            SGX, f"version=1.0;authorizationrules{{{rules}}};"
        )

        expected = frozenset(n for n, o in LEGACY_NAMES.items() if o == old)
        assert expected == prepared.types

    @pytest.mark.parametrize(
        "text",
        [
            'version=1.0;authorizationrules{c:[value=="a"] => permit();};',
            'version=1.0;authorizationrules{c:[type!="a"] => permit();};',
            f"version=1.2;{PERMIT}",
        ],
    )
    def test_any(self, text):
        """
        Where it cannot be seen what a policy looks at, it gets them all.
        """
        assert read_policy(SGX, text).types is None


class TestShelf:
    def test_once(self):
        """
        A policy is read once.
        """

        async def prepare():
            shelf = PolicyShelf()
            text = DEFAULT_POLICIES[SGX]
            return [await shelf.prepare(SGX, text) for _ in range(2)]

        one, other = asyncio.run(prepare())

        assert one is other

    def test_room(self):
        """
        Only so much is kept: the oldest goes first.
        """

        async def prepare():
            shelf = PolicyShelf()
            texts = [
                f"version=1.0;{PERMIT}//{n}{'x' * 900_000}" for n in range(3)
            ]
            first = [await shelf.prepare(SGX, text) for text in texts]
            again = [await shelf.prepare(SGX, text) for text in texts[::-1]]
            return first, again[::-1]

        first, again = asyncio.run(prepare())

        assert [False, True, True] == [
            a is b for a, b in zip(first, again, strict=True)
        ]

    def test_drafts(self):
        """
        Who sends a draft while many wait is to come again.
        """

        async def send():
            shelf, text = PolicyShelf(), f"version=1.0;{PERMIT}"
            return await asyncio.gather(
                *(shelf.prepare_draft(SGX, text) for _ in range(12)),
                return_exceptions=True,
            )

        refused = [
            each
            for each in asyncio.run(send())
            if isinstance(each, UnavailableError)
        ]

        assert 4 == len(refused)

    def test_longest_apart(self):
        """
        The longest policies take no room from the others, and whoever needs
        one of those does not wait until they are read.
        """

        async def prepare():
            shelf, usual = PolicyShelf(), f"version=1.0;{PERMIT}"
            first = await shelf.prepare(SGX, usual)
            longest = [
                asyncio.create_task(shelf.prepare(SGX, write_long(n)))
                for n in range(3)
            ]
            await asyncio.sleep(0)
            other = await shelf.prepare(SGX, f"{usual}//")
            waiting = [not each.done() for each in longest]
            await asyncio.gather(*longest)
            return first, await shelf.prepare(SGX, usual), other, waiting

        first, again, other, waiting = asyncio.run(prepare())

        assert first is again
        assert not other.is_draft
        assert [True] * 3 == waiting

    def test_slow_once(self):
        """
        A policy that takes long holds up others once: from then on it is run
        beside the event loop.
        """
        rules = '[value!="z"]=>add(type="b",value="y");' * 30
        slow = read_policy(
            SGX, f"version=1.2;{PERMIT}issuancerules{{{rules}}};"
        )

        async def decide():
            shelf, ran = PolicyShelf(most=0.0), []
            claims = {"a": "x"}
            await shelf.decide(slow, claims)
            task = asyncio.create_task(shelf.decide(slow, claims))
            while not task.done():
                ran.append(1)
                await asyncio.sleep(0)
            return len(ran)

        assert asyncio.run(decide()) > 2

    def test_time_of_its_own(self):
        """
        How busy the machine is does not count against a policy.
        """
        budget = policy_shelf.make_budget()
        time.sleep(0.1)

        assert budget.is_over is not None
        assert not budget.is_over()


def write_long(n):
    """
    Write a policy that takes a second to read, the *n*-th.
    """
    rules = '=>add(type="a",value=1);' * 8_000
    return f"version=1.0;{PERMIT}issuancerules{{{rules}}};//{n}"
