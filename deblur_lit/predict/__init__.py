"""Restoring photographs and videos: files in, files out, with all that they carried."""
