import os
import re
import shlex
import shutil
import subprocess

import pytest

from tests.deploy.dockerfile import read_dockerfile
from tests.deploy.helm import PROJECT
from tests.deploy.kit import PYTHON, WHEELS
from tests.needs import needs_wheels


BEFORE, STAGES = read_dockerfile(PROJECT / "deploy" / "Dockerfile")
BY_NAME = {stage.name: stage for stage in STAGES}
IGNORED = (PROJECT / ".dockerignore").read_text().splitlines()


class TestRules:
    def test_base(self):
        """
        The base is one argument, with a tag that says which Python, and which
        Debian.
        """
        (argument,) = BEFORE
        image = argument.text.removeprefix("PYTHON=")
        assert re.fullmatch(r"python:3\.\d+-slim-\w+", image)
        bases = {stage.base for stage in STAGES}
        assert bases == {"${PYTHON}", "base"}

    def test_stages(self):
        """
        What builds is in no image that is shipped; the service comes last.
        """
        assert ["build", "base", "agent", "service"] == [*BY_NAME]
        copied = BY_NAME["base"].find("COPY")
        assert all("--from=build" in step.text for step in copied)
        assert ["/opt/thim", "/opt/thim", "/var/lib/thim", "/var/lib/thim"] == [
            word for step in copied for word in step.words
        ]

    @pytest.mark.parametrize("name", ["base", "agent"])
    def test_user(self, name):
        """
        Who runs it is a number, and not root.
        """
        assert "65532:65532" == BY_NAME[name].find("USER")[-1].text

    def test_programs(self):
        """
        Programs are started without a shell, the health check too.
        """
        for stage in STAGES[1:]:
            for name in ("CMD", "ENTRYPOINT"):
                assert all(step.text[0] == "[" for step in stage.find(name))
        (check,) = BY_NAME["service"].find("HEALTHCHECK")
        assert ' CMD ["/opt/thim/bin/python", ' in check.text

    def test_hashes(self):
        """
        Packages are taken by their hashes, and none is built.
        """
        (download, _) = BY_NAME["build"].find("RUN")
        for flag in ("--require-hashes", "--no-deps", "--only-binary :all:"):
            assert flag in re.sub(r" +", " ", download.text)

    def test_sources(self):
        """
        What is copied is there, and `.dockerignore` lets it through; what it
        lets through is copied.
        """
        copied = {
            source
            for step in BY_NAME["build"].find("COPY")
            for source in step.words[:-1]
        }
        assert all((PROJECT / source).exists() for source in copied)
        let_through = {line[1:] for line in IGNORED if line.startswith("!")}
        assert copied == let_through

    def test_version(self):
        """
        The label says the version.
        """
        (label,) = BY_NAME["base"].find("LABEL")
        text = (PROJECT / "pyproject.toml").read_text()
        (version,) = re.findall(r'^version = "(.*)"$', text, re.MULTILINE)
        assert f'image.version="{version}"' in label.text


class TestBuild:
    """
    The very commands, in a folder that stands for the root of the image.
    """

    #: Others try that at length (test_kit.py).
    INSTALLER = "/kit/install.sh /opt/thim"

    @pytest.fixture
    def root(self, tmp_path):
        """
        The root, with all that is copied into it.
        """
        for step in BY_NAME["build"].find("COPY"):
            *sources, target = step.words
            for source in sources:
                found = PROJECT / source
                place = tmp_path / "src" / ("" if target == "./" else target)
                place.mkdir(parents=True, exist_ok=True)
                if found.is_dir():
                    shutil.copytree(found, place, dirs_exist_ok=True)
                else:
                    shutil.copy(found, place)
        (tmp_path / "opt" / "thim").mkdir(parents=True)
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python3").symlink_to(PYTHON)
        return tmp_path

    @needs_wheels
    def test_commands(self, root):
        """
        They make the kit from what is copied, and the image installs it.
        """
        for step in BY_NAME["build"].find("RUN"):
            text = step.text.replace(self.INSTALLER, "true")
            for place in ("/wheels", "/kit", "/opt", "/var"):
                text = re.sub(rf"(?<= ){place}\b", f"{root}{place}", text)
            subprocess.run(
                ["sh", "-euc", text],
                cwd=root / "src",
                env={
                    "PATH": f"{root}/bin:{os.environ['PATH']}",
                    "PIP_CONFIG_FILE": os.devnull,
                    "PIP_NO_INDEX": "1",
                    "PIP_FIND_LINKS": shlex.quote(str(WHEELS)),
                    "HOME": str(root),
                },
                check=True,
                timeout=300,
            )
        assert self.INSTALLER in BY_NAME["build"].find("RUN")[1].text
        assert os.access(root / "kit" / "install.sh", os.X_OK)
        assert (root / "opt" / "thim" / "healthcheck.py").is_file()
        assert 0o700 == (root / "var/lib/thim").stat().st_mode & 0o777
