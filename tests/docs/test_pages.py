import pytest

from tests.conftest import PROJECT
from tests.docs.named import explain_named
from tests.docs.pages import PAGES, Block, read_blocks
from tests.docs.running import (
    FILE,
    KINDS_OF_NOTE,
    NOT_RUN,
    PROSE,
    find_notes,
    forking,
    is_run,
    run_page,
)
from tests.needs import (
    needs_curl,
    needs_ip,
    needs_nginx,
    needs_promtool,
    needs_root,
    needs_systemd,
    needs_unshare,
)


#: Where something is run at all.
RUN = [page for page in PAGES if any(map(is_run, read_blocks(page)))]


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """
    The program, loaded.
    """
    with forking(tmp_path_factory.mktemp("program")) as socket:
        yield socket


@pytest.mark.long
@needs_root
@needs_unshare
@needs_ip
@needs_curl
@needs_nginx
@needs_promtool
@needs_systemd
class TestPages:
    @pytest.mark.parametrize(
        "page", RUN, ids=[str(page.relative_to(PROJECT)) for page in RUN]
    )
    def test_run(self, page, tmp_path, program):
        """
        All that a page tells its reader to run works in that order.
        """
        done = run_page(page, tmp_path, program)

        assert 0 == done.code, f"{done.place}: {done.output[-2000:]}"


class TestNotes:
    def test_reasons(self):
        """
        What neither is run nor is for people only says why.
        """
        silent = [
            str(block)
            for page in PAGES
            for block in read_blocks(page)
            if block.language != PROSE
            and not is_run(block)
            and not any(find_notes(block, NOT_RUN))
            and not find_notes(block, FILE)
        ]

        assert [] == silent

    def test_named(self):
        """
        A test that is named for what is not run knows what stands there.
        """
        assert [] == [
            trouble
            for page in PAGES
            for block in read_blocks(page)
            for trouble in explain_named(block)
        ]

    def test_stranger(self):
        """
        A test that knows neither page nor commands is told of each.
        """
        block = Block(
            page=PAGES[0],
            line=1,
            language="sh",
            text="thim trust melt --all\ncurl -s http://a.example/b/nowhere?d=1\n",
            note="not run: tests/needs.py runs it",
        )

        troubles = explain_named(block)
        assert ["trust", "melt", "--all", "nowhere"] == [
            each.rpartition(" has no ")[2].strip("'") for each in troubles
        ]

    def test_known(self):
        """
        A note on a block says nothing that is passed over.
        """
        unknown = [
            f"{block}: {line}"
            for page in PAGES
            for block in read_blocks(page)
            for line in block.note.splitlines()
            if not line.strip().startswith(KINDS_OF_NOTE)
        ]

        assert [] == unknown
