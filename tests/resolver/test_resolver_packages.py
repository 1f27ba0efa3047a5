"""Models in installed packages: found by entry points, and never by running the package."""

import sys

import pytest

from bothways.resolver import resolve_model
from bothways.resolver.packages import directory_of, find_in_packages
from bothways.resolver.request import Missed, Request

from .places import install_package, make_model


@pytest.fixture
def site(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


def test_an_entry_point_leads_to_a_directory_without_an_import(site):
    install_package(site, "their_models", {"their-model": "their_models:files"}, ("their_models/files",))
    assert resolve_model("their-model", local_files_only=True) == site / "their_models/files"
    assert "their_models" not in sys.modules


def test_forms_of_entry_points(site):
    install_package(site, "their_models", {}, ("their_models/sub/v1", "their_models/sub/other.v2"))
    (site / "their_models/paths.py").write_text("raise SystemExit\n")
    assert directory_of("their_models.sub:v1") == site / "their_models/sub/v1"
    assert directory_of("their_models:sub.v1") == site / "their_models/sub/v1"
    assert directory_of("their_models.sub:other.v2") == site / "their_models/sub/other.v2"
    assert directory_of("their_models.sub.v1") == site / "their_models/sub/v1"
    assert directory_of("their_models.paths:sub") == site / "their_models/sub"
    assert "their_models" not in sys.modules


@pytest.mark.parametrize(
    "value", ["their_models:..", "their_models:link", "absent:x", "their_models:absent", "os:path", ""]
)
def test_entry_points_that_lead_nowhere_or_out_of_the_package(site, value):
    install_package(site, "their_models", {}, ("their_models/files",))
    make_model(site.parent / "outside")
    (site / "their_models/link").symlink_to(site.parent / "outside")
    assert directory_of(value) is None


def test_a_broken_entry_point_is_reported(site):
    install_package(site, "their_models", {"their-model": "their_models:absent"}, ())
    with pytest.raises(Missed, match=r"entry point their-model = their_models:absent leads to no directory"):
        find_in_packages(Request(name="their-model"))
