"""A network applied to photographs: any size within a stated memory, in tiles, without doing harm."""
