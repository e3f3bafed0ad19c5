from mono2many.datasets.video import VideoData
from mono2many.io.inputs import expand


def touched(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [str(folder / name) for name in names]


def test_a_pattern_stands_for_what_it_matches_and_a_folder_of_videos_for_them(tmp_path):
    one, two = touched(tmp_path / "trips", "1.MP4", "2.mov")
    touched(tmp_path / "trips", "notes.txt", ".3.mp4")
    assert expand([str(tmp_path / "trips")]) == (one, two)
    assert expand([f"{tmp_path}/trips/*.[mM]*"]) == (one, two)
    assert expand([f"{tmp_path}/**/*.mov"]) == (two,)
    assert expand([f"{tmp_path}/trip?"]) == (one, two)
    assert VideoData((str(tmp_path / "trips"),)).data == (one, two)


def test_other_names_stay_as_they_are(tmp_path, monkeypatch):
    (named,) = touched(tmp_path / "a", "film [b].mp4")  # a name that is also a pattern
    touched(tmp_path / "images", "1.jpg", "clip.mp4")
    touched(tmp_path / "photos", "1.HEIC", "clip.mp4")
    folders = [str(tmp_path / "images"), str(tmp_path / "photos")]
    assert expand([named, *folders, "gone/*.mp4", "./gone.mp4"]) == (
        named,
        *folders,
        "gone/*.mp4",
        "./gone.mp4",
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand(["~/a"]) == (named,)
