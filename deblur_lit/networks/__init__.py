"""Deblurring networks: RGB (B, 3, H, W) in [0, 1], any size, to a `Pyramid`."""
