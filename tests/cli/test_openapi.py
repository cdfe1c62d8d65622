import pytest


@pytest.mark.parametrize(
    ("family", "title"),
    [
        ("admin", "thim: administration"),
        ("attestation", "thim: attestation"),
    ],
)
def test_written(thim, family, title):
    """
    The document is written to standard output.
    """
    got = thim("openapi", family)

    assert (0, title) == (got.code, got.json["info"]["title"])


def test_file(thim, tmp_path):
    """
    It is the same in a file, whatever was there.
    """
    path = tmp_path / "admin.json"
    path.write_text("something longer " * 100_000)

    got = thim("openapi", "admin", "--output", str(path))

    assert (0, "") == (got.code, got.text)
    assert thim("openapi", "admin").text == path.read_text()


def test_no_folder(thim, tmp_path):
    """
    Where it cannot be written is named.
    """
    path = tmp_path / "nowhere" / "admin.json"

    got = thim("openapi", "admin", "--output", str(path))

    assert 2 == got.code
    assert f"--output {path}: No such file or directory" in got.err


def test_unknown(thim):
    """
    There are two APIs.
    """
    got = thim("openapi", "pccs")

    assert 2 == got.code
    assert "attestation" in got.err
