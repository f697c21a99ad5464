"""Audio inside archives: found, named, read in place; what is compressed is refused."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fairseq_budget.audio.archives import Member, list_members, open_bytes
from fairseq_budget.audio.check import inspect
from fairseq_budget.audio.io import read_audio
from fairseq_budget.cli.manifest.command import main
from fairseq_budget.corpus.manifest import Manifest, Piece, Utterance
from fairseq_budget.corpus.packed import open_corpus
from fairseq_budget.corpus.packing import pack_split
from fairseq_budget.corpus.plain import read_text
from fairseq_budget.errors import BudgetError
from fairseq_budget.prepare.find import EXTENSIONS, find_audio
from fairseq_budget.prepare.kaldi_folder import read_kaldi
from tests.synthetic import write_tone


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a file of each format, of 1 s and more, and one that is no audio."""
    folder = tmp_path / "files"
    for seed, extension in enumerate(EXTENSIONS):
        write_tone(folder / f"s{seed}/a.{extension}", 16_000 + 100 * seed, seed=seed)
    (folder / "read me.txt").write_text("no audio")
    return folder


@pytest.fixture(params=["zip", "tar"])
def archive(request: pytest.FixtureRequest, files: Path) -> Path:
    """All of them in a zip or a tar, in a folder of its own."""
    path = files.with_name("speech") / f"all.{request.param}"
    path.parent.mkdir()
    return write_archive(path, files)


def write_archive(path: Path, folder: Path) -> Path:
    members = sorted(folder.rglob("*"))
    if path.suffix == ".tar":
        with tarfile.open(path, "w") as tar:
            for file in members:
                tar.add(file, file.relative_to(folder), recursive=False)
    else:
        with zipfile.ZipFile(path, "w") as own:
            for file in members:
                own.write(file, file.relative_to(folder))
    return path


def test_members_are_listed_by_their_bytes(archive: Path, files: Path) -> None:
    members = list_members(archive)
    assert len(members) == 6
    content = archive.read_bytes()
    for name, offset, length in members:
        assert content[offset : offset + length] == (files / name).read_bytes()


def test_a_member_reads_as_a_file(archive: Path) -> None:
    _, offset, length = list_members(archive)[-1]
    whole = archive.read_bytes()[offset : offset + length]
    with open_bytes(f"{archive}:{offset}:{length}") as file:
        assert file.read(10) == whole[:10]
        assert (file.seek(-7, 2), file.read()) == (length - 7, whole[-7:])
        assert (file.seek(100), file.seek(5, 1), file.read(3)) == (100, 105, whole[105:108])
        assert file.seek(length + 9) == length + 9
        assert file.read() == b""


def test_members_are_audio_like_files(archive: Path, files: Path) -> None:
    root, sources = find_audio(archive)
    assert len(sources) == len(EXTENSIONS)
    for path, name in sources:
        file = files / name.removeprefix(f"{archive.name}/")
        assert inspect(root / path, full=True) is None
        assert np.array_equal(read_audio(root / path), read_audio(file))
        assert np.array_equal(read_audio(root / path, 9_000, 400), read_audio(file, 9_000, 400))


@pytest.mark.parametrize("given", ["archive", "folder"])
def test_a_manifest_is_made_of_an_archive_and_its_names_are_kept(
    archive: Path, files: Path, tmp_path: Path, given: str
) -> None:
    place = archive if given == "archive" else archive.parent
    extensions = [] if given == "archive" else ["--ext", archive.suffix]
    out = tmp_path / "data"
    command = ["--trainpref", place, "--valid-percent", 20, "--destdir", out, *extensions]
    assert main([str(word) for word in command]) == 0
    names = []
    for split in ("train", "valid"):
        corpus = read_text(out / f"{split}.tsv", ["name"])
        corpus.check_files()
        assert corpus.root == archive.parent
        for index in range(len(corpus)):
            names.append(corpus.columns["name"][index])
            file = files / names[-1].removeprefix(f"{archive.name}/")
            assert np.array_equal(corpus.read(index, 200, 900), read_audio(file, 200, 900))
    assert len(set(names)) == len(EXTENSIONS)


def test_a_folder_is_not_searched_for_archives_unless_asked(archive: Path) -> None:
    write_tone(archive.parent / "plain.wav", 16_000)
    assert [name for _, name in find_audio(archive.parent)[1]] == ["plain.wav"]
    both = find_audio(archive.parent, ["wav", archive.suffix])[1]
    assert [name for _, name in both] == [f"{archive.name}/s0/a.wav", "plain.wav"]


def test_members_are_copied_under_their_names(archive: Path, tmp_path: Path) -> None:
    out, copies = tmp_path / "data", tmp_path / "copies"
    command = ["--trainpref", archive, "--destdir", out, "--resample-to", copies]
    options = ["--match", r"s[01]/"]
    assert main([str(word) for word in command + options]) == 0
    paths = [utterance.name for utterance in Manifest.read(out / "train.tsv").utterances]
    assert paths == [f"{archive.name}/s0/a.wav", f"{archive.name}/s1/a.wav"]
    assert not (out / "train.name").exists()


def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path: Path, capsys) -> None:
    write_tone(tmp_path / "a.wav", 16_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as own:
        own.write(tmp_path / "a.wav", "../../evil.wav")
    command = ["--trainpref", tmp_path / "a.zip", "--destdir", tmp_path / "out"]
    assert main([str(word) for word in [*command, "--resample-to", tmp_path / "copies"]]) == 2
    assert "unusable name: it leads out of its archive" in capsys.readouterr().err
    assert not list(tmp_path.rglob("evil.wav"))


def test_pieces_of_members_are_packed_and_missing_archives_are_named(archive: Path) -> None:
    root, sources = find_audio(archive)
    paths = [path for path, _ in sources]
    joined = Utterance((Piece(paths[0], 100, 900), Piece(paths[1], 5_000, 600)), 1_500)
    Manifest(root, [joined]).write(root / "train.tsv")
    plain = read_text(root / "train.tsv")
    assert plain.utterance(0) == joined
    pack_split(root / "train.tsv")
    packed = open_corpus(root, "train")
    packed.check_files()
    assert np.array_equal(packed.read(0, 300, 900), plain.read(0, 300, 900))
    archive.unlink()
    with pytest.raises(BudgetError, match=rf"1 of the 1 files .* missing .*{archive.name};"):
        plain.check_files()
    with pytest.raises(BudgetError, match=rf"missing below .*: {archive.name};"):
        pack_split(root / "train.tsv")


def test_kaldi_may_name_members(archive: Path, tmp_path: Path) -> None:
    path = find_audio(archive)[1][0].path
    (tmp_path / "wav.scp").write_text(f"utt {path}\n")
    row = next(read_kaldi(tmp_path, archive.parent))
    assert row.utterance == Utterance((Piece(path),), 16_000)


@pytest.mark.fairseq
def test_fairseq_finds_the_same_bytes_in_a_zip(files: Path, tmp_path: Path) -> None:
    from fairseq.data.audio.audio_utils import parse_path, read_from_stored_zip

    root, [source] = find_audio(write_archive(tmp_path / "all.zip", files), ["flac"])
    path, place = parse_path(str(root / source.path))
    assert read_from_stored_zip(path, *place) == (files / "s1/a.flac").read_bytes()


def test_a_compressed_zip_is_refused_with_the_cure(files: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as own:
        own.write(files / "s0/a.wav", "x.wav")
    with pytest.raises(BudgetError, match=r"x.wav in .*a.zip is compressed .*: zip -0"):
        list_members(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("content", [b"", b"no archive" * 99, b"\x1f\x8b" + bytes(600)])
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BudgetError, match=rf"cannot read the archive .*{name} \(.*\); store"):
        list_members(tmp_path / name)


def test_bytes_beyond_the_archive_are_an_error(archive: Path) -> None:
    member = Member("x", archive.stat().st_size - 10, 20)
    with pytest.raises(BudgetError, match=r"all\.\w+ ends at byte \d+, before byte \d+; restore"):
        read_audio(f"{archive}:{member.offset}:{member.length}")


def damaged(path: Path, place: int, content: bytes) -> Path:
    whole = bytearray(path.read_bytes())
    whole[place : place + len(content)] = content
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize("kind", ["version", "local header", "offset", "length"])
def test_a_zip_whose_directory_is_wrong_is_refused(tmp_path: Path, kind: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as own:
        own.writestr("a.wav", bytes(100))
    entry = (tmp_path / "a.zip").read_bytes().index(b"PK\1\2")
    place, content = {
        "version": (entry + 6, b"\xff\xff"),
        "local header": (0, b"XX"),
        "offset": (entry + 42, b"\7\0"),
        "length": (entry + 24, (1 << 30).to_bytes(4, "little")),
    }[kind]
    with pytest.raises(BudgetError, match=r"cannot read the archive .*a\.zip \(.+\); store its"):
        list_members(damaged(tmp_path / "a.zip", place, content))
