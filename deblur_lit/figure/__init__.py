"""Evaluated systems side by side: a figure of enlarged crops, and a page to compare them on."""
