"""A page to try a network on one's own photographs: `deblur-lit app`."""
