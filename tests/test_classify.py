"""``firstread classify``: films from files to files."""

from conftest import make_film
from pydicom import dcmread

from daemon import classify
from daemon.config import Config


def test_a_chest_is_read_and_a_turned_one_is_not(tmp_path, chest, capsys):
    films = {
        "chest": make_film(pixels=chest),
        "turned": make_film(pixels=chest[::-1, ::-1]),
        "hip": make_film(pixels=chest, BodyPartExamined="HIP"),
    }
    paths = [tmp_path / f"{name}.dcm" for name in films]
    for path, ds in zip(paths, films.values(), strict=True):
        ds.save_as(path, enforce_file_format=True)
    (tmp_path / "text.dcm").write_text("no film")
    assert classify.run(Config(), paths, tmp_path / "out")
    assert not classify.run(Config(), [tmp_path / "text.dcm"], tmp_path / "out")
    read, turned, hip, text = capsys.readouterr().out.splitlines()
    assert "normal " in read
    assert "turned.dcm: not analysed: ROTATED: found a chest turned by 180 degrees" in turned
    assert "hip.dcm: not analysed: NOT_CHEST: found HIP" in hip
    assert "text.dcm: unreadable: " in text
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["chest-SC.dcm", "chest-SR.dcm", "chest.png"]
    assert dcmread(tmp_path / "out" / "chest-SR.dcm").StudyInstanceUID == films["chest"].StudyInstanceUID
