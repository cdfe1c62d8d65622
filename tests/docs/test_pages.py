import pytest

from tests.conftest import PROJECT
from tests.docs.pages import PAGES, read_blocks
from tests.docs.running import (
    KINDS_OF_NOTE,
    NOT_RUN,
    find_notes,
    forking,
    is_run,
    run_page,
)
from tests.needs import needs_curl, needs_ip, needs_root, needs_unshare


#: Where something is run at all.
RUN = [page for page in PAGES if any(map(is_run, read_blocks(page)))]


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """
    The program, loaded.
    """
    with forking(tmp_path_factory.mktemp("program")) as socket:
        yield socket


@needs_root
@needs_unshare
@needs_ip
@needs_curl
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
        What is not run says why.
        """
        silent = [
            str(block)
            for page in PAGES
            for block in read_blocks(page)
            if "" in find_notes(block, NOT_RUN)
        ]

        assert [] == silent

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
