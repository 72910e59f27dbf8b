"""Data sets, augmentation and loaders: files on disk to batches of pairs."""
