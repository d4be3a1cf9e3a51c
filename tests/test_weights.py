"""Versions on disk are verified before they are used."""

import json
import shutil

import pytest

from model.weights import VERSIONS, WeightsInvalid, available, open_version, weights_file


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(VERSIONS / "gao-2020", tmp_path / "gao-2020")


def test_the_versions_are_listed():
    assert "gao-2020" in available()


@pytest.mark.parametrize("name", available())
def test_every_version_is_whole_and_says_the_labels_of_a_reading(name):
    version = open_version(name)
    assert version.recipe["name"] == name
    assert version.cascade.labels(1) == ("normal", "bacterial", "viral")
    assert version.cascade.labels(2) == ("not viral", "COVID-19", "other virus")
    assert len(version.weights_sha256) == 64
    assert all(0 < version.manifest["thresholds"][step] < 1 for step in ("step1", "step2"))
    assert set(version.manifest["figures"]) == {"test_folds", "held_out_sources"}


def test_changed_weights_are_refused(folder):
    weights = folder / weights_file("step2")
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(WeightsInvalid, match=r"step2.*found SHA-256 \w{64}, expected \w{64}; install"):
        open_version(folder)


@pytest.mark.parametrize("name", ["model.toml", "manifest.json", "step1.weights.h5"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(WeightsInvalid, match=f"{name}.*found no such file") as invalid:
        open_version(folder)
    assert "\n" not in str(invalid.value)


def test_an_unknown_version_is_refused_with_those_there_are():
    with pytest.raises(WeightsInvalid, match=r"found no model version 'gao-1999', expected one of .*gao"):
        open_version("gao-1999")


def test_the_digest_is_over_all_weights(folder):
    before = open_version(folder).weights_sha256
    manifest = json.loads((folder / "manifest.json").read_text())
    shutil.copy(folder / weights_file("step1"), folder / weights_file("step2"))
    manifest["sha256"]["step2"] = manifest["sha256"]["step1"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert open_version(folder).weights_sha256 != before
