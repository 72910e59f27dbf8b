"""REDS: clips of 100 numbered frames, one folder for each kind of degradation."""

from collections.abc import Collection
from pathlib import Path

from deblur_lit.data.paired_folder import match_by_name
from deblur_lit.data.pairs import Pair, PairList, existing_folder, select_sequences

TRAIN_CLIPS = 240  # 000 to 239; some projects copy the val clips behind them, as 240 to 269


class Reds(PairList):
    """One split of REDS; a pair is `<clip>/<frame>` of the sequence `<clip>`.

    Args:
        root: holds `<split>/<split>_<kind>/<clip>/` or `<split>_<kind>/<clip>/`, and `sharp` in place of kind.
            Train clips from 240 on are copies of the val clips: they are never trained on, and they are the
            val split where it is not there itself.
        split: `train` or `val`; the sharp side of `test` is not published.
        kind: `blur`, `blur_comp` or `blur_jpeg`.
        tenth: splits of which only the frames whose number ends on 9 are read (of `val`: "val-300").
        sequences: keep only these clips; all by default.
        exclude: leave these clips out.

    Raises:
        FileNotFoundError: if a folder is missing.
        ValueError: if a file lacks its partner, nothing is found, a clip is unknown, or split is `test`.

    Source: Nah et al., CVPR Workshops 2019.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        kind: str = "blur",
        tenth: Collection[str] = (),
        sequences: Collection[str] | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        if split == "test":
            raise ValueError("REDS: test_sharp is not published, so nothing can be scored on test; use split val")
        blur, sharp = (_side(Path(root), split, side) for side in (kind, "sharp"))
        held = split
        if not blur.is_dir() and split == "val":
            copied_blur, copied_sharp = (_side(Path(root), "train", side) for side in (kind, "sharp"))
            if any(map(_is_copied, _clips(copied_blur))):
                blur, sharp, held = copied_blur, copied_sharp, "copies"
        clips = [clip for clip in _clips(existing_folder(blur)) if split != "train" or not _is_copied(clip)]
        clips = [clip for clip in clips if held != "copies" or _is_copied(clip)]
        pairs = [
            Pair(f"{clip}/{frame}", clip, *files)
            for clip in clips
            for frame, *files in match_by_name(blur / clip, existing_folder(sharp) / clip)
            if split not in tenth or frame.endswith("9")
        ]
        if not pairs:
            raise ValueError(f"{blur} holds no clips of images, such as 000/00000000.png")
        super().__init__(select_sequences(pairs, blur, sequences, exclude))


def _side(root: Path, split: str, side: str) -> Path:
    """Return the folder of one side, nested in its split or not."""
    nested = root / split / f"{split}_{side}"
    return nested if nested.is_dir() else root / f"{split}_{side}"


def _clips(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _is_copied(clip: str) -> bool:
    return clip.isdecimal() and int(clip) >= TRAIN_CLIPS
