"""REDS: clips of 100 numbered frames, one folder for each kind of degradation."""

from collections.abc import Collection
from pathlib import Path

from deblur_lit.data.faults import DataError, refuse
from deblur_lit.data.paired_folder import match_by_name
from deblur_lit.data.pairs import Pair, PairList, existing_folder, select_sequences, some

TRAIN_CLIPS = range(240)
COPIED_CLIPS = range(240, 270)  # where some projects copy the val clips, behind those of train


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
        ValueError: if a file lacks its partner, nothing is found, a clip is unknown or on one
            side alone, or split is `test`.

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
        numbers = TRAIN_CLIPS if split == "train" else range(1000)
        copies = [_side(Path(root), "train", side) for side in (kind, "sharp")]
        if split == "val" and not blur.is_dir() and _clips(copies[0], COPIED_CLIPS):
            blur, sharp, numbers = *copies, COPIED_CLIPS
        clips, partners = (_clips(existing_folder(side), numbers) for side in (blur, sharp))
        if alone := set(clips) ^ set(partners):
            refuse(
                DataError(
                    f"{blur} has {len(clips)} clips, {sharp} {len(partners)}: {some(sorted(alone))} lack their "
                    "partner; complete the download, or remove them",
                    "partner",
                )
            )
        pairs = [
            Pair(f"{clip}/{frame}", clip, *files)
            for clip in sorted({*clips} & {*partners})
            for frame, *files in match_by_name(blur / clip, sharp / clip)
            if split not in tenth or frame.endswith("9")
        ]
        if not pairs:
            raise DataError(f"{blur} holds no clips of images, such as 000/00000000.png")
        super().__init__(select_sequences(pairs, blur, sequences, exclude), f"{blur.name}/<clip>/<frame>")


def _side(root: Path, split: str, side: str) -> Path:
    """Return the folder of one side, nested in its split or not."""
    nested = root / split / f"{split}_{side}"
    return nested if nested.is_dir() else root / f"{split}_{side}"


def _clips(folder: Path, numbers: range) -> list[str]:
    """Return the names of the clips of these numbers."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [name for name in names if name.isdecimal() and int(name) in numbers]
