"""Rows of a sweep by the names of their folders: `dffm`, or `dffm+optimizer.lr=0.1` with what else was changed."""

import re
from collections.abc import Collection


def changes(row: str) -> list[str]:
    """Return what a row's folder says was changed beyond the row itself.

    Example:
        >>> changes("dffm+data.val=[a,b],optimizer.lr=0.1")
        ['data.val=[a,b]', 'optimizer.lr=0.1']
        >>> changes("dffm")
        []
    """
    variant = row.partition("+")[2]
    return re.split(r",(?=[\w.+~@-]+=)", variant) if variant else []


def shared(rows: Collection[str]) -> list[str]:
    """Return the changes that all rows have in common, which tell none from another.

    Example:
        >>> shared(["baseline+a=1,b=2", "dffm+a=1,b=3"])
        ['a=1']
    """
    first, *others = [changes(row) for row in rows]
    return [change for change in first if all(change in other for other in others)]


def title(said: str, row: str, common: Collection[str]) -> str:
    """Return how a row is shown: what its records call it, with the changes that not all rows have.

    Args:
        said: by a record or configuration; "" where there is none yet.
        row: name of its folder.
        common: changes of all rows.

    Example:
        >>> title("+ DFFM", "dffm+a=1,b=3", ["a=1"])
        '+ DFFM, b=3'
    """
    return ", ".join([said or row.partition("+")[0], *(change for change in changes(row) if change not in common)])


def find(name: str, rows: Collection[str]) -> str | None:
    """Return the row that is meant: of this name, or of this name with what was changed in all rows alike.

    Example:
        >>> find("baseline", ["baseline+a=1", "baseline+a=1,b=2", "dffm+a=1"])
        'baseline+a=1'
    """
    if name in rows:
        return name
    plain = [row for row in rows if row.partition("+")[0] == name and changes(row) == shared(rows)]
    return plain[0] if plain else None
