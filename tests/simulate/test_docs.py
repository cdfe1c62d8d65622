import re

import msgspec

from tests.conftest import PROJECT
from tests.simulate.asking import NOW, SAPPHIRE, ask, judge, tcb
from thim.simulate.admin import AnyFault, AnyQuote
from thim.simulate.clock import Clock
from thim.simulate.evidence import BODIES, QuoteKind
from thim.simulate.server import simulating
from thim.simulate.world import World


TEXT = (PROJECT / "docs" / "simulate.md").read_text()


class TestDocs:
    def test_world(self):
        """
        The world in the documentation can be played.
        """
        (text,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
        world = World.from_toml(text, "docs/simulate.md")
        with simulating(world, Clock(NOW, frozen=True)) as running:
            record = judge(running, ask(running.url, tcb(SAPPHIRE)))

        assert 20 == record.evaluation_number

    def test_kinds(self):
        """
        Each kind of fault has its line.
        """
        listed = re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE)

        for kind in AnyFault.__args__:
            assert kind.__struct_config__.tag in listed

    def test_faults(self):
        """
        The examples are faults that the admin port takes.
        """
        bodies = re.findall(r"/faults -d '(.*)'", TEXT)

        assert bodies
        for body in bodies:
            msgspec.json.decode(body, type=AnyFault)

    def test_quotes(self):
        """
        So are the quotes, and each field of each kind is named.
        """
        bodies = re.findall(r"/quotes .*-d '(.*)'", TEXT)
        lines = dict(
            re.findall(r"^\| `(sgx-v3|tdx-v\d)` \| (.*)$", TEXT, re.MULTILINE)
        )

        assert {kind.value for kind in QuoteKind} == {
            msgspec.json.decode(body, type=AnyQuote).to_order().kind.value
            for body in bodies
        }
        named = set()
        for kind, body in BODIES.items():
            named |= set(re.findall(r"`(\w+)`", lines[kind.value]))
            assert body.layout.keys() - {"report_data"} <= named
