import pytest

from tests.nodes.notes import GRACE, Failure, Gone, Notes, unexplained


GONE = Gone(node="n1", start=10, end=20)


@pytest.mark.parametrize(
    ("node", "start", "end", "expected"),
    [
        ("n1", 9, 9.9, False),  # before
        ("n1", 9, 10.1, True),  # under way when it began
        ("n1", 12, 13, True),
        ("n1", 19, 29, True),  # waits for what was lost
        ("n1", 20 + GRACE, 21, True),
        ("n1", 20.1 + GRACE, 22, False),
        ("n2", 12, 13, False),
    ],
)
def test_explains(node, start, end, expected):
    """
    A failure is explained by nothing but its own node's being gone.
    """
    failure = Failure(node=node, path="/", start=start, end=end, why="")
    assert expected is GONE.explains(failure)
    assert ([] if expected else [failure]) == unexplained([failure], [GONE])


def test_read(tmp_path):
    """
    A line that is not complete is left for later.
    """
    path = tmp_path / "notes"
    path.write_text(
        '{"what": "kept", "kind": "k", "name": "a", "node": "n1", "at": 1}\n'
        '{"what": "body", "digest": "00"}\n'
        '{"what": "body", "dig'
    )
    notes = Notes.read(path)

    assert ["a"] == [each.name for each in notes.acknowledged()]
    assert {"00"} == notes.digests()
    assert [] == notes.failures()
