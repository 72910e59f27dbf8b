"""Metrics, one class per named protocol; a protocol's function scores each image, its class averages them."""
