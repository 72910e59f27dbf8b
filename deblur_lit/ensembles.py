"""The views of an image whose results a self-ensemble averages."""

ENSEMBLES = {  # quarter turns, and whether the image is mirrored first
    "none": [(0, False)],
    "rotations": [(turns, False) for turns in range(4)],  # of MIMO-UNet++
    "dihedral": [(turns, mirrored) for mirrored in (False, True) for turns in range(4)],  # "x8"
}
