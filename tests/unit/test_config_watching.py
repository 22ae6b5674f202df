"""Files that are watched: what counts as a change, and when."""

import os

import pytest

from shipper.config.contents import Looker, files_read_by
from shipper.config.settings import Settings
from shipper.config.watching import Settled
from tests.fakes.pipelines import settings


@pytest.fixture
def mounted(tmp_path):
    """A volume as the kubelet makes it: a file is a link to a link, which is replaced as a whole."""
    (tmp_path / "..1").mkdir()
    (tmp_path / "..1" / "shipper.yaml").write_text("one")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "shipper.yaml").symlink_to("..data/shipper.yaml")
    return tmp_path / "shipper.yaml"


def swap(mounted, content):
    folder = mounted.parent / f"..{content}"
    folder.mkdir()
    (folder / "shipper.yaml").write_text(content)
    (mounted.parent / "..new").symlink_to(folder.name)
    (mounted.parent / "..new").replace(mounted.parent / "..data")


def test_swap_of_the_links_of_a_mounted_volume_is_seen(mounted):
    looker = Looker()
    before = looker.look([mounted])
    assert looker.look([mounted]) == before
    swap(mounted, "two")
    after = looker.look([mounted])
    assert after != before
    swap(mounted, "one")
    assert looker.look([mounted]) == before


def test_other_content_of_the_same_size_is_seen(tmp_path):
    file = tmp_path / "secret"
    file.write_text("one")
    looker = Looker()
    before = looker.look([file])
    file.write_text("two")
    assert looker.look([file]) != before


def test_same_content_written_again_is_no_change(tmp_path):
    file = tmp_path / "secret"
    file.write_text("one")
    looker = Looker()
    before = looker.look([file])
    file.unlink()
    file.write_text("one")
    os.utime(file, (1, 1))
    assert looker.look([file]) == before


def test_what_cannot_be_read_is_like_nothing(tmp_path):
    """A file that is not there, a folder, a pipe that nobody writes to."""
    os.mkfifo(tmp_path / "pipe")
    absent = [tmp_path / "absent", tmp_path, tmp_path / "pipe", tmp_path / "\0"]
    looker = Looker()
    assert set(looker.look(absent).values()) == {""}
    (tmp_path / "absent").write_text("x")
    assert looker.look(absent)[tmp_path / "absent"] != ""


def looks(*contents):
    """Which of the looks show news."""
    settled = Settled({"f": "old"})
    return [number for number, content in enumerate(contents) if settled.shows_news({"f": content})]


def test_change_counts_when_two_looks_agree():
    """What is still being written, or is gone for a moment, does not count."""
    assert looks("old", "old") == []
    assert looks("old", "new", "new") == [2]
    assert looks("ne", "new", "", "new", "new") == [4]
    assert looks("new", "old", "old") == []


def test_files_whose_content_matters_are_named_by_their_settings():
    made = settings(
        sinks={
            "search": {"type": "datadog", "api_key": "k", "ca_file": "/dd.pem"},
            "debug": {"type": "stdout"},
        }
    )
    assert isinstance(made, Settings)
    found = files_read_by(made)
    assert {key: str(file) for key, file in found.items()} == {("sinks", "search", "ca_file"): "/dd.pem"}
